"""Who writes to an upload. One request at a time, of all APIs together; one whose sender has gone silent makes way for the
next, which most likely is the same sender behind a connection that died."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from uuid import UUID

import structlog

from streamforge.db.locks import UploadLocks
from streamforge.db.uploads import Uploads
from streamforge.errors import DatabaseUnavailable, StreamForgeError, UploadLocked

CHANNEL = "streamforge_uploads"
AT_ONCE = "!"
"""Behind an id: whoever writes to it has to stop."""
SILENT_SECONDS = 0.5
"""From then on a connection counts as dead, if somebody else wants to go on."""
PATIENCE_SECONDS = 1.5
LOOK_AGAIN_SECONDS = 0.05

log = structlog.stdlib.get_logger(__name__)


class Interrupted(Exception):
    """Somebody else goes on with the upload."""


@dataclass(eq=False)
class Holding:
    """What one request has, as long as it writes."""

    heard_at: float
    is_interrupted: bool = False
    because: StreamForgeError | None = None
    """What is wrong with what came, where that is why."""
    waiting: asyncio.Timeout | None = None
    """Set while it waits for its sender."""

    def hear(self) -> None:
        """Bytes came."""
        self.heard_at = asyncio.get_running_loop().time()

    def interrupt(self) -> None:
        self.is_interrupted = True
        if self.waiting is not None and not self.waiting.expired():
            self.waiting.reschedule(asyncio.get_running_loop().time())

    def make_way(self) -> None:
        if asyncio.get_running_loop().time() - self.heard_at >= SILENT_SECONDS:
            self.interrupt()


class Holdings:
    """Of this process, and by PostgreSQL of all that share the database."""

    def __init__(self, locks: UploadLocks, uploads: Uploads) -> None:
        self._locks = locks
        self._uploads = uploads
        self._here: dict[UUID, Holding] = {}

    @asynccontextmanager
    async def hold(
        self,
        upload_id: UUID,
        *,
        patience: float = PATIENCE_SECONDS,
        at_once: bool = False,
        because: StreamForgeError | None = None,
    ) -> AsyncIterator[Holding]:
        """`at_once`: whoever writes here has to stop, silent or not. Raises UploadLocked, DatabaseUnavailable."""
        clock = asyncio.get_running_loop()
        give_up = clock.time() + patience
        while (holding := await self._taken(upload_id, at_once)) is None:
            if because is not None and upload_id in self._here:
                self._here[upload_id].because = because
            if clock.time() >= give_up:
                raise UploadLocked("Another request writes to this upload right now; try again later.")
            await asyncio.sleep(LOOK_AGAIN_SECONDS)
        try:
            yield holding
        finally:
            await asyncio.shield(self._release(upload_id, holding))

    def on_notification(self, payload: str) -> None:
        """Somebody at another API waits."""
        with suppress(ValueError):
            if (holding := self._here.get(UUID(payload.removesuffix(AT_ONCE)))) is not None:
                _ask(holding, payload.endswith(AT_ONCE))

    async def _taken(self, upload_id: UUID, at_once: bool) -> Holding | None:
        other = self._here.get(upload_id)
        if other is not None:
            _ask(other, at_once)
            return None
        # Taken before it is asked for: of two requests here only one asks.
        holding = self._here[upload_id] = Holding(asyncio.get_running_loop().time())
        try:
            if await self._locks.take(upload_id):
                return holding
            await self._uploads.ask_for(f"{upload_id}{AT_ONCE if at_once else ''}")
        except BaseException:
            del self._here[upload_id]
            raise
        del self._here[upload_id]
        return None

    async def _release(self, upload_id: UUID, holding: Holding) -> None:
        try:
            await self._locks.give_back(upload_id)
        except DatabaseUnavailable as error:
            # Its connection is gone, and the lock with it.
            log.warning("a lock was given back to nobody", upload_id=str(upload_id), reason=error.debug)
        finally:
            del self._here[upload_id]


def _ask(holding: Holding, at_once: bool) -> None:
    if at_once:
        holding.interrupt()
    else:
        holding.make_way()
