"""How an activity's failure reaches the workflow: with a code, and with the right number of tries."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from streamforge.contracts import names
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import Outcome, SweepInput
from streamforge.errors import MediaChildCrashed, NotAVideo, StorageUnavailable
from streamforge.events.log import EventLog
from streamforge.temporal.interceptor import FailureInterceptor
from workflows.policies import POLICIES


class Raising(ActivityInboundInterceptor):
    """Stands where the activity itself would be called."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        raise self._error


async def failure_of(
    events: EventLog, error: Exception, attempt: int = 1, work: BaseModel | None = None
) -> ApplicationError:
    environment = ActivityEnvironment()
    environment.info = ActivityEnvironment.default_info()
    environment.info = type(environment.info)(**{**vars(environment.info), "attempt": attempt})

    @activity.defn
    async def intercepted() -> None:
        inbound = FailureInterceptor(events).intercept_activity(Raising(error))
        await inbound.execute_activity(ExecuteActivityInput(intercepted, [work or SweepInput()], None, {}))

    with pytest.raises(ApplicationError) as caught:
        await environment.run(intercepted)
    return caught.value


async def test_bad_input_is_not_tried_again(events: EventLog) -> None:
    failure = await failure_of(events, NotAVideo("This is a letter."))
    assert (failure.type, failure.non_retryable) == ("input.not_a_video", True)


async def test_surroundings_that_are_away_are_waited_for_without_end(events: EventLog) -> None:
    failure = await failure_of(events, StorageUnavailable("Away."), attempt=1000)
    assert (failure.type, failure.non_retryable) == ("storage.unavailable", False)


async def test_a_crash_may_be_chance_twice(events: EventLog) -> None:
    assert not (await failure_of(events, MediaChildCrashed("Died."), attempt=2)).non_retryable
    assert (await failure_of(events, MediaChildCrashed("Died."), attempt=3)).non_retryable


async def test_a_defect_of_ours_ends_after_a_few_tries_and_tells_nothing(events: EventLog) -> None:
    first = await failure_of(events, KeyError("/secret/path"))
    assert (first.type, first.non_retryable) == ("internal", False)
    assert "secret" not in str(first)
    assert (await failure_of(events, KeyError("x"), attempt=5)).non_retryable


async def test_the_last_word_of_a_job_that_was_not_completed_is_tried_without_end(events: EventLog) -> None:
    """Else nothing would ever end the job. A result that cannot be recorded ends as a failure, which can."""

    def outcome(status: JobStatus) -> Outcome:
        return Outcome(job_id=uuid4(), status=status, stage=Stage.TRANSCODING, message="Over")

    defect = KeyError("/secret/path")
    for status in (JobStatus.FAILED, JobStatus.CANCELLED):
        assert not (await failure_of(events, defect, attempt=1000, work=outcome(status))).non_retryable
    assert (await failure_of(events, defect, attempt=1000, work=outcome(JobStatus.COMPLETED))).non_retryable


def test_what_fetches_an_original_has_a_day_for_that() -> None:
    """What is done with it has its own time, which a slow line must not use up."""
    fetching = [
        names.PROBE, names.SEARCH, names.ENCODE_CHUNK, names.ENCODE_AUDIO, names.KEEP_SUBTITLES, names.TRANSCRIBE,
    ]  # fmt: skip
    assert all(POLICIES[name].limit >= timedelta(hours=25) and POLICIES[name].beats for name in fetching)
