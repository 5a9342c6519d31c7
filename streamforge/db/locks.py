"""Locks of PostgreSQL that end with their process, so that nobody waits for one that was killed."""

import asyncio
import hashlib
from typing import Any
from uuid import UUID

import structlog

from streamforge.db.pool import availability_errors, connect
from streamforge.db.queries import QUERIES

TIMEOUT_SECONDS = 10.0

log = structlog.stdlib.get_logger(__name__)


class UploadLocks:
    """All that this process holds are on one connection of its own: on a pooled one they would be given back at its first
    release. Where it dies they are free, and what they guarded has to bear that: see `record_received`.

    All methods raise DatabaseUnavailable.
    """

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._connection: Any = None
        self._held: set[int] = set()
        self._one_at_a_time = asyncio.Lock()

    async def take(self, upload_id: UUID) -> bool:
        """Whether it is ours now. Not for one that this process holds already: PostgreSQL would count it twice."""
        key = _key(upload_id)
        async with self._one_at_a_time:
            granted = await self._ask("try_lock", key)
            if granted:
                self._held.add(key)
        return bool(granted)

    async def give_back(self, upload_id: UUID) -> None:
        key = _key(upload_id)
        async with self._one_at_a_time:
            self._held.discard(key)
            await self._ask("unlock", key)

    async def close(self) -> None:
        async with self._one_at_a_time:
            if self._connection is not None:
                self._connection.terminate()

    async def _ask(self, query: str, key: int) -> Any:
        with availability_errors():
            try:
                return await (await self._connected()).fetchval(QUERIES[query], key)
            except BaseException:
                # Also where the request that asks is cut off: nobody knows what the server has done.
                self._give_up()
                raise

    async def _connected(self) -> Any:
        if self._connection is None or self._connection.is_closed():
            self._connection = await connect(self._dsn)
            for key in list(self._held):
                if not await self._connection.fetchval(QUERIES["try_lock"], key):
                    log.warning("a lock was lost with its connection", key=key)
        return self._connection

    def _give_up(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


class Lease:
    """What one process at a time does: whoever holds the lock of that name. It is on a connection of its own, and free as soon
    as that, or its process, is gone. All methods raise DatabaseUnavailable."""

    def __init__(self, dsn: str, name: str) -> None:
        self._dsn = dsn
        self._key = _number_of(name.encode())
        self._connection: Any = None
        self._held = False

    async def take(self) -> bool:
        """Whether it is ours, now or still."""
        with availability_errors():
            try:
                if self._connection is None or self._connection.is_closed():
                    self._held = False
                    self._connection = await connect(self._dsn)
                if self._held:
                    await self._connection.execute(QUERIES["ping"], timeout=TIMEOUT_SECONDS)
                else:
                    self._held = await self._connection.fetchval(
                        QUERIES["try_lock"], self._key, timeout=TIMEOUT_SECONDS
                    )
            except BaseException:
                await self.close()
                raise
        return self._held

    async def close(self) -> None:
        self._held = False
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _key(upload_id: UUID) -> int:
    return _number_of(b"upload" + upload_id.bytes)


def _number_of(name: bytes) -> int:
    """Of the 64 bits that PostgreSQL's advisory locks are named by; those of other things are small numbers."""
    return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)
