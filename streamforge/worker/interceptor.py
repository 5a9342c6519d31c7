"""Around every activity: our errors become Temporal's, and whoever watches is told what a job waits for."""

import asyncio
from contextlib import nullcontext, suppress
from typing import Any
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import (
    ActivityInboundInterceptor,
    ActivityOutboundInterceptor,
    ExecuteActivityInput,
    Interceptor,
)

from streamforge.contracts.events import waiting
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import Outcome
from streamforge.disks import WORKER, disk_error, is_of_a_disk
from streamforge.errors import (
    DatabaseUnavailable,
    DiskFull,
    ServiceError,
    StorageCorrupted,
    StorageUnavailable,
    StreamForgeError,
)
from streamforge.events.log import EventLog
from streamforge.temporal.failures import to_application_error
from streamforge.worker.store_watch import StoreWatch
from streamforge.worker.tally import Tally, TallyHeartbeats

log = structlog.stdlib.get_logger(__name__)

SHUTDOWN = "worker.shutdown"
TOLD = {StorageUnavailable.code, DiskFull.code, StorageCorrupted.code}
"""What a job waits for so long that its viewers should know. (While the database is away, nobody can be told.)"""


class FailureInterceptor(Interceptor):
    def __init__(self, events: EventLog, store: StoreWatch) -> None:
        self._events = events
        self._store = store

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(super().intercept_activity(next), self._events, self._store)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, events: EventLog, store: StoreWatch) -> None:
        super().__init__(next)
        self._events = events
        self._store = store

    def init(self, outbound: ActivityOutboundInterceptor) -> None:
        super().init(TallyHeartbeats(outbound))

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        tally = Tally()
        job_id = _job_of(input)
        with nullcontext() if job_id is None else self._store.working_on(job_id):
            try:
                return await super().execute_activity(input)
            except FailureError:
                raise
            except Exception as error:
                known = _known(error)
                if known.code in TOLD and job_id is not None:
                    await self._tell(job_id, known, info.attempt)
                raise to_application_error(known, 1 if _must_succeed(input) else tally.count(known.code)) from error
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if details is not None and details.worker_shutdown:
                    # A cancel that nobody asked for: the work goes to another worker, or to this one's successor.
                    raise ApplicationError("The worker is stopping.", type=SHUTDOWN) from None
                raise

    async def _tell(self, job_id: UUID, error: StreamForgeError, attempt: int) -> None:
        """Logged under the stage the job is in, for a stage never goes back."""
        with suppress(DatabaseUnavailable):
            await self._events.append(job_id, waiting(error, attempt, Stage.UPLOADING))


def _must_succeed(input: ExecuteActivityInput) -> bool:
    """The last word of a job that could not be completed: nothing could follow it, so it is tried without end."""
    work = next(iter(input.args), None)
    return isinstance(work, Outcome) and work.status is not JobStatus.COMPLETED


def _known(error: Exception) -> StreamForgeError:
    """The error as one of ours."""
    if isinstance(error, OSError) and is_of_a_disk(error):
        error = disk_error(error, WORKER)
    if isinstance(error, StreamForgeError):
        log.warning("activity failed", code=error.code, reason=error.message, debug=error.debug)
        return error
    # A defect of ours: worth a few tries, because the surroundings may be to blame, but not for ever.
    log.exception("activity broke")
    return ServiceError("Something went wrong on our side; the log has the details.")


def _job_of(input: ExecuteActivityInput) -> UUID | None:
    """None for work that belongs to no job."""
    return getattr(next(iter(input.args), None), "job_id", None)
