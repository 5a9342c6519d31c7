"""Where work came from travels beside it, in Temporal's headers: from the API to the workflow, from there to its activities."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import structlog
from pydantic import ValidationError
from temporalio.api.common.v1 import Payload
from temporalio.client import Interceptor, OutboundInterceptor, StartWorkflowInput, WorkflowHandle

from streamforge.contracts.origin import Origin
from streamforge.observability.tracing import trace_id_of

HEADER = "streamforge-origin"

_carried: ContextVar[Origin | None] = ContextVar("origin", default=None)


@contextmanager
def carrying(origin: Origin | None) -> Iterator[None]:
    """Workflows that are started in the block come from there."""
    token = _carried.set(origin)
    try:
        yield
    finally:
        _carried.reset(token)


class CarriesOrigins(Interceptor):
    def intercept_client(self, next: OutboundInterceptor) -> OutboundInterceptor:
        return _Starting(super().intercept_client(next))


class _Starting(OutboundInterceptor):
    async def start_workflow(self, input: StartWorkflowInput) -> WorkflowHandle[Any, Any]:
        if (origin := _carried.get()) is not None:
            input.headers = {**input.headers, HEADER: payload_of(origin)}
        return await super().start_workflow(input)


def origin_in(headers: Mapping[str, Payload]) -> Origin | None:
    """None of work that a version before started, and of what nobody asked for."""
    payload = headers.get(HEADER)
    if payload is None:
        return None
    try:
        return Origin.model_validate_json(payload.data)
    except ValidationError:
        return None


def bind_context(origin: Origin | None, work: object, **more: object) -> None:
    """For all lines that are logged from here on: request and trace, and the job of an input."""
    if origin is not None and origin.request_id is not None:
        more["request_id"] = origin.request_id
    if origin is not None and origin.traceparent is not None:
        more["trace_id"] = trace_id_of(origin.traceparent)
    if (job_id := getattr(work, "job_id", None)) is not None:
        more["job_id"] = str(job_id)
    structlog.contextvars.bind_contextvars(**more)


def payload_of(origin: Origin) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=origin.model_dump_json(exclude_none=True).encode())
