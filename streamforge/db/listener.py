"""One connection that only listens. Tells its reader about notifications, and about every moment it may have missed some."""

import asyncio
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import structlog

from streamforge.background import Background, Work
from streamforge.db.pool import availability_errors, connect
from streamforge.db.queries import QUERIES
from streamforge.errors import DatabaseUnavailable
from streamforge.retry import backoff

EVENTS_CHANNEL = "streamforge_events"
LIVENESS_INTERVAL = 10.0
LIVENESS_TIMEOUT = 5.0

log = structlog.stdlib.get_logger(__name__)


class Listener(Background):
    """LISTEN on a dedicated connection: on a pooled one it would be lost at the first release.

    Notifications are not kept for who is not connected. So each `on_reconnected` is called each time the connection begins
    to listen, the first time too, and the reader then looks into the table; what hears a channel gets each payload.
    Both run in the event loop and must not block.
    """

    def __init__(
        self,
        dsn: str,
        heard_by: Mapping[str, Callable[[str], None]],
        on_reconnected: Iterable[Callable[[], None]],
        *,
        liveness_interval: float = LIVENESS_INTERVAL,
        liveness_timeout: float = LIVENESS_TIMEOUT,
    ) -> None:
        self._dsn = dsn
        self._heard_by = heard_by
        self._on_reconnected = list(on_reconnected)
        self._liveness_interval = liveness_interval
        self._liveness_timeout = liveness_timeout

    def work(self) -> Work:
        return {"listener": self._keep_listening()}

    async def _keep_listening(self) -> None:
        delays = backoff()
        while True:
            try:
                await self._listen_until_lost()
                delays = backoff()
            except DatabaseUnavailable as error:
                log.warning("listener cannot connect", reason=error.debug)
            except Exception:
                # Without its listener a process would serve streams that stand still: never let the task die.
                log.exception("listener failed")
            await asyncio.sleep(next(delays))

    async def _listen_until_lost(self) -> None:
        connection = await connect(self._dsn)
        lost = asyncio.Event()
        connection.add_termination_listener(lambda _: lost.set())
        try:
            with availability_errors():
                for channel in self._heard_by:
                    await connection.add_listener(channel, self._received)
            log.debug("listening")
            for tell in self._on_reconnected:
                tell()
            await self._watch(connection, lost)
            log.warning("listener lost its connection")
        finally:
            connection.terminate()

    async def _watch(self, connection: Any, lost: asyncio.Event) -> None:
        """Return when the connection is dead. A cut cable says nothing, so ask for a sign of life now and then."""
        while not lost.is_set():
            try:
                await asyncio.wait_for(lost.wait(), self._liveness_interval)
            except TimeoutError:
                with availability_errors():
                    await connection.execute(QUERIES["ping"], timeout=self._liveness_timeout)

    def _received(self, _connection: object, _pid: int, channel: str, payload: object) -> None:
        self._heard_by[channel](str(payload))
