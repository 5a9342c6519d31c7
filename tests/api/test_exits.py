"""The exits of the one log beside a job's own stream: everything of the caller, a WebSocket, the list of events. They show
the same events in the same shape."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from factories import CANCELLED, COMPLETED, FAILED, NOBODY, PROCESSING, accepted, progress, run_sql
from serving import Api, serving
from sse import Frame, read_frames
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamforge.api.http.server import running
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog
from streamforge.settings import ServerSettings, Settings


@asynccontextmanager
async def everything(api: Api, **options: Any) -> AsyncIterator[AsyncIterator[Frame]]:
    async with api.http.stream("GET", "/stream", **options) as response:
        assert response.status_code == 200
        yield read_frames(response)


def websocket(api: Api, query: str = "") -> Any:
    return connect(f"{api.url.replace('http', 'ws')}/ws/progress{query}")


async def messages(socket: ClientConnection) -> list[dict[str, Any]]:
    """All there are, until the server closes."""
    return [json.loads(message) async for message in socket]


async def take(frames: AsyncIterator[Frame], count: int) -> list[Frame]:
    return [await anext(frames) for _ in range(count)]


# ── everything on one connection ────────────────────────────────────────────────────────────────────────────────────
async def test_all_jobs_come_on_one_connection_also_those_that_are_still_to_come(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    first = await accepted(rows)
    await events.append(await accepted(rows), COMPLETED)
    async with everything(api) as frames:
        status = await anext(frames)
        second = await accepted(rows)
        await events.append(first, progress(30))
        await events.append(second, FAILED)
        await events.append(first, COMPLETED)
        live = await take(frames, 4)
    assert (status.event, status.id) == ("status", 3)
    assert status.data == {"jobs": [{"job_id": str(first), "status": "pending", "stage": "uploading", "progress": 5}]}
    assert [(frame.id, frame.data["job_id"], frame.data["stage"]) for frame in live] == [
        (4, str(second), "uploading"),
        (5, str(first), "transcoding"),
        (6, str(second), "failed"),
        (7, str(first), "completed"),
    ]
    assert live[2].data["error"]["code"] == "input.not_a_video"


@pytest.mark.parametrize("spelling", ["last_event_id", "lastEventId", "header"])
async def test_what_was_missed_of_all_jobs_is_replayed(api: Api, rows: Jobs, events: EventLog, spelling: str) -> None:
    jobs = [await accepted(rows) for _ in range(3)]
    for percent in (20, 30):
        for job_id in jobs:
            await events.append(job_id, progress(percent))
    cursor = {"headers": {"Last-Event-ID": "5"}} if spelling == "header" else {"params": {spelling: "5"}}
    async with everything(api, **cursor) as frames:
        status, *missed = await take(frames, 5)
        await events.append(jobs[0], CANCELLED)
        live = await anext(frames)
    assert status.id is None
    assert [frame.id for frame in [*missed, live]] == [6, 7, 8, 9, 10]


@pytest.mark.parametrize("cursor", ["99", "abc", "-1", "1e3", "9" * 40])
async def test_a_cursor_that_means_nothing_is_reset(api: Api, rows: Jobs, cursor: str) -> None:
    await accepted(rows)
    async with everything(api, params={"last_event_id": cursor}) as frames:
        assert [(frame.event, frame.id) for frame in await take(frames, 3)] == [
            ("status", None),
            ("reset", 1),
            ("status", None),
        ]


async def test_a_cursor_from_before_the_sweep_is_reset(api: Api, rows: Jobs, events: EventLog) -> None:
    swept, kept = [await accepted(rows) for _ in range(2)]
    await events.append(swept, COMPLETED)
    await events.append(kept, progress(20))
    await rows.delete([swept])
    async with everything(api, params={"last_event_id": "2"}) as frames:
        assert [frame.event for frame in await take(frames, 3)] == ["status", "reset", "status"]
    async with everything(api, params={"last_event_id": "3"}) as frames:
        assert [frame.id for frame in await take(frames, 2)] == [None, 4]


async def test_nobody_loses_or_repeats_anything_of_many_jobs_while_writers_and_reconnects_race(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    jobs = [await accepted(rows) for _ in range(4)]

    async def write(job_id: Any) -> None:
        for number in range(40):
            await events.append(job_id, progress(10 + number, str(number)).model_copy(update={"event": "rendition"}))

    async def watch(patience: int) -> list[int]:
        seen: list[int] = []
        while not seen or seen[-1] < 164:
            async with everything(api, headers={"Last-Event-ID": str(seen[-1] if seen else 4)}) as frames:
                count = 0
                async for frame in frames:
                    count += 1
                    seen += [frame.id] if frame.id is not None else []
                    if count > patience or (seen and seen[-1] == 164):
                        break
        return seen

    writers = asyncio.gather(*(write(job_id) for job_id in jobs))
    watchers = await asyncio.gather(*(watch(patience) for patience in (3, 10, 25, 1000, 1000)))
    await writers
    assert all(seen == list(range(5, 165)) for seen in watchers)


# ── the same over a WebSocket, and as a list ────────────────────────────────────────────────────────────────────────
async def test_a_websocket_shows_what_the_list_of_events_shows(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    async with websocket(api, f"?job_id={job_id}") as socket:
        status = json.loads(await socket.recv())
        await events.append(job_id, PROCESSING)
        change = progress(30).model_copy(update={"event": "playable", "details": {"hls": "/media/x/master.m3u8"}})
        await events.append(job_id, change)
        await events.append(job_id, COMPLETED)
        *live, done = await messages(socket)
    assert (status["event"], status["id"], status["data"]["progress"]) == ("status", 1, 5)
    assert (done["event"], done["data"]) == ("done", {})
    assert socket.close_code == 1000
    listed = (await api.http.get(f"/jobs/{job_id}/events", params={"after": 1})).json()["events"]
    assert live == listed
    assert [(event["id"], event["event"]) for event in live] == [(2, "progress"), (3, "playable"), (4, "progress")]
    assert set(live[0]) == {"id", "event", "data", "created_at"}


async def test_a_websocket_without_a_job_shows_everything_and_resumes(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, progress(20))
    async with websocket(api, "?last_event_id=1") as socket:
        status, missed = [json.loads(await socket.recv()) for _ in range(2)]
        other = await accepted(rows)
        live = json.loads(await socket.recv())
    assert status["data"]["jobs"][0]["job_id"] == str(job_id)
    assert (missed["id"], live["id"], live["data"]["job_id"]) == (2, 3, str(other))


async def test_a_websocket_that_comes_back_after_the_end_is_closed_at_once(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, COMPLETED)
    async with websocket(api, f"?job_id={job_id}&lastEventId=2") as socket:
        assert await messages(socket) == []
    assert socket.close_code == 1000


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        (f"?job_id={NOBODY}", 404, "job.not_found"),
        ("?job_id=x", 400, "request.malformed_job_id"),
        (f"?batch_id={NOBODY}", 404, "batch.not_found"),
        ("?batch_id=x", 400, "request.malformed_batch_id"),
        (f"?jobid={NOBODY}", 400, "request.invalid_field"),
    ],
)
async def test_a_websocket_is_refused_like_any_request(api: Api, query: str, status: int, code: str) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with websocket(api, query):
            pass
    assert refused.value.response.status_code == status
    assert json.loads(refused.value.response.body)["code"] == code


async def test_a_websocket_that_is_refused_is_no_error_of_ours(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    for path, code in (
        ("/ws/progress?job_id=x", "request.malformed_job_id"),
        ("/ws/x", "not_found"),
        ("/jobs", "not_found"),
    ):
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{api.url.replace('http', 'ws')}{path}"):
                pass
        assert json.loads(refused.value.response.body)["code"] == code
        assert refused.value.response.headers["content-type"] == "application/problem+json"
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


@pytest.mark.parametrize(("said", "code"), [(b"", 1003), (b"\0" * 1000, 1003), (b"\xff", 1007), ("x" * 100_000, 1009)])
async def test_a_websocket_client_that_says_what_nobody_can_mean_is_told_so(
    api: Api, rows: Jobs, caplog: pytest.LogCaptureFixture, said: str | bytes, code: int
) -> None:
    await accepted(rows)
    async with websocket(api) as socket:
        await socket.send(said, text=code == 1007 or None)
        await socket.wait_closed()
    assert socket.close_code == code
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_binary_frame_behind_the_end_changes_nothing(
    api: Api, rows: Jobs, events: EventLog, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await accepted(rows)
    async with websocket(api, f"?job_id={job_id}") as socket:
        await socket.recv()
        await events.append(job_id, COMPLETED)
        with suppress(ConnectionClosed):
            await socket.send(b"too late")
        await socket.wait_closed()
    assert socket.close_code in {1000, 1003}
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_what_a_websocket_client_says_is_not_listened_to(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    async with websocket(api, f"?job_id={job_id}") as socket:
        await socket.send("hello?")
        await socket.recv()
        await events.append(job_id, COMPLETED)
        assert [message["event"] for message in await messages(socket)] == ["progress", "done"]


async def test_one_websocket_too_many(settings: Settings, rows: Jobs) -> None:
    one = settings.model_copy(update={"server": ServerSettings(port=0, max_streams=1)})
    await accepted(rows)
    async with serving(one) as api, websocket(api) as socket:
        await socket.recv()
        with pytest.raises(InvalidStatus) as refused:
            async with websocket(api):
                pass
    assert refused.value.response.status_code == 429


async def test_a_stopping_server_asks_websockets_to_come_back(settings: Settings, rows: Jobs) -> None:
    await accepted(rows)
    async with running(settings) as url:
        socket = await connect(f"{url.replace('http', 'ws')}/ws/progress")
        await socket.recv()
    with pytest.raises(ConnectionClosed):
        await socket.recv()
    assert socket.close_code == 1012


# ── when notifications are lost ─────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("path", ["/jobs/{}/stream", "/stream"])
async def test_what_no_notification_told_is_found_all_the_same(
    api: Api, rows: Jobs, database_dsn: str, path: str
) -> None:
    """An append whose NOTIFY never arrives."""
    job_id = await accepted(rows)
    async with api.http.stream("GET", path.format(job_id)) as response, asyncio.timeout(10):
        frames = read_frames(response)
        await anext(frames)
        await run_sql(
            database_dsn,
            "WITH c AS (UPDATE jobs SET event_seq = 2, progress = 60 RETURNING jobs AS job) "
            "SELECT log_event(job, 'progress', 'unheard', NULL, NULL) FROM c",
        )
        assert (await anext(frames)).data["message"] == "unheard"
