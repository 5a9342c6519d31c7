"""How an activity's failure reaches the workflow: with a code, and with the right number of tries."""

from typing import Any

import pytest
from temporalio import activity
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput

from streamforge.contracts.pipeline import SweepInput
from streamforge.errors import MediaChildCrashed, NotAVideo, StorageUnavailable
from streamforge.events.log import EventLog
from streamforge.temporal.interceptor import FailureInterceptor


class Raising(ActivityInboundInterceptor):
    """Stands where the activity itself would be called."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        raise self._error


async def failure_of(events: EventLog, error: Exception, attempt: int = 1) -> ApplicationError:
    environment = ActivityEnvironment()
    environment.info = ActivityEnvironment.default_info()
    environment.info = type(environment.info)(**{**vars(environment.info), "attempt": attempt})

    @activity.defn
    async def intercepted() -> None:
        inbound = FailureInterceptor(events).intercept_activity(Raising(error))
        await inbound.execute_activity(ExecuteActivityInput(intercepted, [SweepInput()], None, {}))

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
