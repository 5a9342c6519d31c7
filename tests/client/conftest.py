"""One API for all that asks a real one."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from every_endpoint import World, world_on
from factories import run_sql


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(
    postgres_dsn: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[World]:
    name = f"client_{uuid4().hex}"
    await run_sql(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE streamforge_template STRATEGY FILE_COPY")
    dsn = postgres_dsn.rpartition("/")[0] + f"/{name}"
    async with world_on(dsn, temporal_address, tmp_path_factory.mktemp("client")) as world:
        yield world
