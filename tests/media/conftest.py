import asyncio
from collections.abc import Iterator

import pytest

from streamforge.media.worker.children import MediaChildren

GIBIBYTE = 2**30


@pytest.fixture(scope="session")
def children() -> Iterator[MediaChildren]:
    """One zygote for all tests: each child is a fork of its own anyway, and loading av for the zygote takes longer than
    most tests. It is awaited in whatever loop a test runs in."""
    with asyncio.Runner() as runner:
        children = MediaChildren(memory_bytes=4 * GIBIBYTE, stall_seconds=60)
        runner.run(children.__aenter__())
        yield children
        runner.run(children.__aexit__())
