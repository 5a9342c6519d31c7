"""S3, GCS, Azure and their kin, through obstore. A put is atomic by nature there."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import BaseError, NotFoundError
from obstore.store import from_url

from streamforge.errors import StorageUnavailable
from streamforge.storage.protocol import ObjectInfo

T = TypeVar("T")

PIECE_BYTES = 256 * 1024


class BucketStorage:
    """Implements streamforge.storage.protocol.Storage over any store obstore can open.

    Credentials and endpoints come from the environment as for the vendors' own tools (AWS_ACCESS_KEY_ID,
    AWS_ENDPOINT_URL, GOOGLE_SERVICE_ACCOUNT …).
    """

    def __init__(self, store: Any) -> None:
        self.store = store

    @classmethod
    def from_url(cls, url: str) -> "BucketStorage":
        return cls(from_url(url))

    async def put_file(self, name: str, path: Path) -> None:
        await _reach(obstore.put_async(self.store, name, path))
        await asyncio.to_thread(path.unlink)

    async def put_bytes(self, name: str, data: bytes) -> None:
        await _reach(obstore.put_async(self.store, name, data))

    async def get_bytes(self, name: str) -> bytes | None:
        try:
            found = await _reach(obstore.get_async(self.store, name))
            return bytes(await _reach(found.bytes_async()))
        except NotFoundError:
            return None

    async def stat(self, name: str) -> ObjectInfo | None:
        try:
            return _info(await _reach(obstore.head_async(self.store, name)))
        except NotFoundError:
            return None

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        end = start + length
        for offset in range(start, end, PIECE_BYTES):
            piece = obstore.get_range_async(self.store, name, start=offset, end=min(end, offset + PIECE_BYTES))
            yield bytes(await _reach(piece))

    @asynccontextmanager
    async def local_file(self, name: str, scratch: Path) -> AsyncIterator[Path]:
        scratch.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(dir=scratch, prefix="fetched-"))
        try:
            target = folder / name.rsplit("/", 1)[-1]
            found = await _reach(obstore.get_async(self.store, name))
            with target.open("wb") as file:
                async for piece in found.stream(min_chunk_size=4 * 2**20):
                    await asyncio.to_thread(file.write, piece)
            yield target
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        listing = obstore.list(self.store, prefix=prefix.rstrip("/") or None)
        while batch := await _reach(_next_batch(listing)):
            for meta in batch:
                yield _info(meta)

    async def list_folders(self, prefix: str) -> list[str]:
        found = await _reach(obstore.list_with_delimiter_async(self.store, prefix=prefix.rstrip("/") or None))
        return sorted(folder.rstrip("/").rsplit("/", 1)[-1] for folder in found["common_prefixes"])

    async def delete(self, prefix: str) -> int:
        names = [info.name async for info in self.walk(prefix)]
        if names:
            await _reach(obstore.delete_async(self.store, names))
        return len(names)

    async def check(self) -> None:
        await self.put_bytes(".streamforge-probe", b"ok")


async def _next_batch(listing: Any) -> Any:
    async for batch in listing:
        return batch
    return []


async def _reach(call: Awaitable[T]) -> T:
    try:
        return await call
    except (NotFoundError, FileNotFoundError):
        raise
    except BaseError as error:
        raise StorageUnavailable("The media store does not answer right now.", debug=str(error)) from error


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(
        name=meta["path"],
        size_bytes=meta["size"],
        modified_at=meta["last_modified"],
        etag=(meta["e_tag"] or str(meta["last_modified"].timestamp())).strip('"'),
    )
