"""Around every activity: how long its attempts take, how many run, and of what they are tried again."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from streamforge.contracts.names import MEDIA_TASK_QUEUE
from streamforge.observability import metrics


class MeasuringInterceptor(Interceptor):
    """Lies around the one that makes our errors Temporal's: codes are those of streamforge.errors."""

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(super().intercept_activity(next))


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        slot = metrics.SLOTS_IN_USE.track_inprogress() if info.task_queue == MEDIA_TASK_QUEUE else nullcontext()
        with slot, metrics.ACTIVITIES.labels(info.activity_type).track_inprogress(), _measured(info.activity_type):
            return await super().execute_activity(input)


@contextmanager
def _measured(name: str) -> Iterator[None]:
    began, outcome = time.perf_counter(), "done"
    try:
        yield
    except ApplicationError as error:
        outcome = "failed" if error.non_retryable else "retried"
        if not error.non_retryable:
            metrics.RETRIES.labels(name, error.type or "internal").inc()
        raise
    except asyncio.CancelledError:
        outcome = "cancelled"
        raise
    finally:
        metrics.ACTIVITY_SECONDS.labels(name, outcome).observe(time.perf_counter() - began)
