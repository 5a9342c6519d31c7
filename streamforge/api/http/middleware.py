"""What surrounds every request. Pure ASGI: nothing here buffers a body or starts a task."""

import asyncio
import re
import time
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.access.signatures import without_signatures
from streamforge.api.http.problems import internal_problem, problem_of
from streamforge.errors import RequestTimedOut, ServerStopping
from streamforge.observability import metrics
from streamforge.observability.tracing import sent_traceparent, trace_id_of

Networks = Sequence[IPv4Network | IPv6Network]

log = structlog.stdlib.get_logger(__name__)
access = structlog.stdlib.get_logger("streamforge.access")

# What a client sends ends up in log lines and headers: no spaces, quotes or line breaks.
_SANE_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")

_JOB_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

MAX_LOGGED_PATH = 512

UNNAMED_PROXIES_TOLD = 8

ONE_CLIENT = 64
"""Bits of an IPv6 address that are its network's; the rest its hosts make up."""

CONNECTIONS = frozenset({"http", "websocket"})
HEADS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})
SWITCHING_PROTOCOLS = 101
STREAMS = frozenset({"stream_of_everything", "stream_of_job", "stream_of_batch", "progress"})
"""Handlers that go on for as long as their client likes."""


class RequestId:
    """Give every request an id, its caller's if that is sane; echo it, and bind it to every log line below, with the trace
    that the caller says it is part of."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CONNECTIONS:
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope).get("x-request-id", ""))
        scope.setdefault("state", {})["request_id"] = request_id

        async def send_with_id(message: Message) -> None:
            if message["type"] in HEADS:
                MutableHeaders(scope=message)["X-Request-ID"] = request_id
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            remember_trace(scope, sent_traceparent(Headers(scope=scope).get("traceparent")))
            await self.app(scope, receive, send_with_id)


def _request_id(sent: str) -> str:
    return sent if _SANE_REQUEST_ID.fullmatch(sent) else uuid4().hex


def remember_trace(scope: Scope, traceparent: str | None) -> None:
    if traceparent is not None:
        scope["state"]["traceparent"] = traceparent
        structlog.contextvars.bind_contextvars(trace_id=trace_id_of(traceparent))


class UnnamedProxies:
    """Tells the log of proxies that the settings do not know: to limits all their clients are one address; and where nobody has
    to say who they are, a proxy on this machine has opened loopback to everybody."""

    def __init__(self, trusted: Networks, *, are_callers_known: bool) -> None:
        self._trusted = trusted
        self._danger = None if are_callers_known else "whoever reaches it may do everything here: set auth.required"
        self._told: set[str] = set()

    def look_at(self, scope: Scope) -> None:
        if len(self._told) == UNNAMED_PROXIES_TOLD or scope["type"] not in CONNECTIONS or not scope.get("client"):
            return
        peer = scope["client"][0]
        if peer not in self._told and "x-forwarded-for" in Headers(scope=scope) and self._is_proxy(_address(peer)):
            self._told.add(peer)
            log.warning("a proxy that server.trusted_proxies does not name", proxy=peer, danger=self._danger)

    def _is_proxy(self, peer: IPv4Address | IPv6Address | None) -> bool:
        """Strangers write that header, too."""
        return peer is not None and peer.is_private and not any(peer in network for network in self._trusted)


class RealClientIp:
    """Put the caller's address into the scope. X-Forwarded-For is written by whoever likes to: it is believed only as
    far as trusted proxies vouch for it, from the right end, where the nearest proxy appended, to the left."""

    def __init__(self, app: ASGIApp, trusted: Networks, *, are_callers_known: bool) -> None:
        self.app = app
        self.trusted = trusted
        self._unnamed = UnnamedProxies(trusted, are_callers_known=are_callers_known)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._unnamed.look_at(scope)
        if scope["type"] in CONNECTIONS and self.trusted and scope.get("client"):
            forwarded = ",".join(Headers(scope=scope).getlist("x-forwarded-for"))
            address, port = scope["client"]
            found = real_client(address, forwarded, self.trusted)
            scope["client"] = (found, port if found == address else 0)
            _see_tls(scope, _address(address), self.trusted)
        await self.app(scope, receive, send)


def address_of(scope: Scope) -> str:
    """By what a client is counted, behind RealClientIp: its address, and in IPv6 its network, such as `2001:db8::/64`. Whoever
    has one of these has 2⁶⁴ addresses, and takes another one as often as he likes (RFC 8981)."""
    text = str(scope["client"][0]) if scope.get("client") else ""
    address = _address(text)
    return str(IPv6Network((int(address), ONE_CLIENT), strict=False)) if isinstance(address, IPv6Address) else text


def _see_tls(scope: Scope, peer: IPv4Address | IPv6Address | None, trusted: Networks) -> None:
    """A proxy that is trusted says how the request came to it."""
    told = Headers(scope=scope).get("x-forwarded-proto", "").lower()
    if peer is not None and any(peer in network for network in trusted) and "https" in told.replace(" ", "").split(","):
        scope["scheme"] = {"http": "https", "ws": "wss"}.get(scope["scheme"], scope["scheme"])


def real_client(peer: str, forwarded_for: str, trusted: Networks) -> str:
    """The first address, walking back from `peer`, that is not a trusted proxy's."""
    client = peer
    for entry in reversed(forwarded_for.split(",")):
        hop, claimed = _address(client), _address(entry)
        if hop is None or claimed is None or not any(hop in network for network in trusted):
            break
        client = str(claimed)
    return client


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address as proxies write it: maybe in brackets, maybe with a port, maybe IPv4 dressed as IPv6."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


class AccessLog:
    """One line for each request, when it has ended; for a stream that is when the client went, and its frames, which do
    not come this way, are not in `bytes`."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CONNECTIONS:
            await self.app(scope, receive, send)
            return
        status, sent, began = 0, 0, time.perf_counter()

        async def count(message: Message) -> None:
            nonlocal status, sent
            if message["type"] in HEADS:
                status = message.get("status", SWITCHING_PROTOCOLS)
            sent += len(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receive, count)
        finally:
            _measure(scope, status, time.perf_counter() - began)
            access.info(
                "request",
                method=scope.get("method", "WEBSOCKET"),
                path=_loggable_path(scope),
                # 0: the client went, or the request was cut off, before there was an answer.
                status=status,
                bytes=sent,
                duration_ms=round((time.perf_counter() - began) * 1000, 1),
                client=scope["client"][0] if scope.get("client") else None,
                **_job_of(scope),
            )


def _measure(scope: Scope, status: int, seconds: float) -> None:
    """By the name of the handler: paths are what callers make them. How long streams last says nothing."""
    handler = getattr(scope.get("endpoint"), "__name__", "none")
    metrics.REQUESTS.labels(handler, status).inc()
    if handler not in STREAMS:
        metrics.REQUEST_SECONDS.labels(handler).observe(seconds)


def _job_of(scope: Scope) -> dict[str, str]:
    """What is asked of a job is one of its lines; a word in the place of an id is nobody's."""
    job_id = str(scope.get("path_params", {}).get("job_id", ""))
    return {"job_id": job_id} if _JOB_ID.fullmatch(job_id) else {}


def _loggable_path(scope: Scope) -> str:
    """Still percent-encoded: a line break in a path must not begin a line of its own in the log. Without signatures: who
    reads logs may not therefore watch."""
    return without_signatures(bytes(scope["raw_path"]).decode("latin-1"))[:MAX_LOGGED_PATH]


class RelativeRedirects:
    """The router redirects to the address that it takes for its own; clients behind a proxy know another one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_relative(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] // 100 == 3:
                headers = MutableHeaders(scope=message)
                if "location" in headers:
                    headers["location"] = _within_this_server(headers["location"], Headers(scope=scope).get("host"))
            await send(message)

        await self.app(scope, receive, send_relative)


def _within_this_server(location: str, host: str | None) -> str:
    """What begins with two slashes would be the name of another host."""
    url = urlsplit(location)
    return urlunsplit(("", "", f"/{url.path.lstrip('/')}", url.query, "")) if url.netloc == host else location


class Recovery:
    """Turn what nobody caught into a 500 that tells nothing, and a log line that tells everything; and a request that the
    server cuts off as it stops into a 503."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CONNECTIONS:
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            log.info("client went away", path=_loggable_path(scope))
        except Exception:
            log.exception("request crashed")
            # Half an answer cannot be taken back: the server then cuts the connection, and the client can tell.
            if not started:
                await internal_problem(HTTPConnection(scope))(scope, receive, send)
        except asyncio.CancelledError:
            # Only a server that stops cancels requests. To let it pass would log it as a crash.
            log.info("request cut off, the server stops", path=_loggable_path(scope))
            if started:
                await _cut(scope)
            else:
                stopping = ServerStopping("The server is stopping; send the request again.")
                await problem_of(HTTPConnection(scope), stopping)(scope, receive, send)


async def _cut(scope: Scope) -> None:
    scope["state"]["abort"]()
    await asyncio.sleep(0)  # Until the connection knows that it is cut.


class Deadline:
    """End requests that take too long. Wrapped around single routes: streams, uploads and media may take as long as
    they need."""

    def __init__(self, app: ASGIApp, seconds: float) -> None:
        self.app = app
        self.seconds = seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            async with asyncio.timeout(self.seconds) as deadline:
                await self.app(scope, receive, send)
        except TimeoutError as error:
            if not deadline.expired():
                raise
            raise RequestTimedOut("The request took too long; try again.") from error
