"""Traces: one for each job, from the request that brought it to its last word, in spans that OpenTelemetry's exporters send.

    POST process ── ProcessVideo ─┬─ uploading ──── upload, probe
    (API)           (the job)     ├─ transcoding ─┬ transcode_chunk ── child encode
                                  │               └ …
                                  └─ validation, packaging, storage …

Live spans are of code that runs in one process. The spans of a job and of its stages begin in one process and end in another:
they are made when they are over, with ids that all who work on the job know beforehand (`streamforge.temporal.trails`).

Where no receiver is set nothing of OpenTelemetry is loaded, and no span is made; what a caller sent is handed on all the same.
"""
# ruff: noqa: PLC0415

import asyncio
import os
import socket
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from streamforge import __version__
from streamforge.contracts.origin import TRACEPARENT
from streamforge.settings import TracingSettings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import Span, SpanContext

Attributes = Mapping[str, str | int | float | bool]

EXPORT_TIMEOUT_SECONDS = 5.0
CLOSING_SECONDS = 3.0
"""For the last spans, when a process stops: a receiver that hangs must not hold it up."""


@dataclass(frozen=True)
class FinishedSpan:
    """One that was not followed while it lasted. Times in nanoseconds since 1970; ids in hexadecimal, as in a traceparent."""

    name: str
    traceparent: str
    """Its own."""
    parent: str | None
    began: int
    ended: int
    attributes: Attributes = field(default_factory=dict)
    error: str | None = None


class Tracing:
    """Sends the spans of this process, from a thread of its own and in batches."""

    def __init__(self, settings: TracingSettings, process: str) -> None:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased

        self._resource = Resource.create(
            {
                "service.name": f"streamforge-{process}",
                "service.version": __version__,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        self._ratio = TraceIdRatioBased(settings.sample)
        exporter = OTLPSpanExporter(endpoint=f"{settings.endpoint}/v1/traces", timeout=EXPORT_TIMEOUT_SECONDS)
        self._processor = BatchSpanProcessor(exporter)
        self._provider = TracerProvider(
            sampler=ParentBased(self._ratio), resource=self._resource, shutdown_on_exit=False
        )
        self._provider.add_span_processor(self._processor)
        self._tracer = self._provider.get_tracer("streamforge", __version__)

    def samples(self, trace_id: str) -> bool:
        """Whether a trace that begins with this id is to be recorded; the same everywhere, if the settings are."""
        from opentelemetry.sdk.trace.sampling import Decision

        decision = self._ratio.should_sample(None, int(trace_id, 16), "").decision
        return decision is Decision.RECORD_AND_SAMPLE

    @contextmanager
    def live(self, name: str, parent: str | None, attributes: Attributes) -> Iterator["LiveSpan"]:
        """A span as long as the block. What the block raises is its error."""
        from opentelemetry.context import Context
        from opentelemetry.trace import NonRecordingSpan, SpanKind, set_span_in_context

        within = set_span_in_context(NonRecordingSpan(_context(parent)), Context()) if parent else Context()
        span = self._tracer.start_span(name, context=within, kind=SpanKind.INTERNAL, attributes=attributes)
        live = LiveSpan(self, span)
        token = _here.set(live)
        try:
            yield live
        except BaseException as error:
            live.fail(getattr(error, "type", None) or getattr(error, "code", None) or type(error).__name__)
            raise
        finally:
            _here.reset(token)
            span.end()

    def finished(self, span: FinishedSpan) -> None:
        context = _context(span.traceparent)
        if context.trace_flags.sampled:
            self._processor.on_end(self._readable(span, context))

    async def close(self) -> None:
        """What is left goes out, if that is quick."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await asyncio.to_thread(self._provider.shutdown)
        except TimeoutError:
            return

    def _readable(self, span: FinishedSpan, context: "SpanContext") -> "ReadableSpan":
        from opentelemetry.sdk.trace import ReadableSpan
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope
        from opentelemetry.trace import Status, StatusCode

        return ReadableSpan(
            name=span.name,
            context=context,
            parent=_context(span.parent) if span.parent else None,
            resource=self._resource,
            attributes=span.attributes,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=span.began,
            end_time=span.ended,
            instrumentation_scope=InstrumentationScope("streamforge", __version__),
        )


class LiveSpan:
    """A span that lasts."""

    def __init__(self, tracing: Tracing, span: "Span") -> None:
        self.tracing = tracing
        self._span = span

    @property
    def traceparent(self) -> str:
        context = self._span.get_span_context()
        return f"00-{context.trace_id:032x}-{context.span_id:016x}-{context.trace_flags:02x}"

    def name(self, name: str) -> None:
        self._span.update_name(name)

    def add(self, attributes: Attributes) -> None:
        self._span.set_attributes(attributes)

    def fail(self, code: str) -> None:
        """By the error's code: its words may say what nobody else should read."""
        from opentelemetry.trace import Status, StatusCode

        self._span.set_status(Status(StatusCode.ERROR, code))


_here: ContextVar[LiveSpan | None] = ContextVar("span", default=None)


@contextmanager
def span(name: str, **attributes: str | float | bool) -> Iterator[None]:
    """A part of the span that this runs in; nothing where there is none."""
    around = _here.get()
    if around is None:
        yield
        return
    with around.tracing.live(name, around.traceparent, attributes):
        yield


@asynccontextmanager
async def tracing_of(settings: TracingSettings, process: str) -> AsyncIterator[Tracing | None]:
    """None where traces go nowhere."""
    if settings.endpoint is None:
        yield None
        return
    # Its imports take longer than an event loop may stand still.
    tracing = await asyncio.to_thread(Tracing, settings, process)
    try:
        yield tracing
    finally:
        await tracing.close()


def trace_id_of(traceparent: str) -> str:
    return traceparent.split("-")[1]


def sent_traceparent(header: str | None) -> str | None:
    """What a caller sent, where it is one; W3C has anything else ignored."""
    return header if header is not None and TRACEPARENT.fullmatch(header) else None


def now() -> int:
    return time.time_ns()


def _context(traceparent: str) -> "SpanContext":
    from opentelemetry.trace import SpanContext, TraceFlags

    _, trace_id, span_id, flags = traceparent.split("-")
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=True, trace_flags=TraceFlags(int(flags, 16)))
