"""How many streams are open: of one owner and of one address at all APIs together, and of all clients at this one."""

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

    async def admit(self, scope: Scope, owner: str) -> "Admitted":
        """A stream that counts as long as the context lasts. Raises TooManyStreams."""
        if self._total >= self._in_all:
            raise TooManyStreams("This server has as many open streams as it takes; try again later.")
        limits = limits_of(STREAMS, owner, self._per_owner, address_of(scope), self._per_address)
        self._total += 1
        try:
            await self._slots.take(limits)
        except BaseException as error:
            self._total -= 1
            if isinstance(error, NoSlot):
                raise TooManyStreams(
                    f"{error.whose} has {error.most} streams open; follow several jobs on one, with `GET /stream`."
                ) from error
            raise
        return Admitted(self, tuple(limits), TRANSPORTS[scope["type"]])

    def leave(self, names: tuple[str, ...]) -> None:
        self._total -= 1
        self._slots.give_back(names)


class Admitted:
    """One for each open stream: what a generator would keep of it is ten times as large."""

    __slots__ = ("_limits", "_names", "_transport")

    def __init__(self, limits: StreamLimits, names: tuple[str, ...], transport: str) -> None:
        self._limits = limits
        self._names = names
        self._transport = transport

    def __enter__(self) -> None:
        metrics.STREAM_CLIENTS.labels(self._transport).inc()

    def __exit__(self, *_: object) -> None:
        metrics.STREAM_CLIENTS.labels(self._transport).dec()
        self._limits.leave(self._names)
