"""Where a request comes from, for all that follows from it: its id, and its place in the trace of whoever sent it."""

from contextlib import nullcontext

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
        traced = tracing is not None and scope["type"] == "http" and not _is_quiet(scope["path"])
        with tracing.live("request", sent, {}) if tracing and traced else nullcontext() as span:
            await self._answer(scope, receive, send, span, span.traceparent if span else sent)

    async def _answer(
        self, scope: Scope, receive: Receive, send: Send, span: LiveSpan | None, traceparent: str | None
    ) -> None:
        scope["state"]["origin"] = Origin(request_id=scope["state"]["request_id"], traceparent=traceparent)
        if traceparent is not None:
            structlog.contextvars.bind_contextvars(trace_id=trace_id_of(traceparent))
        if span is None:
            await self.app(scope, receive, send)
            return

        async def told(message: Message) -> None:
            if message["type"] in HEADS:
                _describe(span, scope, message.get("status", 0))
            await send(message)

        await self.app(scope, receive, told)


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


def _is_quiet(path: str) -> bool:
    """Streams are no work that takes its time: they last as long as somebody looks."""
    return path in QUIET or path.endswith("/stream")


def _tracing_of(scope: Scope) -> Tracing | None:
    services = scope["state"].get("services")
    tracing: Tracing | None = getattr(services, "tracing", None)
    return tracing
