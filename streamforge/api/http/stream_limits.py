"""How many streams this process holds open, for one client and for all."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.types import Scope

from streamforge.errors import TooManyStreams
from streamforge.observability import metrics
from streamforge.settings import ServerSettings

TRANSPORTS = {"http": "sse", "websocket": "websocket"}


class StreamLimits:
    def __init__(self, settings: ServerSettings) -> None:
        self._in_all = settings.max_streams
        self._per_client = settings.max_streams_per_client
        self._open: Counter[str] = Counter()
        self._total = 0

    @contextmanager
    def admit(self, scope: Scope) -> Iterator[None]:
        """Count a stream as long as the block lasts. A client is an address. Raises TooManyStreams."""
        client = scope["client"][0] if scope.get("client") else ""
        if self._total >= self._in_all:
            raise TooManyStreams("This server has as many open streams as it takes; try again later.")
        if self._open[client] >= self._per_client:
            raise TooManyStreams(
                f"Your address has {self._per_client} streams open; follow several jobs on one, with `GET /stream`."
            )
        self._open[client] += 1
        self._total += 1
        clients = metrics.STREAM_CLIENTS.labels(TRANSPORTS[scope["type"]])
        clients.inc()
        try:
            yield
        finally:
            clients.dec()
            self._total -= 1
            self._open[client] -= 1
            if not self._open[client]:
                del self._open[client]
