"""Around every activity: our errors become Temporal's, log lines carry the attempt, and whoever watches is told what a
job waits for."""

import asyncio
from contextlib import suppress
from typing import Any
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import Outcome, StoredSource
from streamforge.errors import DatabaseUnavailable, DiskFull, ServiceError, StorageUnavailable, StreamForgeError
from streamforge.events.log import EventLog
from streamforge.temporal.failures import to_application_error

log = structlog.stdlib.get_logger(__name__)

SHUTDOWN = "worker.shutdown"
SURROUNDINGS = {StorageUnavailable.code, DiskFull.code}
"""What is waited for without end. (While the database is away, nobody can be told.)"""


class FailureInterceptor(Interceptor):
    def __init__(self, events: EventLog) -> None:
        self._events = events

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(super().intercept_activity(next), self._events)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, events: EventLog) -> None:
        super().__init__(next)
        self._events = events

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        with structlog.contextvars.bound_contextvars(
            workflow_id=info.workflow_id, activity=info.activity_type, attempt=info.attempt
        ):
            try:
                return await super().execute_activity(input)
            except StreamForgeError as error:
                log.warning("activity failed", code=error.code, reason=error.message, debug=error.debug)
                if error.code in SURROUNDINGS:
                    await self._tell(input, error, info.attempt)
                raise to_application_error(error, info.attempt) from error
            except FailureError:
                raise
            except Exception as error:
                # A defect of ours: worth a few tries, because the surroundings may be to blame, but not for ever.
                log.exception("activity broke")
                unexpected = ServiceError("Something went wrong on our side; the log has the details.")
                raise to_application_error(unexpected, 1 if _must_succeed(input) else info.attempt) from error
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if details is not None and details.worker_shutdown:
                    # A cancel that nobody asked for: the work goes to another worker, or to this one's successor.
                    raise ApplicationError("The worker is stopping.", type=SHUTDOWN) from None
                raise

    async def _tell(self, input: ExecuteActivityInput, error: StreamForgeError, attempt: int) -> None:
        """An event of the job: it goes on, and this is why it does not move. Logged under the stage the job is in."""
        job_id = _job_id(input.args[0])
        if job_id is None:
            return
        change = JobChange(
            stage=Stage.UPLOADING,
            message=f"Waiting to try again: {error.message}",
            details={"code": error.code, "attempt": attempt},
        )
        with suppress(DatabaseUnavailable):
            await self._events.append(job_id, change)


def _must_succeed(input: ExecuteActivityInput) -> bool:
    """The last word of a job that could not be completed: nothing could follow it, so it is tried without end."""
    return isinstance(input.args[0], Outcome) and input.args[0].status is not JobStatus.COMPLETED


def _job_id(work: Any) -> UUID | None:
    if (original := getattr(work, "original", None)) and isinstance(original, StoredSource):
        return original.job_id
    return getattr(work, "job_id", None)
