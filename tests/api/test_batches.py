"""`/batches`: many videos as one, and what becomes of the others when one of them fails."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import CANCELLED, COMPLETED, FAILED, progress
from serving import Api, assert_problem
from sse import Frame, read_frames
from temporalio.testing import ActivityEnvironment

from activities.retention import RetentionActivities
from streamforge.contracts.events import JobChange
from streamforge.contracts.pipeline import SweepInput
from streamforge.db.audit import AuditLog
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.webhooks import Deliveries
from streamforge.events.log import EventLog
from streamforge.settings import RetentionSettings
from streamforge.storage import open_storage

BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}
OPEN, NEXT, CLOSE = b"--b\r\n", b"\r\n", b"--\r\n"


def part(name: str, filename: str | None, content: bytes = b"some bytes") -> bytes:
    """With the boundary that ends it, where NEXT or CLOSE follows."""
    of_file = f'; filename="{filename}"' if filename else ""
    head = f'Content-Disposition: form-data; name="{name}"{of_file}\r\n\r\n'
    return head.encode() + content + b"\r\n--b"


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not is_so():
            await asyncio.sleep(0.01)


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
    assert await rows.of(EVERYONE).newest(10) == []


BROKEN = {
    "one video too many": [part("video", "c.mp4"), NEXT, part("video", "d.mp4"), CLOSE],
    "a wrong field at its end": [part("priority", None, b"9"), CLOSE],
    "a key": [part("key", None, b"x"), CLOSE],
    "an end before the end": [b"\r\n"],
    "a part without a name": [b"Content-Disposition: form-data\r\n\r\nx\r\n--b", CLOSE],
    "a client who goes in the middle": [part("video", "c.mp4")[:-5], None],
}


@pytest.mark.parametrize("why", BROKEN)
async def test_a_refused_batch_leaves_nothing(api: Api, rows: Jobs, monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """Its videos are in the store by then."""
    monkeypatch.setattr("streamforge.api.routes.batches.MAX_VIDEOS", 3)

    async def body() -> AsyncIterator[bytes]:
        yield OPEN + part("video", "a.mp4") + NEXT + part("video", "b.mp4") + NEXT
        await until(lambda: len(api.stored) == 2)
        for piece in BROKEN[why]:
            if piece is None:
                raise ConnectionAbortedError
            yield piece

    sending = api.http.post("/batches", content=body(), headers=BOUNDARY)
    if None in BROKEN[why]:
        with pytest.raises(ConnectionAbortedError):
            await sending
    else:
        assert (await sending).status_code == 400
    await until(lambda: api.stored == [] and api.uploads == [])
    assert await rows.of(EVERYONE).newest(10) == []


async def test_a_batch_that_takes_a_day_to_arrive_is_announced_to_the_sweep(
    api: Api, rows: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamforge.api.routes.batches.ANNOUNCE_EVERY_SECONDS", 0.01)
    sweep = RetentionActivities(
        open_storage(api.settings), rows, RetentionSettings(), AuditLog(rows._database), Deliveries(rows._database)
    )

    async def body() -> AsyncIterator[bytes]:
        yield OPEN + part("video", "a.mp4") + NEXT
        await until(lambda: api.stored and api.stored[0].endswith("/original"))  # Not while it is written aside.
        [name] = api.stored
        two_days_ago = time.time() - 2 * 86400
        os.utime(api.settings.data_dir / "storage" / name, (two_days_ago, two_days_ago))
        job_id = UUID(name.split("/")[1])
        async with asyncio.timeout(20):
            while not await rows.existing([job_id], datetime.now(UTC) - timedelta(hours=1)):
                await asyncio.sleep(0.01)
        swept = await ActivityEnvironment().run(sweep.sweep, SweepInput())
        assert swept.orphans_removed == 0
        yield part("video", "b.mp4") + CLOSE

    answer = await api.http.post("/batches", content=body(), headers=BOUNDARY)
    assert answer.status_code == 202
    assert api.stored == sorted(f"input/{job['job_id']}/original" for job in answer.json()["jobs"])


async def test_a_field_nobody_knows_refuses_a_batch(api: Api) -> None:
    for fields, sentence in (
        ({"prioritty": "1"}, "There is no field `prioritty`; the nearest is `priority`."),
        ({"kee": "1"}, "There is no field `kee`."),
    ):
        refused = await send(api, ("a.mp4", b"a"), **fields)
        assert_problem(refused, 400, "request.invalid_field")
        assert refused.json()["detail"] == sentence
    wrong = await api.http.post("/batches", files=[("videos", ("a.mp4", b"a", "video/mp4"))])
    assert_problem(wrong, 400, "request.missing_video")
    assert_problem(
        await api.http.post("/batches?priority=1", files={"video": ("a.mp4", b"a")}), 400, "request.invalid_field"
    )
    assert api.stored == []


async def test_an_input_that_nobody_filled_in_does_not_take_the_others_with_it(api: Api) -> None:
    """What a browser sends for it: a file without a name or a byte."""
    boundary = "b0undary"
    parts = ['filename=""\r\n\r\n', 'filename="a.mp4"\r\n\r\nbytes', f'filename="{"x" * 300}.mp4"\r\n\r\nbytes']
    body = "".join(f'--{boundary}\r\nContent-Disposition: form-data; name="video"; {part}\r\n' for part in parts)
    answer = await api.http.post(
        "/batches",
        content=f"{body}--{boundary}--\r\n",
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
    )
    assert [job["key"] for job in answer.json()["jobs"]] == ["a.mp4", f"{'x' * 251}.mp4"]
    assert [each["code"] for each in answer.json()["rejected"]] == ["request.missing_video"]


async def test_fields_do_not_count_among_the_videos(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thousandth video was refused after all the others had come, because there was a field beside them."""
    monkeypatch.setattr("streamforge.api.routes.batches.MAX_VIDEOS", 3)
    videos = [(f"{n}.mp4", b"some bytes" if n else b"") for n in range(4)]
    full = await send(api, *videos[:3], priority="1", captions="auto", external_id="x")
    assert (full.status_code, len(full.json()["jobs"]), len(full.json()["rejected"])) == (202, 2, 1)
    refused = await send(api, *videos)
    assert_problem(refused, 400, "request.invalid_field")
    assert refused.json()["detail"] == "`video` is there too often: a batch has 3 videos at most."


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
    gone = await rows.delete([job.id for job in await rows.of(EVERYONE).newest(10)])
    assert len(gone) == 2
    assert_problem(await api.http.get(f"/batches/{batch_id}"), 404, "batch.not_found")
