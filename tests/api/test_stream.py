"""`GET /jobs/<id>/stream`, frame by frame, against a real server. The writer is another connection pool: in production it
is another process on another machine."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from factories import CANCELLED, COMPLETED, FAILED, PROCESSING, accepted, progress, run_sql
from serving import Api, assert_problem, serving
from sse import Frame, read_frames

from streamforge.api.http.server import running
from streamforge.contracts.events import JobChange
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog
from streamforge.settings import ServerSettings, Settings


def names(frames: list[Frame]) -> list[str]:
    return [frame.event for frame in frames]


def ids(frames: list[Frame]) -> list[int]:
    """The ids of what was reported, which `status` only positions the client among."""
    return [frame.id for frame in frames if frame.id is not None and frame.event not in {"status", "reset"}]


async def take(frames: AsyncIterator[Frame], count: int) -> list[Frame]:
    return [await anext(frames) for _ in range(count)]


async def rest(frames: AsyncIterator[Frame]) -> list[Frame]:
    return [frame async for frame in frames]


# ── the contract ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_job_from_status_to_done_while_it_runs(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, PROCESSING)
    async with api.stream(job_id) as frames:
        assert await anext(frames) == Frame(
            "status", {"job_id": str(job_id), "status": "processing", "stage": "uploading", "progress": 10}, id=2
        )
        await events.append(job_id, progress(50, "Transcoded 2 resolutions"))
        live = await anext(frames)
        assert (live.event, live.id) == ("progress", 3)
        timestamp = live.data.pop("timestamp")
        assert timestamp.endswith("Z")
        assert live.data == {
            "job_id": str(job_id),
            "stage": "transcoding",
            "progress": 50,
            "message": "Transcoded 2 resolutions",
        }
        await events.append(job_id, COMPLETED)
        last, done = await rest(frames)
    assert (last.event, last.id, last.data["stage"], last.data["progress"]) == ("progress", 4, "completed", 100)
    assert done == Frame("done", {})


async def test_the_headers_that_keep_proxies_and_caches_out_of_the_way(api: Api, rows: Jobs) -> None:
    job_id = await accepted(rows)
    async with api.http.stream("GET", f"/jobs/{job_id}/stream") as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-accel-buffering"] == "no"


async def test_a_failed_job_says_why_and_then_is_done(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        await anext(frames)
        await events.append(job_id, FAILED)
        failed, done = await rest(frames)
    assert failed.event == "progress"
    assert failed.data["stage"] == "failed"
    assert failed.data["message"] == "The file is not a video."
    assert failed.data["error"]["code"] == "input.not_a_video"
    assert done == Frame("done", {})


async def test_a_cancelled_job_is_done(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        await anext(frames)
        await events.append(job_id, CANCELLED)
        cancelled, done = await rest(frames)
    assert (cancelled.data["stage"], done.event) == ("cancelled", "done")


async def test_named_events_and_details_travel_too(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        await anext(frames)
        change = progress(30).model_copy(update={"event": "playable", "details": {"hls": "/media/x/master.m3u8"}})
        await events.append(job_id, change)
        playable = await anext(frames)
    assert (playable.event, playable.id, playable.data["details"]) == ("playable", 2, {"hls": "/media/x/master.m3u8"})


async def test_text_from_a_caller_cannot_forge_a_frame(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    evil = "a\n\nevent: done\ndata: {}\n\n\r\r\u2028"
    async with api.stream(job_id) as frames:
        await anext(frames)
        await events.append(job_id, progress(30, evil))
        forged = await anext(frames)
    assert forged.data["message"] == evil


@pytest.mark.parametrize(("ending", "expected"), [(COMPLETED, []), (CANCELLED, []), (FAILED, ["progress"])])
async def test_a_late_comer_gets_the_end_at_once(
    api: Api, rows: Jobs, events: EventLog, ending: JobChange, expected: list[str]
) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, ending)
    frames = await api.whole_stream(job_id)
    assert names(frames) == ["status", *expected, "done"]
    assert frames[0].data["status"] == ending.status


async def test_a_stream_that_opens_as_its_job_ends_has_one_end(api: Api, rows: Jobs, events: EventLog) -> None:
    with structlog.testing.capture_logs() as logs:
        for _ in range(5):
            job_id = await accepted(rows)
            async with api.stream(job_id) as first:  # Without one, nothing would be delivered to those that open.
                await anext(first)
                opening = [api.whole_stream(job_id) for _ in range(20)]
                *streams, _ = await asyncio.gather(*opening, events.append(job_id, COMPLETED))
                for frames in streams:
                    assert names(frames)[0] == "status"
                    assert names(frames)[-1] == "done"
                    assert names(frames).count("done") == 1
    assert [line for line in logs if line["log_level"] == "error"] == []


async def test_an_idle_stream_is_kept_alive_by_comments(settings: Settings, rows: Jobs) -> None:
    quick = settings.model_copy(update={"server": ServerSettings(port=0, heartbeat_seconds=0.05)})
    job_id = await accepted(rows)
    async with serving(quick) as api, api.http.stream("GET", f"/jobs/{job_id}/stream") as response:
        frames = read_frames(response, comments=True)
        status, first, second = await take(frames, 3)
    assert status.event == "status"
    assert first.comment is not None
    assert second.comment is not None


async def test_unknown_and_malformed_ids(api: Api) -> None:
    assert_problem(await api.http.get(f"/jobs/{uuid4()}/stream"), 404, "job.not_found")
    assert_problem(await api.http.get("/jobs/nonsense/stream"), 400, "request.malformed_job_id")


async def test_head_answers_without_opening_a_stream(api: Api, rows: Jobs) -> None:
    response = await api.http.head(f"/jobs/{await accepted(rows)}/stream")
    assert response.status_code == 200
    assert response.content == b""


# ── coming back ─────────────────────────────────────────────────────────────────────────────────────────────────────
CURSORS: list[Any] = [
    lambda seq: {"headers": {"Last-Event-ID": str(seq)}},
    lambda seq: {"params": {"last_event_id": str(seq)}},
    lambda seq: {"params": {"lastEventId": str(seq)}},
    lambda seq: {"headers": {"Last-Event-ID": str(seq)}, "params": {"last_event_id": "1"}},
]


@pytest.mark.parametrize("cursor", CURSORS)
async def test_exactly_what_was_missed_is_replayed_and_then_it_goes_on_live(
    api: Api, rows: Jobs, events: EventLog, cursor: Any
) -> None:
    job_id = await accepted(rows)
    for percent in (20, 30, 40):
        await events.append(job_id, progress(percent))
    async with api.stream(job_id, **cursor(2)) as frames:
        status, *replayed = await take(frames, 3)
        await events.append(job_id, progress(50))
        live = await anext(frames)
    assert (status.event, status.id) == ("status", None)
    assert [(frame.id, frame.data["progress"]) for frame in [*replayed, live]] == [(3, 30), (4, 40), (5, 50)]


async def test_a_client_that_lost_the_connection_before_any_progress_has_a_cursor_all_the_same(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        cursor = (await anext(frames)).id
    await events.append(job_id, progress(20))
    async with api.stream(job_id, headers={"Last-Event-ID": str(cursor)}) as frames:
        _, missed = await take(frames, 2)
    assert missed.id == 2


async def test_the_end_is_replayed_to_whoever_missed_it(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, progress(20))
    await events.append(job_id, FAILED)
    frames = await api.whole_stream(job_id, headers={"Last-Event-ID": "1"})
    assert names(frames) == ["status", "progress", "progress", "done"]
    assert ids(frames) == [2, 3]


@pytest.mark.parametrize("ending", [COMPLETED, FAILED])
async def test_a_client_that_has_seen_the_end_is_told_not_to_come_back(
    api: Api, rows: Jobs, events: EventLog, ending: JobChange
) -> None:
    """EventSource reconnects for ever unless it is answered with 204."""
    job_id = await accepted(rows)
    await events.append(job_id, ending)
    last = max(frame.id or 0 for frame in await api.whole_stream(job_id))
    response = await api.http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": str(last)})
    assert response.status_code == 204


@pytest.mark.parametrize("cursor", ["99", "-1", "abc", "1.5", "٣", "9" * 40, "1; DROP TABLE jobs"])
async def test_a_cursor_that_means_nothing_is_reset_and_told_the_present(
    api: Api, rows: Jobs, events: EventLog, cursor: str
) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, progress(20))
    async with api.stream(job_id, params={"last_event_id": cursor}) as frames:
        first, reset, fresh = await take(frames, 3)
        await events.append(job_id, progress(30))
        live = await anext(frames)
    assert [first.event, reset.event, fresh.event] == ["status", "reset", "status"]
    assert reset.id == 2, "its cursor is a valid one from now on"
    assert fresh.data["progress"] == 20
    assert live.id == 3


async def test_a_cursor_whose_events_were_swept_is_reset(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    job_id = await accepted(rows)
    for percent in (20, 30, 40):
        await events.append(job_id, progress(percent))
    await run_sql(database_dsn, "DELETE FROM progress_events WHERE seq < 3")
    async with api.stream(job_id, headers={"Last-Event-ID": "1"}) as frames:
        assert names(await take(frames, 3)) == ["status", "reset", "status"]


async def test_a_long_replay_is_complete(api: Api, rows: Jobs, events: EventLog) -> None:
    """Longer than the pages it is read in."""
    job_id = await accepted(rows)
    for number in range(1100):
        await events.append(job_id, progress(10, str(number)))
    await events.append(job_id, COMPLETED)
    frames = await api.whole_stream(job_id, headers={"Last-Event-ID": "1"})
    assert ids(frames) == list(range(2, 1103))


async def test_nobody_loses_or_repeats_anything_while_writers_and_reconnects_race(
    api: Api, rows: Jobs, events: EventLog
) -> None:
    """Clients that join at any moment and drop their connection again and again see each event once, in order."""
    job_id = await accepted(rows)

    async def write() -> None:
        for number in range(150):
            await events.append(
                job_id, progress(10 + number // 2, str(number)).model_copy(update={"event": "rendition"})
            )
        await events.append(job_id, COMPLETED)

    async def watch(patience: int) -> list[int]:
        seen: list[int] = []
        while True:
            cursor = {"Last-Event-ID": str(seen[-1] if seen else 1)}
            async with api.stream(job_id, headers=cursor) as frames:
                count = 0
                async for frame in frames:
                    count += 1
                    seen += ids([frame])
                    if frame.event == "done":
                        return seen
                    if count > patience:
                        break

    writer = asyncio.create_task(write())
    watchers = await asyncio.gather(*(watch(patience) for patience in (3, 10, 25, 1000, 1000)))
    await writer
    assert all(seen == list(range(2, 153)) for seen in watchers)


# ── when things break ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_killed_listener_loses_nothing(api: Api, rows: Jobs, events: EventLog, database_dsn: str) -> None:
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        await anext(frames)
        await run_sql(
            database_dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'LISTEN%'",
        )
        for percent in (20, 30, 40):
            await events.append(job_id, progress(percent))
        assert ids(await take(frames, 3)) == [2, 3, 4]


async def test_all_connections_killed_in_the_middle_lose_nothing(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    """PostgreSQL restarts; the pool, the listener and the writer all lose their connections."""
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        await anext(frames)
        await events.append(job_id, progress(20))
        await run_sql(
            database_dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        await run_sql(
            database_dsn,
            "WITH c AS (UPDATE jobs SET event_seq = 3, progress = 60 RETURNING jobs AS job) "
            "SELECT log_event(job, 'progress', 'unheard', NULL, NULL) FROM c",
        )
        assert ids(await take(frames, 2)) == [2, 3]


async def test_a_stream_that_is_opened_while_the_database_blinks_waits_for_it(
    api: Api, rows: Jobs, database_dsn: str
) -> None:
    """An EventSource that is answered with an error never comes back."""
    job_id = await accepted(rows)
    await run_sql(
        database_dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    async with api.stream(job_id) as frames:
        assert (await anext(frames)).event == "status"


async def test_a_job_deleted_under_a_stream_ends_it(api: Api, rows: Jobs, events: EventLog, database_dsn: str) -> None:
    job_id = await accepted(rows)
    async with api.stream(job_id) as frames:
        await anext(frames)
        # An operator's hand; the sweep takes only what is over.
        await run_sql(database_dsn, "DELETE FROM jobs")
        await run_sql(database_dsn, "SELECT pg_notify('streamforge_events', $1)", f"{job_id}:2")
        assert await rest(frames) == [Frame("done", {})]


async def test_all_streams_of_a_job_see_the_same(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    everybody_is_there = asyncio.Barrier(21)

    async def watch() -> list[Frame]:
        async with api.stream(job_id) as frames:
            seen = [await anext(frames)]
            await everybody_is_there.wait()
            return seen + await rest(frames)

    watchers = [asyncio.create_task(watch()) for _ in range(20)]
    await everybody_is_there.wait()
    for percent in (20, 30, 40):
        await events.append(job_id, progress(percent))
    await events.append(job_id, COMPLETED)
    first, *others = await asyncio.gather(*watchers)
    assert names(first) == ["status", *["progress"] * 4, "done"]
    assert all(other == first for other in others)


async def test_a_stopping_server_ends_its_streams_with_a_hint_to_come_back(settings: Settings, rows: Jobs) -> None:
    job_id = await accepted(rows)
    watching = asyncio.Event()

    async def watch(http: httpx.AsyncClient, url: str) -> list[Frame]:
        frames = []
        async with http.stream("GET", f"{url}/jobs/{job_id}/stream") as response:
            async for frame in read_frames(response):
                frames.append(frame)
                watching.set()
        return frames

    async with httpx.AsyncClient() as http, asyncio.timeout(5):
        async with running(settings) as url:
            watcher = asyncio.create_task(watch(http, url))
            await watching.wait()
        status, farewell = await watcher
    assert status.event == "status"
    assert farewell.retry is not None
