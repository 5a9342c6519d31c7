"""`/jobs`: looking, listing, cancelling; and that accepted jobs reach Temporal, whenever that is."""

import asyncio
import sys
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import CANCELLED, COMPLETED, FAILED, NOBODY, PROCESSING, accepted, progress, run_sql
from serving import Api, assert_problem, serving
from temporalio import activity, workflow
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError, WorkflowHandle
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import UnsandboxedWorkflowRunner, Worker

from streamforge.api.cancels import PAGE, Cancels
from streamforge.api.controls import Controls
from streamforge.api.launcher import Launcher
from streamforge.api.purges import Purges
from streamforge.api.workflows import Workflows
from streamforge.contracts import names, steps
from streamforge.contracts.events import JobChange, PartProgress
from streamforge.contracts.job import JobStatus, Playback, Stage
from streamforge.contracts.job_view import JobView
from streamforge.contracts.pipeline import Outcome, ProcessVideo, ProcessVideoResult
from streamforge.db.jobs import EVERYONE, JobOverview, JobRow, Jobs
from streamforge.errors import DatabaseUnavailable, TemporalUnavailable
from streamforge.events.log import EventLog, Report
from streamforge.settings import Settings, TemporalSettings
from streamforge.storage import open_storage


# ── looking ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_job_is_shown_as_the_contract_says(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows, key="my-video.mp4")
    await events.append(job_id, PROCESSING)
    await events.append(job_id, progress(45, "Transcoding"))
    job = await api.job(job_id)
    JobView.model_validate(job)
    assert {name: job[name] for name in ("id", "key", "bucket", "status", "stage", "progress")} == {
        "id": str(job_id),
        "key": "my-video.mp4",
        "bucket": "input",
        "status": "processing",
        "stage": "transcoding",
        "progress": 45,
    }
    assert str(job["created_at"]).endswith("Z")
    assert str(job["updated_at"]).endswith("Z")
    latest = job["latest_events"]
    assert isinstance(latest, list)
    assert [(event["stage"], event["progress"], event["message"]) for event in latest] == [
        ("transcoding", 45, "Transcoding"),
        ("uploading", 10, "File saved"),
        ("uploading", 5, "File received"),
    ]
    assert latest[0]["created_at"].endswith("Z")
    assert isinstance(job["eta_seconds"], float)


async def test_a_waiting_job_knows_its_place_in_the_queue(api: Api, rows: Jobs) -> None:
    await accepted(rows)
    job = await api.job(await accepted(rows))
    assert (job["queue_position"], job["eta_seconds"]) == (1, None)


async def test_how_long_a_job_still_takes_is_learnt_from_those_before_it(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    """Ten jobs that spent three quarters of their hundred seconds in validation."""
    part = PartProgress(part="0", done=1, whole=1, low=10, high=50)
    for _ in range(10):
        past = await accepted(rows)
        await events.append(past, progress(10), [Report(Stage.TRANSCODING, part.model_copy(update={"whole": 100}))])
        for percent, stage in ((50, Stage.VALIDATION), (60, Stage.PACKAGING), (85, Stage.STORAGE)):
            await events.append(past, progress(percent, stage=stage))
        await events.append(past, COMPLETED)
    await run_sql(
        database_dsn,
        "UPDATE progress_events SET created_at = now() - interval '1 day' + CASE stage WHEN 'validation' THEN 25 "
        "WHEN 'packaging' THEN 98 WHEN 'storage' THEN 99 WHEN 'completed' THEN 100 ELSE 0 END * interval '1 second'",
    )
    await run_sql(
        database_dsn,
        "UPDATE jobs SET work_began_at = now() - interval '1 day', "
        "completed_at = now() - interval '1 day' + interval '100 seconds'",
    )
    job_id = await accepted(rows)
    await events.append(job_id, PROCESSING)
    await events.append(job_id, progress(50, stage=Stage.VALIDATION), [Report(Stage.TRANSCODING, part)])
    await run_sql(database_dsn, "UPDATE jobs SET work_began_at = now() - interval '50 seconds' WHERE id = $1", job_id)
    job = await api.job(job_id)
    # By percent of progress it would be one minute; they needed three times as long for the rest as for the beginning.
    assert 90 < job["eta_seconds"] < 160  # type: ignore[operator]
    low, high = job["eta_interval"]  # type: ignore[misc]
    assert low <= job["eta_seconds"] <= high


async def test_a_job_that_gets_no_further_says_since_when(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    """Words alone are no progress: a report that repeats what was done changes nothing."""
    job_id = await accepted(rows)
    await events.append(job_id, PROCESSING)
    await run_sql(database_dsn, "UPDATE jobs SET moved_at = now() - interval '1 minute'")
    assert (await api.job(job_id))["stalled_since"] is None, "it waits, it is not stalled"
    part = PartProgress(part="0", done=50, whole=100, low=10, high=50)
    await events.append(job_id, progress(10), [Report(Stage.TRANSCODING, part)])
    assert (await api.job(job_id))["stalled_since"] is None
    [(moved,)] = await run_sql(
        database_dsn, "UPDATE jobs SET moved_at = now() - interval '1 minute' RETURNING moved_at"
    )
    await events.append(job_id, progress(10, "still at it"), [Report(Stage.TRANSCODING, part)])
    stalled = str((await api.job(job_id))["stalled_since"])
    assert datetime.fromisoformat(stalled) == moved
    further = part.model_copy(update={"done": 51})
    await events.append(job_id, progress(10), [Report(Stage.TRANSCODING, further)])
    assert (await api.job(job_id))["stalled_since"] is None


async def test_a_failed_job_says_why(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, FAILED)
    job = await api.job(job_id)
    assert (job["status"], job["stage"], job["error_message"]) == ("failed", "failed", "The file is not a video.")
    assert job["error"] == {
        "code": "input.not_a_video",
        "message": "The file is not a video.",
        "stage": "transcoding",
        "fault": "caller",
        "retryable": False,
    }
    assert job["completed_at"] is not None


async def test_a_completed_job_tells_what_to_play(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    playback = Playback(hls=f"/media/{job_id}/master.m3u8", dash=f"/media/{job_id}/manifest.mpd")
    await events.append(job_id, JobChange(stage=Stage.STORAGE, message="Stored", playback=playback))
    await events.append(job_id, COMPLETED)
    job = await api.job(job_id)
    assert job["playback"] == {**playback.model_dump()}
    assert job["progress"] == 100


async def test_an_id_that_is_none_and_one_that_is_nobodys(api: Api) -> None:
    for path in ("/jobs/{}", "/jobs/{}/stream", "/jobs/{}/events"):
        assert_problem(await api.http.get(path.format(uuid4())), 404, "job.not_found")
        for malformed in ("42", "{" + str(uuid4()) + "}", uuid4().hex):
            assert_problem(await api.http.get(path.format(malformed)), 400, "request.malformed_job_id")
    assert_problem(await api.http.delete(f"/jobs/{uuid4()}"), 404, "job.not_found")


# ── listing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_pages_cover_all_jobs_newest_first(api: Api, rows: Jobs) -> None:
    ids = [str(await accepted(rows)) for _ in range(5)]
    seen: list[str] = []
    query = {"limit": "2"}
    while True:
        page = (await api.http.get("/jobs", params=query)).json()
        seen += [job["id"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ids[::-1]


async def test_a_list_can_be_narrowed_to_a_status(api: Api, rows: Jobs, events: EventLog) -> None:
    await accepted(rows)
    failed = await accepted(rows)
    await events.append(failed, FAILED)
    page = (await api.http.get("/jobs", params={"status": "failed"})).json()
    assert [job["id"] for job in page["jobs"]] == [str(failed)]


async def test_an_empty_list(api: Api) -> None:
    assert (await api.http.get("/jobs")).json() == {"jobs": [], "next_cursor": None}


async def test_parameters_that_make_no_sense(api: Api) -> None:
    bad = [
        {"limit": "0"}, {"limit": "101"}, {"limit": "x"}, {"status": "asleep"},
        {"cursor": "nonsense"}, {"cursor": "W10="}, {"cursor": "WyJhIiwgImIiXQ=="}, {"cursor": "é"},
    ]  # fmt: skip
    for query in bad:
        assert_problem(await api.http.get("/jobs", params=query), 400, "request.invalid_field")


async def test_the_log_of_a_job_is_read_in_pages(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    for percent in (20, 30):
        await events.append(job_id, progress(percent))
    page = (await api.http.get(f"/jobs/{job_id}/events", params={"after": 1, "limit": 1})).json()
    assert [(event["id"], event["data"]["progress"]) for event in page["events"]] == [(2, 20)]
    assert page["next"] == 2
    last = (await api.http.get(f"/jobs/{job_id}/events", params={"after": page["next"], "limit": 2})).json()
    assert [event["id"] for event in last["events"]] == [3]
    assert last["next"] is None
    nothing = (await api.http.get(f"/jobs/{job_id}/events", params={"after": 3})).json()
    assert nothing == {"events": [], "next": None}


async def test_the_log_of_a_job_can_begin_at_a_moment(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, progress(20))
    everything = (await api.http.get(f"/jobs/{job_id}/events")).json()["events"]
    moment = everything[1]["created_at"]
    for since in (moment, moment.replace("Z", "+00:00"), moment.removesuffix("Z")):
        later = (await api.http.get(f"/jobs/{job_id}/events", params={"since": since})).json()["events"]
        assert later == everything[1:]
    for nonsense in ("yesterday", "", "0001-01-01T00:00:00+14:00", "9" * 30):
        response = await api.http.get(f"/jobs/{job_id}/events", params={"since": nonsense})
        assert_problem(response, 400, "request.invalid_field")


async def test_some_jobs_by_their_ids_in_the_order_asked(api: Api, rows: Jobs) -> None:
    first, _, third = [str(await accepted(rows)) for _ in range(3)]
    page = (await api.http.get("/jobs", params={"ids": f"{third},{uuid4()}, {first}"})).json()
    assert [job["id"] for job in page["jobs"]] == [third, first]
    assert page["next_cursor"] is None
    assert page["jobs"][0] == await api.job(third)
    assert_problem(await api.http.get("/jobs?ids="), 400, "request.malformed_job_id")
    assert_problem(await api.http.get(f"/jobs?ids={first},x"), 400, "request.malformed_job_id")
    many = ",".join(str(uuid4()) for _ in range(101))
    assert_problem(await api.http.get(f"/jobs?ids={many}"), 400, "request.invalid_field")


@pytest.mark.parametrize(
    ("method", "path", "sentence"),
    [
        ("GET", "/jobs?limt=3", "There is no query parameter `limt`; the nearest is `limit`."),
        ("GET", "/jobs?page=3", "There is no query parameter `page`."),
        ("GET", "/jobs?limit=3&limit=4", "The query parameter `limit` is there twice."),
        ("GET", "/jobs?ids=x&limit=4", "There is no query parameter `limit` beside `ids`."),
        ("GET", f"/jobs/{NOBODY}/events?afer=3", "There is no query parameter `afer`; the nearest is `after`."),
        ("DELETE", f"/jobs/{NOBODY}?force=true", "There is no query parameter `force`."),
        ("GET", "/stream?last_event=3", "There is no query parameter `last_event`; the nearest is `last_event_id`."),
        ("GET", f"/jobs/{NOBODY}/stream?since=3", "There is no query parameter `since`."),
        ("GET", f"/batches/{NOBODY}/stream?since=3", "There is no query parameter `since`."),
    ],
)
async def test_a_parameter_nobody_knows_is_refused_by_its_name(api: Api, method: str, path: str, sentence: str) -> None:
    response = await api.http.request(method, path)
    assert_problem(response, 400, "request.invalid_field")
    assert response.json()["detail"] == sentence


# ── reaching Temporal ───────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
async def temporal(temporal_address: str) -> Client:
    return await Client.connect(temporal_address, data_converter=pydantic_data_converter)


async def launched(rows: Jobs, job_id: str) -> None:
    """Until the launcher has handed the job over."""
    async with asyncio.timeout(20):
        while (job := await rows.of(EVERYONE).get(UUID(job_id))) is None or job.launched_at is None:
            await asyncio.sleep(0.01)


async def test_an_accepted_job_becomes_a_workflow_that_can_be_found(
    api_with_temporal: Api, rows: Jobs, temporal: Client
) -> None:
    job_id = await api_with_temporal.post_ok(key="films/intro.mp4", priority="2")
    await launched(rows, job_id)
    workflow_id = str((await api_with_temporal.job(job_id))["workflow_id"])
    run = await temporal.get_workflow_handle(workflow_id).describe()
    assert (run.workflow_type, run.task_queue) == ("ProcessVideo", "video-processing")
    attributes = {pair.key.name: pair.value for pair in run.typed_search_attributes}
    assert attributes["StreamForgeJobId"] == job_id
    assert attributes["StreamForgeKey"] == "films/intro.mp4"
    assert attributes["StreamForgeStage"] == "uploading"
    assert "films/intro.mp4" in str(await run.static_summary())


async def test_a_job_accepted_while_temporal_is_away_waits_and_is_started_when_it_is_back(
    settings: Settings, rows: Jobs
) -> None:
    address = str(settings.temporal.address)
    async with serving(settings) as api:
        job_id = await api.post_ok()
        assert (await api.job(job_id))["status"] == "pending"
        async with await _temporal_on(int(address.rpartition(":")[2])) as server:
            await launched(rows, job_id)
            assert [w.id async for w in server.client.list_workflows()] == [(await api.job(job_id))["workflow_id"]]


async def test_what_a_killed_api_owed_is_started_by_the_next(
    settings: Settings, rows: Jobs, temporal_address: str
) -> None:
    job_id = str(await accepted(rows))
    with_temporal = settings.model_copy(update={"temporal": TemporalSettings(address=temporal_address)})
    async with serving(with_temporal):
        await launched(rows, job_id)


async def test_two_apis_that_start_the_same_job_start_it_once(
    settings: Settings, rows: Jobs, temporal_address: str, temporal: Client
) -> None:
    ids = [str(await accepted(rows)) for _ in range(5)]
    with_temporal = settings.model_copy(update={"temporal": TemporalSettings(address=temporal_address)})
    async with serving(with_temporal), serving(with_temporal):
        for job_id in ids:
            await launched(rows, job_id)
    for job in await rows.of(EVERYONE).newest(10):
        assert (await temporal.get_workflow_handle(job.workflow_id).describe()).status is not None


async def _temporal_on(port: int) -> WorkflowEnvironment:
    binary = str(Path(sys.executable).parent / "temporal")
    return await WorkflowEnvironment.start_local(port=port, dev_server_existing_path=binary)


# ── cancelling ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_job_that_was_never_launched_is_cancelled_at_once(api: Api) -> None:
    """Temporal is away: there is nothing to tell it."""
    job_id = await api.post_ok()
    response = await api.http.delete(f"/jobs/{job_id}")
    assert response.status_code == 202
    assert response.json()["status"] == "cancelled"
    assert [frame.event for frame in await api.whole_stream(job_id)] == ["status", "done"]
    assert api.stored == [], "nobody will need its bytes"


async def test_cancelling_twice_is_harmless_and_cancelling_what_is_over_is_a_conflict(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    cancelled, completed, failed = [await accepted(rows) for _ in range(3)]
    for job_id, ending in ((cancelled, CANCELLED), (completed, COMPLETED), (failed, FAILED)):
        await events.append(job_id, ending)
    assert (await api.http.delete(f"/jobs/{cancelled}")).json()["status"] == "cancelled"
    assert_problem(await api.http.delete(f"/jobs/{completed}"), 409, "job.already_over")
    assert_problem(await api.http.delete(f"/jobs/{failed}"), 409, "job.already_over")


async def test_a_cancel_that_temporal_could_not_be_told_comes_true_when_it_is_back(
    settings: Settings, rows: Jobs, events: EventLog
) -> None:
    job_id = await accepted(rows)
    await rows.mark_launched(job_id)
    address = str(settings.temporal.address)
    async with serving(settings) as api:
        response = await api.http.delete(f"/jobs/{job_id}")
        assert (response.status_code, response.json()["status"]) == (202, "pending")
        assert await events.append(job_id, COMPLETED) is None, "it was promised that it does not complete"
        async with await _temporal_on(int(address.rpartition(":")[2])):
            assert [frame.event for frame in await api.whole_stream(job_id)][-1] == "done"
        assert (await api.job(job_id))["status"] == "cancelled"


async def test_a_cancel_whose_api_was_killed_before_it_told_anybody_is_delivered_by_the_next(
    settings: Settings, rows: Jobs, temporal_address: str
) -> None:
    waiting, launched_one = await accepted(rows), await accepted(rows)
    await rows.mark_launched(launched_one)
    for job_id in (waiting, launched_one):
        assert await rows.of(EVERYONE).request_cancel(job_id)
    with_temporal = settings.model_copy(update={"temporal": TemporalSettings(address=temporal_address)})
    async with serving(with_temporal) as api:
        for job_id in (waiting, launched_one):
            await api.whole_stream(job_id)
            assert (await api.job(job_id))["status"] == "cancelled"


class Told(list[str]):
    """Stands in for Temporal, of which each workflow of `unreachable` cannot be told."""

    def __init__(self, unreachable: Collection[str] = ()) -> None:
        super().__init__()
        self.unreachable = unreachable

    async def cancel(self, workflow_id: str) -> bool:
        if workflow_id in self.unreachable:
            raise TemporalUnavailable("Temporal does not answer.")
        self.append(workflow_id)
        return True


async def marked(rows: Jobs) -> JobOverview:
    job_id = await accepted(rows)
    await rows.mark_launched(job_id)
    assert await rows.of(EVERYONE).request_cancel(job_id)
    job = await rows.of(EVERYONE).get(job_id)
    assert job is not None
    return job


async def test_each_cancel_is_told_once_and_one_that_cannot_be_holds_up_no_other(
    rows: Jobs, events: EventLog, settings: Settings
) -> None:
    jobs = [await marked(rows) for _ in range(PAGE + 5)]
    told = Told(unreachable=[jobs[3].workflow_id])
    cancels = Cancels(rows, events, told, open_storage(settings))  # type: ignore[arg-type]
    assert not await cancels.deliver_all()
    assert len(set(told)) == len(told) == PAGE + 4
    told.unreachable = ()
    assert await cancels.deliver_all()
    assert told[PAGE + 4 :] == [jobs[3].workflow_id], "the others are their workflows' to bring about"


async def test_a_cancel_that_cannot_be_told_holds_up_no_start(rows: Jobs, events: EventLog, settings: Settings) -> None:
    stuck = await marked(rows)
    waiting = await accepted(rows)

    class Temporal(Told):
        async def start(self, job: JobRow) -> None:
            self.append(job.workflow_id)

    temporal = Temporal(unreachable=[stuck.workflow_id])
    cancels = Cancels(rows, events, temporal, open_storage(settings))  # type: ignore[arg-type]
    store = open_storage(settings)
    controls = Controls(rows, events, temporal)  # type: ignore[arg-type]
    async with Launcher(rows, temporal, cancels, controls, Purges(rows, store)):  # type: ignore[arg-type]
        await launched(rows, str(waiting))
    assert len(temporal) == 1


async def test_a_job_whose_workflow_was_terminated_is_cancelled_at_once(
    api_with_temporal: Api, rows: Jobs, temporal: Client
) -> None:
    """To cancel a closed workflow is no error to Temporal."""
    job_id = await api_with_temporal.post_ok()
    await launched(rows, job_id)
    job = await api_with_temporal.job(job_id)
    await temporal.get_workflow_handle(str(job["workflow_id"])).terminate()
    response = await api_with_temporal.http.delete(f"/jobs/{job_id}")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")
    assert api_with_temporal.stored == []


async def test_a_cancel_that_was_cut_off_behind_its_mark_is_delivered(
    api_with_temporal: Api, rows: Jobs, temporal: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The client is told of an error, and the job will not complete: then its workflow has to hear of it, too."""
    told = Cancels.deliver
    failures = [DatabaseUnavailable("Away.")]

    async def fail_once(self: Cancels, job: JobRow) -> None:
        if failures:
            raise failures.pop()
        await told(self, job)

    monkeypatch.setattr(Cancels, "deliver", fail_once)
    job_id = await api_with_temporal.post_ok()
    await launched(rows, job_id)
    assert (await api_with_temporal.http.delete(f"/jobs/{job_id}")).status_code == 503
    handle = temporal.get_workflow_handle(str((await api_with_temporal.job(job_id))["workflow_id"]))
    async with asyncio.timeout(20):
        while not await asked_to_cancel(handle):
            await asyncio.sleep(0.02)


async def asked_to_cancel(handle: WorkflowHandle[Any, Any]) -> bool:
    history = await handle.fetch_history()
    return any(event.HasField("workflow_execution_cancel_requested_event_attributes") for event in history.events)


async def test_a_workflow_temporal_has_forgotten_does_not_keep_its_job_from_being_cancelled(
    api_with_temporal: Api, rows: Jobs
) -> None:
    job_id = await accepted(rows)
    await rows.mark_launched(job_id)
    response = await api_with_temporal.http.delete(f"/jobs/{job_id}")
    assert (response.status_code, response.json()["status"]) == (202, "cancelled")


async def test_a_job_cancelled_while_it_is_being_started_does_not_run(
    api_with_temporal: Api, rows: Jobs, events: EventLog, temporal: Client, settings: Settings
) -> None:
    """The launcher has read the row, the caller cancels, the launcher starts the workflow: it must notice."""
    job_id = await accepted(rows)
    before = (await rows.unlaunched())[0]
    await events.append(job_id, CANCELLED)
    workflows = Workflows(temporal)
    store = open_storage(settings)
    cancels, controls = Cancels(rows, events, workflows, store), Controls(rows, events, workflows)
    launcher = Launcher(rows, workflows, cancels, controls, Purges(rows, store))
    assert await launcher._launch(before)
    assert await asked_to_cancel(temporal.get_workflow_handle(before.workflow_id))


@workflow.defn(name=names.PROCESS_VIDEO)
class WaitsToBeCancelled:
    """Stands in for the real workflow: it works until somebody cancels it, and then says so in the log."""

    @workflow.run
    async def run(self, job: ProcessVideo) -> ProcessVideoResult:
        try:
            await workflow.wait_condition(lambda: False)
        except asyncio.CancelledError:
            outcome = Outcome(job_id=job.job_id, status=JobStatus.CANCELLED, stage=Stage.CANCELLED, message="Cancelled")
            await workflow.execute_activity(
                steps.RECORD_OUTCOME.name, outcome, start_to_close_timeout=timedelta(seconds=10)
            )
            raise
        raise AssertionError("never")


async def test_cancelling_a_running_job_ends_its_workflow_and_its_stream(
    api_with_temporal: Api, rows: Jobs, events: EventLog, temporal: Client
) -> None:
    @activity.defn(name=steps.RECORD_OUTCOME.name)
    async def record(outcome: Outcome) -> None:
        await events.append(
            outcome.job_id, JobChange(stage=outcome.stage, status=outcome.status, message=outcome.message)
        )

    worker = Worker(
        temporal,
        task_queue=names.TASK_QUEUE,
        workflows=[WaitsToBeCancelled],
        activities=[record],
        workflow_runner=UnsandboxedWorkflowRunner(),
    )
    async with worker:
        job_id = await api_with_temporal.post_ok()
        await launched(rows, job_id)
        async with api_with_temporal.stream(job_id) as frames:
            assert (await anext(frames)).event == "status"
            response = await api_with_temporal.http.delete(f"/jobs/{job_id}")
            again = await api_with_temporal.http.delete(f"/jobs/{job_id}")
            assert (response.status_code, again.status_code) == (202, 202)
            ending = [frame async for frame in frames]
        assert [frame.event for frame in ending] == ["progress", "done"]
        assert ending[0].data["stage"] == "cancelled"
        handle = temporal.get_workflow_handle(response.json()["workflow_id"])
        with pytest.raises(WorkflowFailureError):
            await handle.result()
        assert (await handle.describe()).status is WorkflowExecutionStatus.CANCELED
