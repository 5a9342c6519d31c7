"""Runs the application under uvicorn, and stops it without cutting anybody off.

On SIGTERM, SIGINT or SIGHUP: open streams get a `retry:` hint and end, new connections are refused, running requests may
finish within GRACE_SECONDS, those that are not done by then are told `server.stopping` and leave nothing; then database
and listener close.
"""

import asyncio
import errno
import resource
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from ipaddress import IPv6Address, ip_address
from typing import cast

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send

from streamforge.access.exposure import require_callers_at
from streamforge.api.app import create_app
from streamforge.api.http.protocols import HttpProtocol, WebSocketProtocol
from streamforge.api.services import AppState
from streamforge.errors import InvalidSettings, PortInUse
from streamforge.event_loop import spare_what_stays
from streamforge.settings import Settings
from streamforge.signals import stop_requests

GRACE_SECONDS = 8
CLEAN_UP_SECONDS = 1.0
"""For requests that were cut off: to tell their clients, and to leave nothing behind."""
MAX_WEBSOCKET_BYTES = 64 * 1024

log = structlog.stdlib.get_logger(__name__)


async def serve(
    settings: Settings,
    *,
    stop: asyncio.Event | None = None,
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or SIGHUP; or until `stop` is set, for a caller who handles signals itself.

    `on_ready` is called with the address once requests are answered. Raises PortInUse, MissingPart,
    DatabaseUnavailable, MigrationEdited, InvalidSettings.
    """
    _allow_many_connections()
    # Signals end it at once until it has started, and change nothing once it stops.
    with ExitStack() as signals:
        async with running(settings) as url:
            asked_to_stop = stop or signals.enter_context(stop_requests())
            spare_what_stays()
            log.info("listening", url=url)
            if on_ready is not None:
                on_ready(url)
            await asked_to_stop.wait()
            log.info("stopping")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[str]:
    """The API, answering at the URL, as long as the block lasts. Port 0 takes any free one."""
    app = create_app(settings)
    with _listening_socket(settings.server.host, settings.server.port) as listener:
        require_callers_at(settings, listener.getsockname()[0])
        # The lifespan is entered here, not by uvicorn, which would turn its errors into a traceback and exit code 3.
        async with app.router.lifespan_context(app) as state:
            server = _Server(_config(app), cast(AppState, state))
            task = asyncio.create_task(server.serve(sockets=[listener]), name="uvicorn")
            task.add_done_callback(lambda _: server.ready.set())
            try:
                await server.ready.wait()
                if task.done():
                    task.result()
                yield _url(listener)
            finally:
                server.should_exit = True
                await task


class _Server(uvicorn.Server):
    """uvicorn that leaves signals to us, takes the lifespan's state from us, and ends streams before it waits for
    connections to close: they never would."""

    def __init__(self, config: uvicorn.Config, state: AppState) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()
        self._state = state

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self.lifespan.state.update(self._state)
        await super().startup(sockets)
        self.ready.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._state["services"].broadcaster.leave()
        await super().shutdown(sockets)
        if cut_off := list(self.server_state.tasks):
            await asyncio.wait(cut_off, timeout=CLEAN_UP_SECONDS)


class _WithDirectSend:
    """Gives requests the server's own `send`, for the frames of event streams. The layers in between look at the head of
    an answer; to pass each frame through them costs more for each client than the frame itself."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"]["send"] = send
        await self.app(scope, receive, send)


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        _WithDirectSend(app),
        http=HttpProtocol,
        ws=WebSocketProtocol,
        # What clients of WebSockets say is not listened to.
        ws_max_size=MAX_WEBSOCKET_BYTES,
        lifespan="off",
        log_config=None,
        access_log=False,
        # X-Forwarded-For is our own middleware's business.
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


@contextmanager
def _listening_socket(host: str, port: int) -> Iterator[socket.socket]:
    """Bound before anything is opened, so that a busy port is known at once; connections are refused until uvicorn
    listens on it."""
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise InvalidSettings(f"Settings are not valid: server.host {host!r} is no address.") from error
    with listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
        except OSError as error:
            raise _bind_error(host, port, error) from error
        yield listener


def _bind_error(host: str, port: int, error: OSError) -> PortInUse | InvalidSettings:
    if error.errno == errno.EADDRINUSE:
        return PortInUse(f"Port {port} on {host} is in use by another program; choose one with --port.")
    return InvalidSettings(f"Cannot listen on {host}, port {port}: {error.strerror}.")


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if isinstance(ip_address(host), IPv6Address) else f"http://{host}:{port}"


def _allow_many_connections() -> None:
    """Each stream is an open file, and the usual limit of 1,024 is only there for programs that use select()."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
