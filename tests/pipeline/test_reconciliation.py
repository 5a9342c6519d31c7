"""Every end of a workflow ends its row, and no workflow works for a job that is over: what the Schedule brings in line."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest
from clips import Clips
from factories import CANCELLED, accepted, run_sql
from processes import media_children
from system import System
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError
from temporalio.testing import ActivityEnvironment

from activities.outcome import OutcomeActivities
from streamforge.api.workflows import Workflows
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import DiscardInput, Outcome, ReconcileInput, ReconcileResult
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.events.log import EventLog
from streamforge.settings import Presets, Settings
from streamforge.storage import open_storage

NOTHING = ReconcileResult(jobs_ended=0, workflows_cancelled=0)
ONE_JOB = ReconcileResult(jobs_ended=1, workflows_cancelled=0)


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Slow enough to be caught in the act."""
    slow = settings.transcode.model_copy(update={"presets": Presets(h264="slow"), "heights": [480]})
    return settings.model_copy(update={"transcode": slow})


async def reconcile(system: System) -> ReconcileResult:
    handle = await system.temporal.start_workflow(
        "ReconcileJobs",
        ReconcileInput(),
        id="reconcile-now",
        task_queue="video-processing",
        result_type=ReconcileResult,
    )
    return await handle.result()


async def until_encoding(system: System, job_id: str) -> None:
    async with system.api.stream(job_id) as frames:
        async for frame in frames:
            if frame.event == "progress" and frame.data["progress"] > 10:
                return


async def until_no_media_child() -> None:
    async with asyncio.timeout(20):
        while media_children():
            await asyncio.sleep(0.01)


async def test_a_job_whose_workflow_was_terminated_fails_and_says_so(system: System, clips: Clips) -> None:
    job_id = await system.api.post_ok_with(clips.small_bunny.read_bytes())
    await until_encoding(system, job_id)
    assert await reconcile(system) == NOTHING, "what runs is left alone"
    await (await system.workflow(job_id)).terminate("an operator")
    assert await reconcile(system) == ONE_JOB
    frames = await system.api.whole_stream(job_id)
    assert [frame.event for frame in frames][-1] == "done"
    job = await system.api.job(job_id)
    assert job["status"] == "failed"
    assert job["error"] == {
        "code": "temporal.workflow_lost",
        "message": "The job was not finished: its workflow was terminated; send the video again.",
        "stage": "transcoding",
        "fault": "service",
        "retryable": True,
    }
    assert await reconcile(system) == NOTHING


async def test_a_job_that_temporal_has_forgotten_fails_and_a_promised_cancel_is_kept(
    system: System, jobs: Jobs
) -> None:
    forgotten, cancelled, owed = [await accepted(jobs) for _ in range(3)]
    for job_id in (forgotten, cancelled):
        await jobs.mark_launched(job_id)
    assert await jobs.of(EVERYONE).request_cancel(cancelled)
    assert (await reconcile(system)).jobs_ended == 2
    statuses = {
        job.id: (job.status, job.error.code if job.error else None)
        for job in await jobs.of(EVERYONE).by_id([forgotten, cancelled])
    }
    assert statuses == {forgotten: ("failed", "temporal.workflow_lost"), cancelled: ("cancelled", None)}
    assert str(owed) != str(forgotten), "a job that was never launched is the launcher's"


async def test_a_database_from_a_backup_learns_what_was_completed_since(system: System, clips: Clips) -> None:
    finished = await system.process(clips.small)
    dsn = system.api.settings.database.dsn
    assert dsn
    await run_sql(
        dsn,
        "UPDATE jobs SET status = 'processing', result = NULL, completed_at = NULL WHERE id = $1",
        UUID(finished.id),
    )
    assert await reconcile(system) == ONE_JOB
    job = await system.api.job(finished.id)
    assert (job["status"], job["result"]) == ("completed", finished.job["result"])
    assert (await system.api.http.get(finished.job["playback"]["hls"])).status_code == 200


async def test_a_workflow_whose_job_is_over_is_cancelled(system: System, events: EventLog, clips: Clips) -> None:
    job_id = await system.api.post_ok_with(clips.small_bunny.read_bytes())
    await until_encoding(system, job_id)
    await events.append(UUID(job_id), CANCELLED)
    assert await reconcile(system) == NOTHING, "it may be at its end"
    dsn = system.api.settings.database.dsn
    assert dsn
    await run_sql(dsn, "UPDATE jobs SET completed_at = now() - interval '11 minutes' WHERE id = $1", UUID(job_id))
    assert await reconcile(system) == ReconcileResult(jobs_ended=0, workflows_cancelled=1)
    handle = await system.workflow(job_id)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
    assert system.api.stored == []


async def test_a_job_cancelled_before_its_workflow_began_is_encoded_for_nobody(
    system: System, jobs: Jobs, events: EventLog, clips: Clips
) -> None:
    """The answer of a start was lost, and before the next try the job was cancelled: the first start may come true."""
    video = clips.small.read_bytes()
    job_id = await accepted(jobs, size_bytes=len(video))
    job = await jobs.of(EVERYONE).get(job_id)
    assert job is not None
    original = system.storage / job.source_object
    original.parent.mkdir(parents=True)
    original.write_bytes(video)
    await events.append(job_id, CANCELLED)
    await Workflows(system.temporal).start(job)
    handle = system.temporal.get_workflow_handle(job.workflow_id)
    with pytest.raises(WorkflowFailureError):
        await handle.result()
    scheduled = [
        e.activity_task_scheduled_event_attributes.activity_type.name for e in (await handle.fetch_history()).events
    ]
    assert [name for name in scheduled if name] == ["upload", "record_outcome", "discard"]
    assert system.api.stored == []


async def test_a_promised_cancel_that_nobody_told_the_workflow_is_told(
    system: System, jobs: Jobs, clips: Clips
) -> None:
    job_id = await system.api.post_ok_with(clips.small_bunny.read_bytes())
    await until_encoding(system, job_id)
    assert await jobs.of(EVERYONE).request_cancel(UUID(job_id))
    dsn = system.api.settings.database.dsn
    assert dsn
    await run_sql(
        dsn, "UPDATE jobs SET cancel_requested_at = now() - interval '11 minutes' WHERE id = $1", UUID(job_id)
    )
    assert await reconcile(system) == ReconcileResult(jobs_ended=0, workflows_cancelled=1)
    await system.api.whole_stream(job_id)
    assert (await system.api.job(job_id))["status"] == "cancelled"


async def test_the_stream_of_a_completed_job_is_never_removed(
    system: System, clips: Clips, jobs: Jobs, events: EventLog
) -> None:
    """A job was read as unfinished, and completed while it was found out that its workflow is gone."""
    finished = await system.process(clips.small)
    outcome = OutcomeActivities(open_storage(system.api.settings), events, jobs)
    lost = Outcome(job_id=UUID(finished.id), status=JobStatus.FAILED, stage=Stage.STORAGE, message="Lost")
    await outcome.record_outcome(lost)
    await ActivityEnvironment().run(outcome.discard, DiscardInput(job_id=UUID(finished.id), output=True, original=True))
    assert (await system.api.job(finished.id))["status"] == "completed"
    assert (await system.api.http.get(finished.job["playback"]["hls"])).status_code == 200
    assert any(name.startswith("input/") for name in system.api.stored)


async def test_a_workflow_that_no_job_has_is_ended_with_its_files(
    system: System, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a job that came after the backup of which the database was restored."""
    job_id = await system.api.post_ok_with(clips.small_bunny.read_bytes())
    await until_encoding(system, job_id)
    handle = await system.workflow(job_id)
    dsn = system.api.settings.database.dsn
    assert dsn
    await run_sql(dsn, "DELETE FROM jobs WHERE id = $1", UUID(job_id))
    assert await reconcile(system) == NOTHING, "a row of its own may be hidden for a moment"
    monkeypatch.setattr("activities.reconcile.CLEANING_UP", timedelta(0))
    assert (await reconcile(system)).workflows_of_no_job == 1
    assert (await handle.describe()).status is WorkflowExecutionStatus.TERMINATED
    await until_no_media_child()
    assert not any(name.startswith("input/") for name in system.api.stored)
