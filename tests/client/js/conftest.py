"""One Node with the JavaScript client of this repository."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from every_endpoint import World
from js_client import Node, node_for


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def node(world: World) -> AsyncIterator[Node]:
    async with node_for(world) as node:
        yield node


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"some bytes" * 100)
    return path
