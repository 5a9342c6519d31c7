"""Where a request comes from, for all that follows from it: its id, and its place in the trace of whoever sent it."""

import structlog
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.api.http.middleware import CONNECTIONS, HEADS
from streamforge.contracts.origin import Origin
from streamforge.observability.tracing import LiveSpan, Tracing, sent_traceparent, trace_id_of

QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Asked for every few seconds, for ever: nobody looks for these in traces."""


class Origins:
    """Inside of RequestId. Where traces are sent, a request is a span: part of the caller's trace if it came with a
    `traceparent`, else the first of a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CONNECTIONS:
            await self.app(scope, receive, send)
            return
        sent = sent_traceparent(Headers(scope=scope).get("traceparent"))
        tracing = _tracing_of(scope)
        if tracing is None or not _is_traced(scope):
            # Nothing is held for it: there may be thousands of streams.
            _remember(scope, sent)
            await self.app(scope, receive, send)
            return
        with tracing.live("request", sent, {}) as span:
            _remember(scope, span.traceparent)
            await self.app(scope, receive, _describing(span, scope, send))


def origin_of(scope: Scope) -> Origin:
    """For what a request brings about: by what its lines and its trace are found."""
    state = scope["state"]
    return Origin(request_id=state["request_id"], traceparent=state.get("traceparent"))


def _remember(scope: Scope, traceparent: str | None) -> None:
    if traceparent is not None:
        scope["state"]["traceparent"] = traceparent
        structlog.contextvars.bind_contextvars(trace_id=trace_id_of(traceparent))


def _describing(span: LiveSpan, scope: Scope, send: Send) -> Send:
    async def told(message: Message) -> None:
        if message["type"] in HEADS:
            _describe(span, scope, message.get("status", 0))
        await send(message)

    return told


def _describe(span: LiveSpan, scope: Scope, status: int) -> None:
    """By its handler: a path may hold a signature, and is another one for each job."""
    handler = getattr(scope.get("endpoint"), "__name__", "none")
    span.name(f"{scope['method']} {handler}")
    span.add(
        {
            "http.request.method": scope["method"],
            "http.response.status_code": status,
            "streamforge.request_id": scope["state"]["request_id"],
        }
    )
    if status >= 500:
        span.fail(str(status))


def _is_traced(scope: Scope) -> bool:
    """Streams are no work that takes its time: they last as long as somebody looks."""
    path: str = scope["path"]
    return scope["type"] == "http" and path not in QUIET and not path.endswith("/stream")


def _tracing_of(scope: Scope) -> Tracing | None:
    services = scope["state"].get("services")
    tracing: Tracing | None = getattr(services, "tracing", None)
    return tracing
