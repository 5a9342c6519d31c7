"""An original is fetched once for many chunks, and goes when nobody has needed it for a while."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from obstore.store import MemoryStore

from activities.support.originals import Originals
from activities.support.scratch import Scratch
from streamforge.errors import StorageCorrupted
from streamforge.storage.bucket import BucketStorage


class CountingBucket(BucketStorage):
    """A real bucket, in memory, that knows how often it was asked for a file."""

    fetches = 0

    @asynccontextmanager
    async def local_file(self, name: str, scratch: Path) -> AsyncIterator[Path]:
        self.fetches += 1
        async with super().local_file(name, scratch) as path:
            yield path


@pytest.fixture
async def bucket() -> CountingBucket:
    bucket = CountingBucket(MemoryStore())
    await bucket.put_bytes("input/a/original", b"film" * 1000)
    return bucket


@pytest.fixture
def scratch(tmp_path: Path) -> Iterator[Scratch]:
    scratch = Scratch(tmp_path)
    yield scratch
    scratch.close()


async def test_activities_at_the_same_time_share_one_fetch(bucket: CountingBucket, scratch: Scratch) -> None:
    originals = Originals(bucket, scratch)

    async def read() -> bytes:
        async with originals.file("input/a/original") as path:
            return await asyncio.to_thread(path.read_bytes)

    assert await asyncio.gather(*(read() for _ in range(8))) == [b"film" * 1000] * 8
    assert bucket.fetches == 1
    await originals.close()


async def test_the_next_chunk_finds_it_still_there(bucket: CountingBucket, scratch: Scratch) -> None:
    originals = Originals(bucket, scratch)
    for _ in range(3):
        async with originals.file("input/a/original") as path:
            assert path.stat().st_size == 4000
    assert bucket.fetches == 1
    await originals.close()
    assert [p.name for p in scratch.folder.iterdir()] == ["in-use"]


async def test_it_goes_when_nobody_has_needed_it_for_a_while(bucket: CountingBucket, scratch: Scratch) -> None:
    originals = Originals(bucket, scratch, kept_seconds=0)
    async with originals.file("input/a/original") as path:
        pass
    async with asyncio.timeout(5):
        while path.exists():
            await asyncio.sleep(0.01)
    async with originals.file("input/a/original"):
        assert bucket.fetches == 2
    await originals.close()


async def test_one_that_is_gone_is_an_error_each_time(bucket: CountingBucket, scratch: Scratch) -> None:
    originals = Originals(bucket, scratch)
    for _ in range(2):
        with pytest.raises(StorageCorrupted):
            async with originals.file("input/b/original"):
                pass
    await originals.close()
