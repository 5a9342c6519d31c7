"""Around every activity: what its lines have in common, and the span that it is."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from streamforge.contracts.origin import Origin
from streamforge.observability.tracing import Tracing
from streamforge.temporal.origins import bind_context, origin_in
from streamforge.temporal.trails import STAGES

log = structlog.stdlib.get_logger(__name__)


class ContextInterceptor(Interceptor):
    """The outermost: whatever is said about an activity is said within."""

    def __init__(self, tracing: Tracing | None) -> None:
        self._tracing = tracing

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(super().intercept_activity(next), self._tracing)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, tracing: Tracing | None) -> None:
        super().__init__(next)
        self._tracing = tracing

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        # Each activity has a task, and so a context, of its own: what is bound here ends with it.
        origin, work, info = origin_in(input.headers), next(iter(input.args), None), activity.info()
        about = _about(info, work)
        bind_context(origin, work, **about)
        began = time.perf_counter()
        with self._span(origin, info, work, about):
            result = await super().execute_activity(input)
        log.info("activity done", seconds=round(time.perf_counter() - began, 3))
        return result

    @contextmanager
    def _span(
        self, origin: Origin | None, info: activity.Info, work: object, about: dict[str, str | int]
    ) -> Iterator[None]:
        if self._tracing is None or origin is None or origin.traceparent is None:
            yield
            return
        job_id = getattr(work, "job_id", None)
        attributes = {f"streamforge.{name}": value for name, value in about.items()}
        if job_id is not None:
            attributes["streamforge.job_id"] = str(job_id)
        with self._tracing.live(info.activity_type, origin.traceparent, attributes):
            yield


def _about(info: activity.Info, work: object) -> dict[str, str | int]:
    about: dict[str, str | int] = {
        "workflow_id": info.workflow_id or "",
        "run_id": info.workflow_run_id or "",
        "activity": info.activity_type,
        "attempt": info.attempt,
    }
    if (stage := STAGES.get(info.activity_type)) is not None:
        about["stage"] = stage
    if (chunk := getattr(work, "chunk", None)) is not None:
        about["chunk"] = chunk.index
    return about
