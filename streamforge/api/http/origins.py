"""Where a request comes from, for all that follows from it: its id, and its place in the trace of whoever sent it."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.api.http.middleware import HEADS, remember_trace
from streamforge.contracts.origin import Origin
from streamforge.observability.tracing import LiveSpan, Tracing

QUIET = frozenset({"/health", "/ready", "/metrics"})
"""Asked for every few seconds, for ever: nobody looks for these in traces."""


class Traced:
    """Inside of RequestId, and only where traces are sent: a request is a span, part of the caller's trace if it came with a
    `traceparent`, else the first of a new one."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracing = _tracing_of(scope) if scope["type"] == "http" and _is_traced(scope["path"]) else None
        if tracing is None:
            await self.app(scope, receive, send)
            return
        with tracing.live("request", scope["state"].get("traceparent"), {}) as span:
            remember_trace(scope, span.traceparent)
            await self.app(scope, receive, _describing(span, scope, send))


def origin_of(scope: Scope) -> Origin:
    """For what a request brings about: by what its lines and its trace are found."""
    state = scope["state"]
    return Origin(request_id=state["request_id"], traceparent=state.get("traceparent"))


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


def _is_traced(path: str) -> bool:
    """Streams are no work that takes its time: they last as long as somebody looks."""
    return path not in QUIET and not path.endswith("/stream")


def _tracing_of(scope: Scope) -> Tracing | None:
    services = scope["state"].get("services")
    tracing: Tracing | None = getattr(services, "tracing", None)
    return tracing
