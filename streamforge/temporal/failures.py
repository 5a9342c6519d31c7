"""Between our errors and Temporal's: what a failed activity says, and what a workflow reads from it."""

from pydantic import BaseModel
from temporalio.exceptions import ActivityError, ApplicationError, ApplicationErrorCategory, TimeoutError, TimeoutType

from streamforge.contracts.job import JobError, Stage
from streamforge.errors import (
    Fault,
    ServiceError,
    StreamForgeError,
    by_code,
)


class FailureDetails(BaseModel):
    """Travels in the failure's details, because a workflow only sees what was serialised."""

    code: str
    message: str
    fault: str
    retryable: bool


def to_application_error(error: StreamForgeError, attempt: int = 1) -> ApplicationError:
    """`type` is the stable code, so the Temporal web UI shows it and policies can name it. `attempt` is the one that ended
    of this error, of those that did."""
    hopeless = error.max_attempts is not None and attempt >= error.max_attempts
    return ApplicationError(
        error.message,
        FailureDetails(code=error.code, message=error.message, fault=error.fault, retryable=error.retryable),
        type=error.code,
        non_retryable=hopeless or not error.retryable,
        # What is the caller's doing is no failure of an activity: our own line in the log is enough, without a traceback.
        category=ApplicationErrorCategory.BENIGN
        if error.fault is Fault.CALLER
        else ApplicationErrorCategory.UNSPECIFIED,
    )


def to_streamforge_error(error: BaseException) -> StreamForgeError:
    """What an activity raised, as the class it was; for whoever waits for a workflow. The way back from the above."""
    cause = _cause(error)
    if (failure := _told_by(cause)) is not None:
        return by_code(failure.code)(failure.message)
    return ServiceError("Something went wrong on our side; the log has the details.", debug=repr(cause))


def failure_of(error: BaseException) -> FailureDetails:
    """What the world is told. Anything without details of ours is our own defect, and says no more than that."""
    cause = _cause(error)
    if (failure := _told_by(cause)) is not None:
        return failure
    if isinstance(cause, TimeoutError):
        gone = cause.type == TimeoutType.HEARTBEAT
        message = "The worker vanished in the middle of it." if gone else "The stage took longer than it may."
        return FailureDetails(code="internal.timeout", message=message, fault=Fault.SERVICE, retryable=True)
    return FailureDetails(
        code="internal",
        message="Something went wrong on our side; the log has the details under this job's id.",
        fault=Fault.SERVICE,
        retryable=True,
    )


def to_job_error(error: BaseException, stage: Stage) -> JobError:
    """The same, for the row of a job that failed of it."""
    return JobError(stage=stage, **failure_of(error).model_dump())


def _cause(error: BaseException) -> BaseException:
    return error.cause if isinstance(error, ActivityError) and error.cause is not None else error


def _told_by(cause: BaseException) -> FailureDetails | None:
    if isinstance(cause, ApplicationError) and cause.details:
        return FailureDetails.model_validate(cause.details[0])
    return None
