from collections.abc import AsyncIterator

import pytest

from streamforge.media.child import MediaChildren

GIBIBYTE = 2**30


@pytest.fixture
async def children() -> AsyncIterator[MediaChildren]:
    async with MediaChildren(memory_bytes=4 * GIBIBYTE, stall_seconds=60) as running:
        yield running
