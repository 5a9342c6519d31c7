"""Around every activity: our errors become Temporal's, and log lines carry the job and the attempt."""

import asyncio
from typing import Any

import structlog
from temporalio import activity
from temporalio.exceptions import ApplicationError, FailureError
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from streamforge.errors import ServiceError, StreamForgeError
from streamforge.temporal.failures import to_application_error

log = structlog.stdlib.get_logger(__name__)

SHUTDOWN = "worker.shutdown"


class FailureInterceptor(Interceptor):
    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(super().intercept_activity(next))


class _Inbound(ActivityInboundInterceptor):
    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        with structlog.contextvars.bound_contextvars(
            workflow_id=info.workflow_id, activity=info.activity_type, attempt=info.attempt
        ):
            try:
                return await super().execute_activity(input)
            except StreamForgeError as error:
                log.warning("activity failed", code=error.code, reason=error.message, debug=error.debug)
                raise to_application_error(error, info.attempt) from error
            except FailureError:
                raise
            except Exception as error:
                # A defect of ours: worth a few tries, because the surroundings may be to blame, but not for ever.
                log.exception("activity broke")
                unexpected = ServiceError("Something went wrong on our side; the log has the details.")
                raise to_application_error(unexpected, info.attempt) from error
            except asyncio.CancelledError:
                details = activity.cancellation_details()
                if details is not None and details.worker_shutdown:
                    # A cancel that nobody asked for: the work goes to another worker, or to this one's successor.
                    raise ApplicationError("The worker is stopping.", type=SHUTDOWN) from None
                raise
