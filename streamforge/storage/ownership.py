"""Whose a store is. Two installations on one bucket and prefix would each remove what the other has made: to a database that
does not know a job, its files are nobody's.
"""

from contextlib import suppress
from typing import Protocol
from uuid import UUID

import structlog

from streamforge.errors import DiskFull, StorageUnavailable, StoreTaken
from streamforge.storage.protocol import AlreadyThere, Storage

MARK = ".streamforge-installation"
"""Of the store itself; it holds the id of the installation."""

log = structlog.stdlib.get_logger(__name__)


class Memory(Protocol):
    """What outlives a store: the database."""

    async def installation(self) -> UUID: ...

    async def is_claimed(self, folder_url: str) -> bool: ...

    async def remember_claim(self, folder_url: str) -> None: ...


async def claim_and_remember(storage: Storage, memory: Memory) -> None:
    """`claim`, and know the folder again: one that was ours before and is empty now is the mount point of a disk that is
    away. What were written there would be hidden when the disk comes back, and all that lies on it would seem lost.

    Raises StoreTaken, StorageUnavailable, and what `memory` raises.
    """
    urls = [folder.as_uri() for folder in storage.disks]
    unknown = [url for url in urls if not await memory.is_claimed(url)]
    if len(unknown) < len(urls):
        storage.expect_contents()
    await claim(storage, await memory.installation())
    for url in unknown:
        await memory.remember_claim(url)


async def claim(storage: Storage, installation: UUID) -> None:
    """Leave our mark in a store that has none. Raises StoreTaken, StorageUnavailable."""
    found = await storage.get_bytes(MARK)
    if found is None:
        with suppress(AlreadyThere):  # Of two in the same moment one is the first.
            await storage.put_bytes(MARK, str(installation).encode(), replace=False)
        found = await storage.get_bytes(MARK)
    if found is not None and found.strip() != str(installation).encode():
        raise StoreTaken(
            "The media store belongs to another installation, which has another database: name another bucket, prefix or "
            f"folder in storage.url. If that one is gone for good, delete {MARK} in the store, and this one takes it over.",
            debug=f"{found[:64]!r}, and this is {installation}",
        )


async def claim_if_there(storage: Storage, memory: Memory) -> None:
    """The same at the start of a process, which need not wait for its store. Raises StoreTaken, and what `memory` raises."""
    try:
        await claim_and_remember(storage, memory)
    except (StorageUnavailable, DiskFull) as error:
        log.warning("the store does not say yet whose it is", message=error.message, reason=error.debug)
