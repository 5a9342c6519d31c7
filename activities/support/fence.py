"""The store as activities see it: nothing is written or removed by an attempt that is late.

A worker that stood still (stopped, swapped out, its machine asleep) goes on in the middle of a call, minutes after its work
was done by another one. What it has handed to the operating system in that moment cannot be held back; so whatever could
do harm lies under a name of its own attempt, or is put only where nothing is yet.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

from activities.support.heartbeats import refuse_if_late
from streamforge.storage import ObjectInfo, ResumableStorage

T = TypeVar("T")

LAST_CHANGE_SECONDS = 5.0
"""How long a cancelled activity waits for what it was putting or removing: a store that hangs must not hold up the cancel."""


class FencedStorage:
    """Implements streamforge.storage.protocol.ResumableStorage over another one. Writes raise Superseded.

    An activity that is cancelled does not end before its last put or removal has: a thread goes on when nobody waits for
    it any more, and what it wrote would be there after everything else was removed.
    """

    def __init__(self, storage: ResumableStorage) -> None:
        self._storage = storage

    @property
    def disks(self) -> Sequence[Path]:
        return self._storage.disks

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        refuse_if_late()
        await _to_its_end(self._storage.put_file(name, path, replace=replace))

    async def put_bytes(self, name: str, data: bytes, *, replace: bool = True) -> None:
        refuse_if_late()
        await _to_its_end(self._storage.put_bytes(name, data, replace=replace))

    async def delete(self, prefix: str, check: Callable[[], None] | None = None) -> int:
        """Refused, too, where it stood still while it listed what is there: another attempt may have removed that, and
        a new round written what bears the same names."""
        refuse_if_late()
        return await _to_its_end(self._storage.delete(prefix, check or refuse_if_late))

    async def get_bytes(self, name: str) -> bytes | None:
        return await self._storage.get_bytes(name)

    async def stat(self, name: str) -> ObjectInfo | None:
        return await self._storage.stat(name)

    def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        return self._storage.read(name, start, length)

    def local_file(self, name: str, scratch: Path) -> AbstractAsyncContextManager[Path]:
        return self._storage.local_file(name, scratch)

    def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        return self._storage.walk(prefix)

    async def list_folders(self, prefix: str) -> list[str]:
        return await self._storage.list_folders(prefix)

    async def write_part(self, folder: str, offset: int, data: bytes | bytearray) -> None:
        refuse_if_late()
        await _to_its_end(self._storage.write_part(folder, offset, data))

    async def sync_parts(self, folder: str) -> None:
        await self._storage.sync_parts(folder)

    async def read_parts(self, folder: str, length: int) -> bytes:
        return await self._storage.read_parts(folder, length)

    async def put_together(self, name: str, parts: Sequence[tuple[str, int]], sha256: str | None = None) -> str:
        refuse_if_late()
        return await _to_its_end(self._storage.put_together(name, parts, sha256))

    async def abort_unfinished(self, before: datetime) -> int:
        refuse_if_late()
        return await self._storage.abort_unfinished(before)

    def expect_contents(self) -> None:
        self._storage.expect_contents()

    async def check(self) -> None:
        await self._storage.check()


async def _to_its_end(change: Coroutine[Any, Any, T]) -> T:
    changing = asyncio.ensure_future(change)
    try:
        return await asyncio.shield(changing)
    except asyncio.CancelledError:
        with suppress(Exception):
            await asyncio.wait_for(changing, LAST_CHANGE_SECONDS)
        raise
