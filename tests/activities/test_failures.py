"""How an activity's failure reaches the workflow: with a code, and with the right number of tries."""

import errno
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from obstore.store import MemoryStore
from pydantic import BaseModel
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import RetryPolicy
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, UnsandboxedWorkflowRunner, Worker

from activities.support.heartbeats import Checkpoint
from streamforge.contracts import steps
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import Outcome, SweepInput
from streamforge.errors import MediaChildCrashed, NotAVideo, StorageCorrupted, StorageUnavailable
from streamforge.events.log import EventLog
from streamforge.storage.bucket import BucketStorage
from streamforge.temporal.failures import to_streamforge_error
from streamforge.worker.interceptor import FailureInterceptor
from streamforge.worker.store_watch import StoreWatch


@pytest.fixture
def failures(events: EventLog) -> FailureInterceptor:
    return FailureInterceptor(events, StoreWatch(BucketStorage(MemoryStore()), events))


class Raising(ActivityInboundInterceptor):
    """Stands where the activity itself would be called."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        raise self._error


async def failure_of(
    failures: FailureInterceptor, error: Exception, attempt: int = 1, work: BaseModel | None = None, **before: int
) -> ApplicationError:
    """Of an attempt; `before` says how often the ones before it failed of which cause."""
    environment = ActivityEnvironment()
    info = vars(ActivityEnvironment.default_info())
    environment.info = activity.Info(**{**info, "attempt": attempt, "heartbeat_details": [None, before]})

    @activity.defn
    async def intercepted() -> None:
        inbound = failures.intercept_activity(Raising(error))
        await inbound.execute_activity(ExecuteActivityInput(intercepted, [work or SweepInput()], None, {}))

    with pytest.raises(ApplicationError) as caught:
        await environment.run(intercepted)
    return caught.value


async def test_bad_input_is_not_tried_again(failures: FailureInterceptor) -> None:
    failure = await failure_of(failures, NotAVideo("This is a letter."))
    assert (failure.type, failure.non_retryable) == ("input.not_a_video", True)


async def test_surroundings_that_are_away_are_waited_for_without_end(failures: FailureInterceptor) -> None:
    failure = await failure_of(failures, StorageUnavailable("Away."), attempt=1000, **{"storage.unavailable": 999})
    assert (failure.type, failure.non_retryable) == ("storage.unavailable", False)


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "storage.disk_full"), (errno.EROFS, "storage.unavailable")]
)
async def test_a_disk_that_refuses_is_of_the_surroundings_wherever_it_is_noticed(
    failures: FailureInterceptor, number: int, code: str
) -> None:
    failure = await failure_of(failures, OSError(number, "told by the kernel"), **{code: 999})
    assert (failure.type, failure.non_retryable) == (code, False)


async def test_a_crash_may_be_chance_twice(failures: FailureInterceptor) -> None:
    crash = MediaChildCrashed("Died.")
    assert not (await failure_of(failures, crash, **{"media.crashed": 1})).non_retryable
    assert (await failure_of(failures, crash, **{"media.crashed": 2})).non_retryable


async def test_what_has_vanished_from_the_store_is_not_waited_for_without_end(failures: FailureInterceptor) -> None:
    assert (await failure_of(failures, StorageCorrupted("Gone."), **{"storage.corrupted": 9})).non_retryable


async def test_a_defect_of_ours_ends_after_a_few_tries_and_tells_nothing(failures: FailureInterceptor) -> None:
    first = await failure_of(failures, KeyError("/secret/path"))
    assert (first.type, first.non_retryable) == ("internal", False)
    assert "secret" not in str(first)
    assert (await failure_of(failures, KeyError("x"), internal=4)).non_retryable


@workflow.defn
class OneActivity:
    @workflow.run
    async def run(self, beats: bool) -> list[int]:
        numbers: list[int] = await workflow.execute_activity(
            "fails_in_turn",
            result_type=list[int],
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=timedelta(seconds=10) if beats else None,
            retry_policy=RetryPolicy(initial_interval=timedelta(milliseconds=10), backoff_coefficient=1),
        )
        return numbers


class FailsInTurn:
    """Raises one after the other, then returns. Each attempt tells the next one its number in a checkpoint."""

    def __init__(self, *errors: Exception) -> None:
        self._errors = iter(errors)
        self._told: list[int] = []

    @activity.defn(name="fails_in_turn")
    async def run(self) -> list[int]:
        checkpoint = Checkpoint()
        self._told.append(checkpoint.previous or 0)
        checkpoint.set(activity.info().attempt)
        checkpoint.beat()
        for error in self._errors:
            raise error
        return self._told


async def run(temporal_address: str, failures: FailureInterceptor, beats: bool, *errors: Exception) -> list[int]:
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    queue = f"failures-{uuid4()}"
    worker = Worker(
        client,
        task_queue=queue,
        workflows=[OneActivity],
        activities=[FailsInTurn(*errors).run],
        interceptors=[failures],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        return await client.execute_workflow(OneActivity.run, beats, id=queue, task_queue=queue)


AWAY = StorageUnavailable("The store is away.")
CRASH = MediaChildCrashed("It died.")


@pytest.mark.parametrize("beats", [True, False])
async def test_attempts_are_counted_for_each_cause_and_checkpoints_are_kept(
    temporal_address: str, failures: FailureInterceptor, beats: bool
) -> None:
    told = await run(temporal_address, failures, beats, AWAY, AWAY, AWAY, CRASH, AWAY, CRASH)
    assert told == [0, 1, 2, 3, 4, 5, 6]


async def test_the_third_of_a_cause_is_the_last_whatever_came_between(
    temporal_address: str, failures: FailureInterceptor
) -> None:
    with pytest.raises(WorkflowFailureError) as caught:
        await run(temporal_address, failures, True, CRASH, AWAY, CRASH, AWAY, CRASH)
    assert to_streamforge_error(caught.value.cause).code == "media.crashed"


async def test_the_last_word_of_a_job_that_was_not_completed_is_tried_without_end(
    failures: FailureInterceptor,
) -> None:
    """Else nothing would ever end the job. A result that cannot be recorded ends as a failure, which can."""

    def outcome(status: JobStatus) -> Outcome:
        return Outcome(job_id=uuid4(), status=status, stage=Stage.TRANSCODING, message="Over")

    defect = KeyError("/secret/path")
    for status in (JobStatus.FAILED, JobStatus.CANCELLED):
        assert not (await failure_of(failures, defect, internal=999, work=outcome(status))).non_retryable
    assert (await failure_of(failures, defect, internal=999, work=outcome(JobStatus.COMPLETED))).non_retryable


def test_what_fetches_an_original_has_a_day_for_that() -> None:
    """What is done with it has its own time, which a slow line must not use up."""
    fetching = [
        steps.PROBE, steps.SEARCH, steps.ENCODE_CHUNK, steps.ENCODE_AUDIO, steps.KEEP_SUBTITLES, steps.TRANSCRIBE,
    ]  # fmt: skip
    assert all(step.limit >= timedelta(hours=25) and step.beats for step in fetching)
