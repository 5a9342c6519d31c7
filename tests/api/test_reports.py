"""Jobs that others work on: reports come in as status messages, and go out as events like those of any job."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import COMPLETED, PROCESSING, accepted, progress, run_sql
from serving import Api, assert_problem, read_everywhere

from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus, Stage
from streamforge.db.chunks import ChunkBegun, ChunkDone, Chunks
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog
from streamforge.events.reports import Reports

BEGAN = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


async def made(api: Api, **fields: Any) -> str:
    answered = await api.http.post("/jobs", json={"kind": "external", "key": "films/intro.mp4"} | fields)
    assert answered.status_code == 201, answered.text
    job = answered.json()
    assert answered.headers["location"] == f"/jobs/{job['id']}"
    return str(job["id"])


def message(job_id: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    """What a worker says so long after it began."""
    said = {
        "videoId": "v-17",
        "jobId": job_id,
        "status": "processing",
        "timestamp": (BEGAN + timedelta(seconds=seconds)).isoformat(),
    }
    return said | ({"progress": 0} if "progress" not in fields and fields.get("status") is None else {}) | fields


async def report(api: Api, job_id: str, seconds: float = 0, **fields: Any) -> dict[str, Any]:
    answered = await api.http.post(f"/jobs/{job_id}/events", json=message(job_id, seconds, **fields))
    assert answered.status_code == 200, answered.text
    return dict(answered.json())


async def history(api: Api, job_id: object, **query: object) -> dict[str, Any]:
    answered = await api.http.get(f"/jobs/{job_id}/progress-history", params=query)
    assert answered.status_code == 200, answered.text
    return dict(answered.json())


async def test_a_job_is_told_of_by_its_reports_alone(api: Api) -> None:
    job_id = await made(api, external_id="v-17", metadata={"tenant": "acme"})
    waiting = await api.job(job_id)
    assert (waiting["kind"], waiting["status"], waiting["queue_position"]) == ("external", "pending", None)
    assert waiting["metadata"] == {"tenant": "acme"}

    async with api.stream(job_id) as frames:
        assert (await anext(frames)).data["status"] == "pending"
        begun = await report(api, job_id, 0, status="started")
        assert (begun["outcome"], begun["status"], begun["event"]["id"]) == ("recorded", "processing", 2)
        counts = {"duration": 61.5, "chunkCount": 3, "totalChunks": 8}
        far = await report(api, job_id, 10, progress=40.7, stage="transcoding", metadata=counts)
        assert (far["outcome"], far["progress"]) == ("recorded", 40)
        await report(api, job_id, 20, progress=60, stage="drawing thumbnails")
        await report(api, job_id, 30, status="completed", progress=100)
        seen = [frame async for frame in frames]
    assert [(frame.event, frame.data.get("stage"), frame.data.get("progress")) for frame in seen] == [
        ("progress", "uploading", 0), ("progress", "transcoding", 40), ("progress", "transcoding", 60),
        ("progress", "completed", 100), ("done", None, None),
    ]  # fmt: skip
    assert seen[1].data["details"]["report"]["metadata"] == counts
    assert seen[2].data["message"] == "drawing thumbnails"

    job = await read_everywhere(api, job_id)
    assert (job["status"], job["progress"], job["playback"], job["result"]) == ("completed", 100, None, None)
    assert job["completed_at"] is not None


async def test_in_the_words_of_its_reporters(api: Api) -> None:
    job_id = await made(api, external_id="v-17")
    counts = {"duration": 61.5, "chunkCount": 3, "totalChunks": 8}
    await report(api, job_id, 10, progress=40, stage="thumbnails", metadata=counts)
    now = (await api.http.get(f"/jobs/{job_id}/status-detailed")).json()
    assert datetime.fromisoformat(now.pop("timestamp")) <= datetime.now(UTC)
    assert now == {
        "videoId": "v-17", "jobId": job_id, "status": "processing", "progress": 40, "stage": "thumbnails", "error": None,
        "metadata": counts,
    }  # fmt: skip
    await report(api, job_id, 20, status="failed", error="The disk of encoder-3 is full")
    told = await history(api, job_id)
    assert (told["videoId"], told["jobId"], told["next"]) == ("v-17", job_id, None)
    assert [(each["status"], each["progress"], each["stage"], each["error"]) for each in told["events"]] == [
        ("started", 0, "uploading", None), ("processing", 40, "thumbnails", None),
        ("failed", 40, "failed", "The disk of encoder-3 is full"),
    ]  # fmt: skip
    assert told["events"][1]["metadata"] == counts
    first = await history(api, job_id, limit=2)
    assert (len(first["events"]), (await history(api, job_id, after=first["next"]))["events"]) == (
        2,
        told["events"][2:],
    )
    assert (await history(api, job_id, since=told["events"][2]["timestamp"]))["events"] == told["events"][2:]
    job = await api.job(job_id)
    assert job["error"] == {
        "code": "report.failed", "message": "The disk of encoder-3 is full", "stage": "transcoding", "fault": "service",
        "retryable": False,
    }  # fmt: skip


async def test_who_goes_back_or_says_it_again_is_told_so_and_nothing_is_lost(api: Api) -> None:
    job_id = await made(api)
    await report(api, job_id, 10, progress=50, stage="packaging")
    again = await report(api, job_id, 10, progress=50, stage="packaging")
    assert (again["outcome"], again["event"]["id"]) == ("repeated", 2)
    older = await report(api, job_id, 5, progress=80)
    assert (older["outcome"], older["progress"], older["event"]["data"]["progress"]) == ("behind", 50, 50)
    less = await report(api, job_id, 20, progress=30, stage="packaging")
    assert (less["outcome"], less["progress"]) == ("behind", 50)
    earlier_stage = await report(api, job_id, 21, progress=51, stage="transcoding")
    assert (earlier_stage["outcome"], earlier_stage["progress"]) == ("behind", 51)
    assert (await report(api, job_id, 5, progress=80))["outcome"] == "repeated"
    # The last word holds, though the clock of its machine is behind.
    assert (await report(api, job_id, 1, status="completed"))["outcome"] == "recorded"
    assert (await report(api, job_id, 1, status="completed"))["outcome"] == "repeated"

    events = (await api.http.get(f"/jobs/{job_id}/events")).json()["events"]
    assert [event["id"] for event in events] == [1, 2, 3, 4, 5, 6]
    assert [event["data"]["progress"] for event in events] == [0, 50, 50, 50, 51, 100]
    assert [event["data"]["details"]["report"].get("progress") for event in events[1:]] == [50, 80, 30, 51, None]
    late = await api.http.post(f"/jobs/{job_id}/events", json=message(job_id, 30, progress=90))
    assert_problem(late, 409, "job.already_over")


async def test_the_same_report_from_many_at_once_is_one_event(api: Api) -> None:
    job_id = await made(api)
    outcomes = await asyncio.gather(*(report(api, job_id, 10, progress=50) for _ in range(8)))
    assert sorted(each["outcome"] for each in outcomes) == ["recorded"] + ["repeated"] * 7
    assert {each["event"]["id"] for each in outcomes} == {2}
    many = await asyncio.gather(*(report(api, job_id, 10 + number, progress=number) for number in range(50, 70)))
    assert sorted(each["event"]["id"] for each in many) == list(range(3, 23))
    assert (await api.job(job_id))["progress"] == 69


async def test_what_makes_no_sense_is_refused_by_its_name(api: Api, rows: Jobs) -> None:
    job_id = await made(api, external_id="v-17")
    for fields, word in (
        ({"progress": 101}, "`progress`"), ({"progress": None}, "`progress`"), ({"status": "done"}, "`status`"),
        ({"status": "failed"}, "`error`"), ({"timestamp": "2026-01-31T12:00:00"}, "`timestamp`"),
        ({"timestamp": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}, "future"), ({"colour": 1}, "no field `colour`"),
        ({"metadata": {"frames": 1}}, "frames"), ({"metadata": {"chunkCount": -1}}, "chunkCount"), ({"stage": "a\nb"}, "`stage`"),
    ):  # fmt: skip
        refused = await api.http.post(f"/jobs/{job_id}/events", json=message(job_id) | fields)
        assert_problem(refused, 400, "request.invalid_field")
        assert word in refused.json()["detail"], refused.json()["detail"]
    for fields in ({"jobId": str(uuid4())}, {"videoId": "v-18"}):
        refused = await api.http.post(f"/jobs/{job_id}/events", json=message(job_id) | fields)
        assert_problem(refused, 409, "report.misdirected")
    nowhere = await api.http.post(f"/jobs/{uuid4()}/events", json=message(job_id))
    assert_problem(nowhere, 404, "job.not_found")
    ours = await accepted(rows)
    assert_problem(await api.http.post(f"/jobs/{ours}/events", json=message(str(ours))), 409, "job.not_external")
    for body in ({"kind": "video"}, {"key": "../x"}, {"silence_seconds": 1}, {"external_id": "a\nb"}):
        refused = await api.http.post("/jobs", json={"kind": "external", "key": "a.mp4"} | body)
        assert refused.status_code == 400, refused.text
    assert (await api.job(job_id))["status"] == "pending"


# ── control ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_it_is_cancelled_and_removed_like_others_and_its_worker_hears_of_it(api: Api) -> None:
    """Temporal is away: it has no part in this."""
    job_id = await made(api)
    await report(api, job_id, 10, progress=50)
    cancelled = await api.http.delete(f"/jobs/{job_id}")
    assert (cancelled.status_code, cancelled.json()["status"]) == (202, "cancelled")
    refused = await api.http.post(f"/jobs/{job_id}/events", json=message(job_id, 20, status="completed"))
    assert_problem(refused, 409, "job.already_over")
    assert (await api.http.get(f"/jobs/{job_id}/status-detailed")).json()["status"] == "failed"
    assert (await api.http.delete(f"/jobs/{job_id}?purge=true")).status_code == 204
    assert_problem(await api.http.get(f"/jobs/{job_id}"), 404, "job.not_found")


async def test_what_only_its_own_worker_could_do_is_refused(api: Api) -> None:
    job_id = await made(api)
    assert_problem(await api.http.post(f"/jobs/{job_id}/pause"), 409, "job.is_external")
    assert_problem(await api.http.post(f"/jobs/{job_id}/reprocess"), 409, "job.original_gone")
    await report(api, job_id, status="failed", error="No")
    assert_problem(await api.http.post(f"/jobs/{job_id}/retry"), 409, "job.cannot_be_retried")


async def test_it_is_no_job_of_our_workers(api: Api, rows: Jobs, events: EventLog) -> None:
    """Nobody starts it, nobody waits for it, and a worker of a version before cannot end it."""
    job_id = UUID(await made(api))
    waiting = await accepted(rows)
    assert [job.id for job in await rows.unlaunched()] == [waiting]
    assert await rows.launched_and_unfinished(10) == []
    assert (await api.job(waiting))["queue_position"] == 0
    stats = (await api.http.get("/queue/stats")).json()
    assert (stats["unfinished"], stats["waiting"]) == (1, 1)
    lost = JobChange(stage=Stage.UPLOADING, message="Lost", status=JobStatus.FAILED)
    assert await events.append(job_id, lost) is None
    patched = await api.http.patch(f"/jobs/{job_id}", json={"priority": 1})
    assert patched.json()["priority"] == 1
    assert await rows.to_control(10) == []


async def test_sent_again_under_a_name_it_is_made_once(api: Api) -> None:
    named = {"Idempotency-Key": "external-1"}
    body = {"kind": "external", "key": "a.mp4"}
    first, second = [await api.http.post("/jobs", json=body, headers=named) for _ in range(2)]
    assert first.json()["id"] == second.json()["id"]
    assert len((await api.http.get("/jobs")).json()["jobs"]) == 1


async def test_nobody_reports_for_too_long(api: Api, rows: Jobs, database: Database, database_dsn: str) -> None:
    silent, lively, over = await made(api, silence_seconds=60), await made(api, silence_seconds=60), await made(api)
    await report(api, over, status="completed")
    reports = Reports(database, rows)
    assert await reports.end_silent() == 0
    await run_sql(database_dsn, "UPDATE jobs SET report_due_at = now() - interval '1 second'")
    await report(api, lively, 10, progress=5)
    assert await reports.end_silent() == 1
    assert await reports.end_silent() == 0
    job = await api.job(silent)
    assert job["status"] == "failed"
    assert job["error"]["code"] == "report.silent"  # type: ignore[index]
    assert job["error_message"] == "Nobody has reported on the job for 60 seconds; look after its worker."
    assert [(await api.job(each))["status"] for each in (lively, over)] == ["processing", "completed"]


# ── the same words for jobs of ours ─────────────────────────────────────────────────────────────────────────────────
async def test_a_job_of_ours_in_these_words(api: Api, rows: Jobs, events: EventLog, database: Database) -> None:
    job_id = await accepted(rows, key="clip.mp4")
    now = (await api.http.get(f"/jobs/{job_id}/status-detailed")).json()
    assert (now["status"], now["videoId"], now["metadata"]["totalChunks"]) == ("started", "clip.mp4", None)
    await events.append(job_id, PROCESSING.model_copy(update={"source": {"duration": 8.5}}))
    chunks = Chunks(database)
    await chunks.plan(job_id, [(0, 4), (4, None)])
    begun = ChunkBegun(job_id=job_id, chunk=0, start=0, end=4, renditions=["480p"], attempt=1, worker="1@here")
    await chunks.begin(begun)
    await chunks.end(begun, ChunkDone(frames=96, size_bytes=10, vmaf=None, segments={}))
    await events.append(job_id, progress(30, "Encoding"))
    now = (await api.http.get(f"/jobs/{job_id}/status-detailed")).json()
    assert (now["status"], now["progress"], now["stage"]) == ("processing", 30, "transcoding")
    assert now["metadata"] == {"duration": 8.5, "chunkCount": 1, "totalChunks": 2}
    await events.append(job_id, COMPLETED)
    told = await history(api, job_id)
    assert [(each["status"], each["progress"]) for each in told["events"]] == [
        ("started", 5), ("processing", 10), ("processing", 30), ("completed", 100),
    ]  # fmt: skip
    assert told["events"][0]["metadata"]["duration"] == 8.5


@pytest.mark.parametrize("address", ["status-detailed", "progress-history"])
async def test_of_a_job_that_is_not_there(api: Api, address: str) -> None:
    assert_problem(await api.http.get(f"/jobs/{uuid4()}/{address}"), 404, "job.not_found")
    assert_problem(await api.http.get(f"/jobs/nonsense/{address}"), 400, "request.malformed_job_id")
