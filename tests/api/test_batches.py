"""`/batches`: many videos as one, and what becomes of the others when one of them fails."""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from factories import CANCELLED, COMPLETED, FAILED, progress
from serving import Api, assert_problem
from sse import Frame, read_frames

from streamforge.contracts.events import JobChange
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog


async def send(api: Api, *videos: tuple[str, bytes], **fields: str) -> Any:
    files = [("video", (name, content, "video/mp4")) for name, content in videos]
    return await api.http.post("/batches", files=files, data=fields)


async def batch_of(api: Api, count: int) -> tuple[str, list[str]]:
    answer = (await send(api, *((f"{n}.mp4", b"some bytes") for n in range(count)))).json()
    return answer["batch_id"], [job["job_id"] for job in answer["jobs"]]


async def stream(api: Api, batch_id: str, **options: Any) -> list[Frame]:
    async with api.http.stream("GET", f"/batches/{batch_id}/stream", **options) as response:
        assert response.status_code == 200
        return [frame async for frame in read_frames(response)]


async def test_each_video_of_a_batch_becomes_a_job_with_the_fields_of_all(api: Api, rows: Jobs) -> None:
    answer = await send(api, ("a.mp4", b"aaa"), ("b.mov", b"bbbb"), priority="1", metadata='{"tour": 7}')
    assert answer.status_code == 202
    body = answer.json()
    assert answer.headers["location"] == f"/batches/{body['batch_id']}"
    assert [job["key"] for job in body["jobs"]] == ["a.mp4", "b.mov"]
    assert body["rejected"] == []
    jobs = [await api.job(job["job_id"]) for job in body["jobs"]]
    assert [(job["size_bytes"], job["priority"], job["metadata"]) for job in jobs] == [
        (3, 1, {"tour": 7}),
        (4, 1, {"tour": 7}),
    ]
    assert len(api.stored) == 2
    assert api.uploads == []
    batch = (await api.http.get(answer.headers["location"])).json()
    assert {name: batch[name] for name in ("status", "current", "total", "progress")} == {
        "status": "processing",
        "current": 0,
        "total": 2,
        "progress": 5,
    }
    assert [job["job_id"] for job in batch["jobs"]] == [job["job_id"] for job in body["jobs"]]


async def test_a_video_that_cannot_be_taken_does_not_take_the_others_with_it(api: Api) -> None:
    body = (
        await send(api, ("a.mp4", b"aaa"), ("empty.mp4", b""), ("huge.mp4", b"x" * 200_001), ("z.mp4", b"z"))
    ).json()
    assert [job["key"] for job in body["jobs"]] == ["a.mp4", "z.mp4"]
    assert [(each["key"], each["code"]) for each in body["rejected"]] == [
        ("empty.mp4", "input.empty"),
        ("huge.mp4", "input.too_large"),
    ]
    assert (await api.http.get(f"/batches/{body['batch_id']}")).json()["total"] == 2
    assert api.uploads == []


async def test_a_batch_of_nothing(api: Api, rows: Jobs) -> None:
    assert_problem(await send(api, ("empty.mp4", b"")), 400, "input.empty")
    assert_problem(await api.http.post("/batches", data={"priority": "1"}), 400, "request.missing_video")
    assert_problem(await send(api, ("a.mp4", b"a"), key="b"), 400, "request.invalid_field")
    assert_problem(await send(api, ("a.mp4", b"a"), priority="9"), 400, "request.invalid_field")
    assert await rows.newest(10) == []


async def test_a_batch_that_is_nobodys(api: Api) -> None:
    for path in ("/batches/{}", "/batches/{}/stream"):
        assert_problem(await api.http.get(path.format(uuid4())), 404, "batch.not_found")
        assert_problem(await api.http.get(path.format("42")), 400, "request.malformed_batch_id")


async def test_one_stream_counts_the_jobs_that_are_over_and_ends_with_the_last(api: Api, events: EventLog) -> None:
    batch_id, (first, second, third) = await batch_of(api, 3)
    _, others = await batch_of(api, 1)
    watching = asyncio.create_task(stream(api, batch_id, headers={"Last-Event-ID": "0"}))
    await events.append(first, progress(50))
    await events.append(others[0], progress(50))
    await events.append(second, FAILED)
    await events.append(others[0], COMPLETED)
    await events.append(first, COMPLETED)
    await events.append(third, CANCELLED)
    status, *told, done = await watching
    assert (status.event, done.event) == ("status", "done")
    assert {frame.data["job_id"] for frame in told} == {first, second, third}
    assert all(frame.data["batch_id"] == batch_id for frame in told)
    numbers = [frame.id or 0 for frame in told]
    assert numbers == sorted(set(numbers))
    counters = [frame.data["details"]["batch"] for frame in told if "details" in frame.data]
    assert [(each["current"], each["total"], each["failed"]) for each in counters] == [(1, 3, 1), (2, 3, 1), (3, 3, 1)]


@pytest.mark.parametrize(
    ("endings", "status"),
    [
        ((COMPLETED, COMPLETED), "completed"),
        ((COMPLETED, FAILED), "partial"),
        ((FAILED, CANCELLED), "failed"),
        ((COMPLETED,), "processing"),
    ],
)
async def test_how_a_batch_ends(api: Api, events: EventLog, endings: tuple[JobChange, ...], status: str) -> None:
    batch_id, jobs = await batch_of(api, 2)
    for job_id, ending in zip(jobs, endings, strict=False):
        await events.append(job_id, ending)
    batch = (await api.http.get(f"/batches/{batch_id}")).json()
    assert (batch["status"], batch["current"]) == (status, len(endings))


async def test_a_client_that_has_seen_the_end_of_a_batch_is_told_not_to_come_back(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    batch_id, jobs = await batch_of(api, 2)
    for job_id in jobs:
        await events.append(job_id, COMPLETED)
    await batch_of(api, 1)
    frames = await stream(api, batch_id)
    assert [frame.event for frame in frames] == ["status", "done"]
    again = await api.http.get(f"/batches/{batch_id}/stream", headers={"Last-Event-ID": str(frames[0].id)})
    assert again.status_code == 204


async def test_a_batch_goes_with_the_last_of_its_jobs(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    batch_id, jobs = await batch_of(api, 2)
    for job_id in jobs:
        await events.append(job_id, COMPLETED)
    gone = await rows.delete([job.id for job in await rows.newest(10)])
    assert len(gone) == 2
    assert_problem(await api.http.get(f"/batches/{batch_id}"), 404, "batch.not_found")
