"""Originals as files on this worker's disk. A film has hundreds of chunks; it must not be fetched for each of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from activities.support.scratch import Scratch
from streamforge.storage import Storage

KEPT_SECONDS = 60.0
"""How long after its last use an original is kept: until the job's next chunk has reached this worker."""


class Originals:
    """Each original is fetched once, however many activities read it at the same time or shortly after each other.

    Where the store itself is a folder nothing is copied.
    """

    def __init__(self, storage: Storage, scratch: Scratch, kept_seconds: float = KEPT_SECONDS) -> None:
        self._storage = storage
        self._scratch = scratch
        self._kept_seconds = kept_seconds
        self._held: dict[str, _Held] = {}

    @asynccontextmanager
    async def file(self, name: str) -> AsyncIterator[Path]:
        """The stored object as a file to seek in, valid inside the block. Raises StorageCorrupted when it is gone."""
        held = self._held.setdefault(name, _Held())
        held.users += 1
        held.keep()
        try:
            async with held.fetching:
                if held.path is None:
                    fetched = self._storage.local_file(name, self._scratch.folder)
                    held.path = await held.stack.enter_async_context(fetched)
            yield held.path
        finally:
            held.users -= 1
            if held.users == 0:
                held.expire_after(self._kept_seconds if held.path else 0, lambda: self._forget(name))

    async def _forget(self, name: str) -> None:
        await self._held.pop(name).stack.aclose()

    async def close(self) -> None:
        for name in list(self._held):
            self._held[name].keep()
            await self._forget(name)


class _Held:
    """One original: who uses it, and when it may go."""

    def __init__(self) -> None:
        self.users = 0
        self.path: Path | None = None
        self.fetching = asyncio.Lock()
        self.stack = AsyncExitStack()
        self._expiry: asyncio.Task[None] | None = None

    def keep(self) -> None:
        if self._expiry is not None:
            self._expiry.cancel()
            self._expiry = None

    def expire_after(self, seconds: float, forget: Callable[[], Coroutine[None, None, None]]) -> None:
        async def expire() -> None:
            await asyncio.sleep(seconds)
            self._expiry = None
            await forget()

        self._expiry = asyncio.create_task(expire())
