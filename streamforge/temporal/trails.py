"""The way of a job through its workflow, for traces: which activity belongs to which span.

Headers are no part of what a workflow decides, and are not compared when a history is replayed. What a workflow puts into them
follows from its own ids alone: it is the same in every replay, in every process.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from temporalio import workflow
from temporalio.worker import (
    ExecuteWorkflowInput,
    Interceptor,
    StartActivityInput,
    WorkflowInboundInterceptor,
    WorkflowInterceptorClassInput,
    WorkflowOutboundInterceptor,
)

from streamforge.contracts import names, steps
from streamforge.contracts.origin import Origin
from streamforge.contracts.pipeline import Outcome
from streamforge.observability.tracing import FinishedSpan, Tracing, trace_id_of
from streamforge.temporal.origins import HEADER, bind_context, origin_in, payload_of

SAMPLED, NOT_SAMPLED = "01", "00"


class HandsOnOrigins(Interceptor):
    """For workers. With `tracing` the job and its stages become spans when the job is over."""

    def __init__(self, tracing: Tracing | None) -> None:
        self._tracing = tracing
        self._loop = asyncio.get_running_loop()

    def workflow_interceptor_class(self, input: WorkflowInterceptorClassInput) -> type[WorkflowInboundInterceptor]:
        traces = _Traces(self._tracing, self._loop) if self._tracing else None
        return type("OriginOfWorkflow", (_Workflow,), {"traces": traces})


@dataclass(frozen=True)
class _Traces:
    """What a workflow asks of the process around it. Nothing of it comes back into what it decides."""

    tracing: Tracing
    loop: asyncio.AbstractEventLoop

    def tell(self, spans: list[FinishedSpan]) -> None:
        """From the thread and the sandbox of a workflow: the work is done elsewhere."""
        for span in spans:
            self.loop.call_soon_threadsafe(self.tracing.finished, span)


class _Workflow(WorkflowInboundInterceptor):
    traces: _Traces | None = None
    trail: "_Trail | None" = None

    def init(self, outbound: WorkflowOutboundInterceptor) -> None:
        super().init(_Asking(outbound, lambda: self.trail))

    async def execute_workflow(self, input: ExecuteWorkflowInput) -> Any:
        origin = origin_in(input.headers)
        info = workflow.info()
        bind_context(origin, next(iter(input.args), None), workflow_id=info.workflow_id, run_id=info.run_id)
        self.trail = _Trail(origin, info, self.traces) if origin else None
        return await super().execute_workflow(input)


class _Asking(WorkflowOutboundInterceptor):
    def __init__(self, next: WorkflowOutboundInterceptor, trail: "Callable[[], _Trail | None]") -> None:
        super().__init__(next)
        self._trail = trail

    def start_activity(self, input: StartActivityInput) -> "workflow.ActivityHandle[Any]":
        trail = self._trail()
        if trail is None:
            return super().start_activity(input)
        stage = STAGES.get(input.activity)
        input.headers = {**input.headers, HEADER: payload_of(trail.origin_of(stage))}
        began = workflow.time_ns()
        handle = super().start_activity(input)
        handle.add_done_callback(lambda done: trail.ended(input, stage, began, done))
        return handle


STAGES: Mapping[str, str] = {step.name: step.stage.value for step in steps.ALL if step.stage is not None}


class _Trail:
    """The spans of one job, by ids that follow from its run: whoever works on a stage knows its span before there is one."""

    def __init__(self, origin: Origin, info: workflow.Info, traces: _Traces | None) -> None:
        self._origin = origin
        self._traces = traces
        self._run_id = info.run_id
        self._began = round(info.start_time.timestamp() * 1e9)
        self._workflow = info.workflow_type
        self._stages: dict[str, tuple[int, int]] = {}
        # What has no last word, such as a dry run, is a part of the request alone.
        is_job = info.workflow_type == names.PROCESS_VIDEO
        self._job = self._traceparent(info.workflow_type) if traces and is_job else None

    def origin_of(self, stage: str | None) -> Origin:
        """For an activity of that stage."""
        if self._job is None:
            return self._origin
        parent = self._traceparent(stage) if stage else self._job
        return self._origin.model_copy(update={"traceparent": parent})

    def ended(self, input: StartActivityInput, stage: str | None, began: int, done: "asyncio.Task[Any]") -> None:
        now = workflow.time_ns()
        if stage is not None:
            self._stages[stage] = (min(began, self._stages.get(stage, (began, 0))[0]), now)
        if input.activity == steps.RECORD_OUTCOME.name and not done.cancelled() and done.exception() is None:
            self._tell(input.args[0], now)

    def _tell(self, outcome: Outcome, now: int) -> None:
        """Once: not again when the history is replayed. A worker that dies in this moment may tell it twice, under the same
        ids."""
        if self._traces is None or self._job is None or workflow.unsafe.is_replaying():
            return
        error = outcome.error.code if outcome.error else None
        about = {"streamforge.job_id": str(outcome.job_id), "streamforge.status": outcome.status.value}
        failed_in = outcome.stage.value
        self._traces.tell(
            [
                FinishedSpan(
                    stage, self._traceparent(stage), self._job, *times, about, error if stage == failed_in else None
                )
                for stage, times in self._stages.items()
            ]
            + [FinishedSpan(self._workflow, self._job, self._origin.traceparent, self._began, now, about, error)]
        )

    def _traceparent(self, what: str) -> str:
        trace_id, flags = self._trace()
        return f"00-{trace_id}-{_digest(f'{self._run_id} {what}')[:16]}-{flags}"

    def _trace(self) -> tuple[str, str]:
        """That of the request; where it had none, one of the job's own."""
        if self._origin.traceparent is not None:
            return trace_id_of(self._origin.traceparent), self._origin.traceparent.rpartition("-")[2]
        trace_id = _digest(self._run_id)[:32]
        sampled = self._traces is not None and self._traces.tracing.samples(trace_id)
        return trace_id, SAMPLED if sampled else NOT_SAMPLED


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()
