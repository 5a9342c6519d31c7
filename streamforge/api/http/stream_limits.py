"""How many streams are open: of one owner and of one address at all APIs together, and of all clients at this one."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.types import Scope

from streamforge.access.slots import STREAMS, NoSlot, Slots, limits_of
from streamforge.api.http.middleware import address_of
from streamforge.errors import TooManyStreams
from streamforge.observability import metrics
from streamforge.settings import Settings

TRANSPORTS = {"http": "sse", "websocket": "websocket"}


class StreamLimits:
    def __init__(self, settings: Settings, slots: Slots) -> None:
        self._in_all = settings.server.max_streams
        self._per_address = settings.server.max_streams_per_client
        self._per_owner = settings.limit("streams_at_once")
        self._slots = slots
        self._total = 0

    @asynccontextmanager
    async def admitted(self, scope: Scope, owner: str) -> AsyncIterator[None]:
        """Count a stream as long as the block lasts. Raises TooManyStreams."""
        if self._total >= self._in_all:
            raise TooManyStreams("This server has as many open streams as it takes; try again later.")
        limits = limits_of(STREAMS, owner, self._per_owner, address_of(scope), self._per_address)
        clients = metrics.STREAM_CLIENTS.labels(TRANSPORTS[scope["type"]])
        self._total += 1
        try:
            async with self._slots.slot(limits):
                clients.inc()
                try:
                    yield
                finally:
                    clients.dec()
        except NoSlot as full:
            raise TooManyStreams(
                f"{full.whose} has {full.most} streams open; follow several jobs on one, with `GET /stream`."
            ) from full
        finally:
            self._total -= 1
