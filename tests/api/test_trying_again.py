"""`retry` and `reprocess`: the same video once more."""

import asyncio
from uuid import UUID

from factories import COMPLETED, FAILED, accepted, run_sql
from serving import Api, assert_problem

from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.events.log import EventLog
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage


def store(api: Api) -> LocalStorage:
    return LocalStorage(api.settings.data_dir / "storage")


async def failed(api: Api, events: EventLog, **fields: str) -> UUID:
    """With something that was encoded of it."""
    job_id = UUID(await api.post_ok(**fields))
    await events.append(job_id, FAILED)
    await store(api).put_bytes(layout.work_record(job_id, "chunk-00000"), b"{}")
    await store(api).put_bytes(layout.output(job_id, "480p/0.m4s"), b"x")
    return job_id


async def until_launched(rows: Jobs, job_id: UUID) -> None:
    async with asyncio.timeout(20):
        while (job := await rows.of(EVERYONE).get(job_id)) is None or job.launched_at is None:
            await asyncio.sleep(0.02)


async def test_a_job_that_failed_begins_again_with_what_is_there(
    api_with_temporal: Api, rows: Jobs, events: EventLog
) -> None:
    api = api_with_temporal
    job_id = await failed(api, events, priority="2")
    await until_launched(rows, job_id)
    before = await api.job(job_id)
    # Its workflow, which nobody works on here, would still clear away.
    running = await api.http.post(f"/jobs/{job_id}/retry")
    assert_problem(running, 409, "job.cannot_be_retried")
    await _terminate(api, str(before["workflow_id"]))
    again = await api.http.post(f"/jobs/{job_id}/retry", json={"from": "packaging"})
    assert again.status_code == 202, again.text
    job = again.json()
    assert (job["status"], job["stage"], job["error"], job["retries"], job["priority"]) == (
        "pending", "uploading", None, 1, 2,
    )  # fmt: skip
    assert job["completed_at"] is None
    assert job["workflow_id"] == f"{before['workflow_id']}-retry-1"
    assert job["latest_events"][0]["message"] == "Tried again from packaging"
    assert len(api.stored) == 3, "what was encoded is there"
    await until_launched(rows, job_id)
    assert_problem(await api.http.post(f"/jobs/{job_id}/retry"), 409, "job.cannot_be_retried")
    await events.append(job_id, COMPLETED)
    assert (await api.job(job_id))["status"] == "completed"


async def _terminate(api: Api, workflow_id: str) -> None:
    from temporalio.client import Client

    client = await Client.connect(str(api.settings.temporal.address))
    await client.get_workflow_handle(workflow_id).terminate()


async def test_to_begin_with_an_early_stage_is_to_encode_anew(
    api_with_temporal: Api, rows: Jobs, events: EventLog
) -> None:
    api = api_with_temporal
    job_id = await failed(api, events)
    await until_launched(rows, job_id)
    await _terminate(api, str((await api.job(job_id))["workflow_id"]))
    assert (await api.http.post(f"/jobs/{job_id}/retry", json={"from": "transcoding"})).status_code == 202
    assert api.stored == [layout.original(job_id)]


async def test_what_cannot_be_tried_again_says_why(api_with_temporal: Api, rows: Jobs, events: EventLog) -> None:
    api = api_with_temporal
    done = await accepted(rows)
    assert_problem(await api.http.post(f"/jobs/{done}/retry"), 409, "job.cannot_be_retried")
    await events.append(done, COMPLETED)
    assert_problem(await api.http.post(f"/jobs/{done}/retry"), 409, "job.cannot_be_retried")
    gone = await accepted(rows)
    await events.append(gone, FAILED)
    assert_problem(await api.http.post(f"/jobs/{gone}/retry"), 409, "job.original_gone")
    for body in ({"from": "completed"}, {"from": "x"}, {"form": "packaging"}, {"from": 1}):
        assert_problem(await api.http.post(f"/jobs/{gone}/retry", json=body), 400, "request.invalid_field")


async def test_a_batch_counts_a_job_that_is_tried_again_once(
    api_with_temporal: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    api = api_with_temporal
    files = {"video": ("a.mp4", b"some bytes", "video/mp4")}
    batch = (await api.http.post("/batches", files=files)).raise_for_status().json()
    job_id = UUID(batch["jobs"][0]["job_id"])
    await until_launched(rows, job_id)
    await events.append(job_id, FAILED)
    await _terminate(api, str((await api.job(job_id))["workflow_id"]))
    counts = "SELECT completed, failed FROM batches"
    assert [tuple(row) for row in await run_sql(database_dsn, counts)] == [(0, 1)]
    assert (await api.http.post(f"/jobs/{job_id}/retry")).status_code == 202
    await events.append(job_id, COMPLETED)
    assert [tuple(row) for row in await run_sql(database_dsn, counts)] == [(1, 0)]


async def test_another_job_is_made_of_the_video_that_is_kept(api: Api, rows: Jobs, events: EventLog) -> None:
    first = UUID(await api.post_ok(key="film.mp4", priority="2", metadata='{"a": 1}'))
    await events.append(first, COMPLETED)
    made = await api.http.post(f"/jobs/{first}/reprocess", json={"profile": "hevc"})
    assert made.status_code == 202, made.text
    second = UUID(made.json()["job_id"])
    job = await api.job(second)
    assert (job["key"], job["profile"], job["priority"], job["metadata"]) == ("film.mp4", "hevc", 2, {"a": 1})
    assert await store(api).get_bytes(layout.original(second)) == b"some bytes"
    assert await store(api).get_bytes(layout.original(first)) == b"some bytes"
    assert (await api.job(first))["profile"] is None
    refused = await api.http.post(f"/jobs/{first}/reprocess", json={"profile": "none of ours"})
    assert_problem(refused, 400, "request.invalid_field")
    assert_problem(await api.http.post(f"/jobs/{await accepted(rows)}/reprocess"), 409, "job.original_gone")
