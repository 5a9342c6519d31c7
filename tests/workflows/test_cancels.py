"""A cancel that was promised comes true, whichever await of the workflow it meets: 202 means that the job ends cancelled."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from factories import accepted
from fakes import OF_PROCESS_VIDEO, SOURCE, UNSANDBOXED, Fakes, activities_working, start, workflows_working
from temporalio import activity
from temporalio.api.enums.v1 import EventType, PendingActivityState
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle, WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from activities.outcome import OutcomeActivities
from activities.registration import performs
from streamforge.contracts import steps
from streamforge.contracts.job import JobStatus
from streamforge.contracts.media.source import SubtitleSource
from streamforge.contracts.pipeline import DiscardInput, Outcome
from streamforge.contracts.steps import Step
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.errors import MediaChildCrashed
from streamforge.events.log import EventLog
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage.local import LocalStorage
from streamforge.temporal.failures import to_application_error
from workflows.process_video import ProcessVideoWorkflow

WITH_SUBTITLES = SOURCE.model_copy(update={"subtitles": [SubtitleSource(index=2, codec="srt")]})
EVERYTHING = Settings.model_validate(
    {
        "transcode": {"max_chunk_seconds": 8},
        "captions": {"enabled": True},
        "per_title": {"enabled": True},
        "downloads": {"enabled": True},
    }
)

FIRST_OF = [step.name for step in OF_PROCESS_VIDEO]
AWAITS = [(name, 1) for name in FIRST_OF] + [(steps.ENCODE_CHUNK.name, nth) for nth in (2, 3, 4)]


LOOK_SECONDS = 0.1


@dataclass
class Held:
    """One job, stopped inside the nth call of one of its activities, which then ends well or badly."""

    name: str
    nth: int
    fails: bool = False
    calls: Counter[str] = field(default_factory=Counter)
    activity_id: str = ""
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def hold(self, name: str) -> None:
        self.calls[name] += 1
        if name != self.name or self.calls[name] != self.nth or self.reached.is_set():
            return
        self.activity_id = activity.info().activity_id
        self.reached.set()
        while not self.go.is_set():
            activity.heartbeat()
            # Like an encoder that comes to its end just when it is told to stop.
            await _undisturbed(asyncio.wait_for(self.go.wait(), LOOK_SECONDS))
        if self.fails:
            raise to_application_error(MediaChildCrashed("It died."), attempt=3)


async def _undisturbed(waiting: Any) -> None:
    with suppress(TimeoutError, asyncio.CancelledError):
        await waiting


@dataclass
class HeldJobs(Fakes):
    """The activities of many jobs at once. Last words go into the real log."""

    held: dict[UUID, Held] = field(default_factory=dict)
    log: OutcomeActivities | None = None

    async def _note(self, step: Step[Any, Any], work: Any) -> None:
        await super()._note(step, work)
        await self.held[_job_id(work)].hold(step.name)

    @performs(steps.RECORD_OUTCOME)
    async def record_outcome(self, outcome: Outcome) -> None:
        await super().record_outcome(outcome)
        assert self.log is not None
        try:
            await self.log.record_outcome(outcome)
        except Exception as error:
            raise to_application_error(error) from error  # type: ignore[arg-type]


def _job_id(work: Any) -> UUID:
    job_id: UUID = work.job_id if hasattr(work, "job_id") else work.original.job_id
    return job_id


@dataclass
class Case:
    held: Held
    handle: WorkflowHandle[Any, Any]
    job_id: UUID
    accepted: bool = False
    """Whether the answer was 202; else it was 409."""


@pytest.fixture
def fakes(jobs: Jobs, events: EventLog, tmp_path: Path) -> HeldJobs:
    plan = make_plan(WITH_SUBTITLES, EVERYTHING)
    return HeldJobs(source=WITH_SUBTITLES, plan=plan, log=OutcomeActivities(LocalStorage(tmp_path), events, jobs))


@asynccontextmanager
async def held_activities(temporal: Client, fakes: HeldJobs) -> AsyncIterator[None]:
    """Workers wait for what they run; a test that fails must not leave them waiting."""
    async with activities_working(temporal, fakes):
        try:
            yield
        finally:
            for held in fakes.held.values():
                held.go.set()


async def begin(temporal: Client, fakes: HeldJobs, jobs: Jobs, held: Held) -> Case:
    job_id = await accepted(jobs)
    fakes.held[job_id] = held
    to_be_fetched = held.name == steps.FETCH_SOURCE.name
    return Case(held, await start(temporal, job_id=job_id, to_be_fetched=to_be_fetched), job_id)


async def cancel(case: Case, jobs: Jobs) -> None:
    """As `DELETE /jobs/<id>` does."""
    case.accepted = await jobs.of(EVERYONE).request_cancel(case.job_id)
    if case.accepted:
        await case.handle.cancel()


async def let_go(case: Case) -> None:
    """Until Temporal knows that the activity is over."""
    case.held.go.set()
    async with asyncio.timeout(30):
        while await _is_pending(case):
            await asyncio.sleep(LOOK_SECONDS)


async def _is_pending(case: Case) -> bool:
    return case.held.activity_id in {one.activity_id for one in await _pending(case)}


async def _pending(case: Case) -> Any:
    return (await case.handle.describe()).raw_description.pending_activities


async def until_asked_to_cancel(case: Case) -> None:
    """The two that end a job never are."""
    if case.held.name in {steps.DISCARD.name, steps.RECORD_OUTCOME.name}:
        return
    async with asyncio.timeout(30):
        while not any(
            one.activity_id == case.held.activity_id
            and one.state == PendingActivityState.PENDING_ACTIVITY_STATE_CANCEL_REQUESTED
            for one in await _pending(case)
        ):
            await asyncio.sleep(LOOK_SECONDS)


async def assert_promise_kept(case: Case, fakes: HeldJobs, jobs: Jobs) -> None:
    what = f"{case.held.name} #{case.held.nth}"
    async with asyncio.timeout(30):
        while (status := (await case.handle.describe()).status) is WorkflowExecutionStatus.RUNNING:
            await asyncio.sleep(LOOK_SECONDS)
    row = await jobs.of(EVERYONE).get(case.job_id)
    assert row is not None
    if not case.accepted:
        assert case.held.name == steps.RECORD_OUTCOME.name, f"{what} could have been cancelled"
        assert (status, row.status) == (WorkflowExecutionStatus.COMPLETED, JobStatus.COMPLETED)
        return
    assert (status, row.status) == (WorkflowExecutionStatus.CANCELED, JobStatus.CANCELLED), what
    removed = [work for _, work in fakes.calls if isinstance(work, DiscardInput) and work.job_id == case.job_id]
    assert removed[-1].output, what
    assert removed[-1].original, what
    assert await begun_after_cancel(case) <= {steps.DISCARD.name, steps.RECORD_OUTCOME.name}, (
        f"{what} worked for nobody"
    )


async def begun_after_cancel(case: Case) -> set[str]:
    events = (await case.handle.fetch_history()).events
    asked = next(
        event.event_id
        for event in events
        if event.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    )
    scheduled = (event.activity_task_scheduled_event_attributes for event in events if event.event_id > asked)
    return {one.activity_type.name for one in scheduled} - {""}


async def replay(cases: list[Case]) -> None:
    """Whatever was decided is decided again, by a worker that never saw these jobs before."""
    replayer = Replayer(
        workflows=[ProcessVideoWorkflow],
        workflow_runner=UNSANDBOXED,
        data_converter=pydantic_data_converter,
    )

    async def histories() -> AsyncIterator[WorkflowHistory]:
        for case in cases:
            yield await case.handle.fetch_history()

    await replayer.replay_workflows(histories())


Meeting = Callable[[Case, Jobs], Any]


async def cancel_then_end(case: Case, jobs: Jobs) -> None:
    await cancel(case, jobs)
    await let_go(case)


async def end_then_cancel(case: Case, jobs: Jobs) -> None:
    await let_go(case)
    await cancel(case, jobs)


@pytest.mark.parametrize(
    ("meet", "fails"),
    [
        pytest.param(cancel_then_end, False, id="a cancel, then it ends well"),
        pytest.param(end_then_cancel, True, id="it ends badly, then a cancel"),
        pytest.param(cancel_then_end, True, id="a cancel, then it ends badly", marks=pytest.mark.slow),
        pytest.param(end_then_cancel, False, id="it ends well, then a cancel", marks=pytest.mark.slow),
    ],
)
async def test_a_cancel_and_the_end_of_an_activity_in_one_task(
    temporal: Client, jobs: Jobs, fakes: HeldJobs, meet: Meeting, fails: bool
) -> None:
    """Nobody works on workflows while both happen; whoever takes over finds them side by side, in either order."""
    async with held_activities(temporal, fakes):
        async with workflows_working(temporal, UNSANDBOXED):
            cases = [await begin(temporal, fakes, jobs, Held(name, nth, fails=fails)) for name, nth in AWAITS]
            async with asyncio.timeout(60):
                await asyncio.gather(*(case.held.reached.wait() for case in cases))
        await asyncio.gather(*(meet(case, jobs) for case in cases))
        async with workflows_working(temporal, UNSANDBOXED):
            for case in cases:
                await assert_promise_kept(case, fakes, jobs)
    await replay(cases)


async def test_a_cancel_that_an_activity_does_not_heed(temporal: Client, jobs: Jobs, fakes: HeldJobs) -> None:
    """It was asked to stop, and comes to its end all the same: the SDK then forgets that there was a cancel."""
    async with held_activities(temporal, fakes), workflows_working(temporal, UNSANDBOXED):
        cases = [await begin(temporal, fakes, jobs, Held(name, nth)) for name, nth in AWAITS]
        async with asyncio.timeout(60):
            await asyncio.gather(*(case.held.reached.wait() for case in cases))
        for case in cases:
            await cancel(case, jobs)
        for case in cases:
            await until_asked_to_cancel(case)
            case.held.go.set()
        for case in cases:
            await assert_promise_kept(case, fakes, jobs)
    await replay(cases)
