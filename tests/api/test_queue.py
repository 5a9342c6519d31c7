"""`/queue/stats` and `/workers`: how much there is to do, and who does it."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import pytest
from factories import COMPLETED, FAILED, PROCESSING, accepted, new_job, progress, run_sql
from serving import Api, assert_problem

from streamforge.api import queue_stats
from streamforge.api.queue_stats import QueueWatch
from streamforge.contracts.worker_view import AboutWorker, RunningWork
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.db.queue import Queue, Unfinished
from streamforge.db.workers import Beats
from streamforge.events.log import EventLog
from streamforge.worker.beat import beating


async def stats(api: Api) -> dict[str, Any]:
    return dict((await api.http.get("/queue/stats")).raise_for_status().json())


async def test_an_empty_queue(api: Api) -> None:
    found = await stats(api)
    assert (found["unfinished"], found["oldest_waiting_seconds"], found["queue_seconds"]) == (0, 0, 0)
    assert (found["seconds_each"], found["drained_in_seconds"]) == (None, 0)


async def test_what_waits_how_long_and_how_quickly_it_goes(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    for priority in (1, 3, 3):
        await accepted(rows, priority=priority)
    working = await accepted(rows)
    await events.append(working, PROCESSING)
    await events.append(working, progress(20))
    for change in (COMPLETED, COMPLETED, FAILED):
        await events.append(await accepted(rows), change)
    await rows.of("alice").create(new_job(), progress=5, message="File received")
    await run_sql(
        database_dsn, "UPDATE jobs SET work_began_at = completed_at - interval '20 s' WHERE status = 'completed'"
    )
    await run_sql(database_dsn, "UPDATE jobs SET created_at = now() - interval '1 hour' WHERE priority = 1")
    found = await stats(api)
    assert found["unfinished"] == 5, "who may see all sees the jobs of all"
    assert found["by_status"] == {"pending": 4, "processing": 1}
    assert found["by_stage"] == {"uploading": 4, "transcoding": 1}
    assert found["by_priority"] == {"1": 1, "3": 4}
    assert 3600 <= found["oldest_waiting_seconds"] < 3700
    assert (found["completed_last_hour"], found["failed_last_hour"]) == (2, 1)
    assert found["seconds_each"] == pytest.approx(20)
    assert found["queue_seconds"] == pytest.approx(5 * 20)
    assert found["drained_in_seconds"] == pytest.approx(5 * 3600 / 3)


async def test_it_is_counted_now_and_then_however_many_ask(
    api: Api, rows: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(queue_stats, "FRESH_SECONDS", 3600)
    assert (await stats(api))["unfinished"] == 0
    await accepted(rows)
    assert (await stats(api))["unfinished"] == 0
    monkeypatch.setattr(queue_stats, "FRESH_SECONDS", 0)
    assert (await stats(api))["unfinished"] == 1


async def test_who_asks_while_it_is_counted_waits_for_that(
    database: Database, rows: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted, unfinished = [], Queue.unfinished

    async def counts(self: Queue) -> list[Unfinished]:
        counted.append(self)
        return await unfinished(self)

    monkeypatch.setattr(Queue, "unfinished", counts)
    await accepted(rows)
    watch = QueueWatch(database)
    gone = asyncio.ensure_future(watch.stats(None))
    await asyncio.sleep(0)
    gone.cancel()  # Whoever asked first.
    assert {found.unfinished for found in await asyncio.gather(*(watch.stats(None) for _ in range(100)))} == {1}
    assert len(counted) == 1


async def test_what_waits_is_always_a_number_of_seconds(api: Api, rows: Jobs) -> None:
    """KEDA cannot scale by null: where no job had completed yet no worker came to complete one."""
    await accepted(rows)
    await accepted(rows)
    found = await stats(api)
    assert (found["seconds_each"], found["queue_seconds"]) == (None, 2 * 60)


# ── workers ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def beats(database: Database, name: str = "7@here", started_at: datetime | None = None) -> Beats:
    return Beats(database, name, "here", "0.1.0", started_at or datetime.now(UTC))


async def test_workers_say_who_they_are_and_what_they_run(
    api: Api, rows: Jobs, database: Database, database_dsn: str
) -> None:
    job_id = await accepted(rows)
    running = RunningWork(activity="transcode_chunk", job_id=job_id, attempt=1, began_at=datetime.now(UTC))
    about = AboutWorker(slots={"media": 2}, running=[running], cores=4, memory_bytes=100, memory_used_bytes=50)
    assert await beats(database).tell(about) is False
    await beats(database, "8@there").tell(AboutWorker())
    await run_sql(database_dsn, "UPDATE workers SET seen_at = now() - interval '1 minute' WHERE id = '8@there'")
    [worker] = (await api.http.get("/workers")).raise_for_status().json()["workers"]
    assert (worker["id"], worker["host"], worker["version"], worker["draining"]) == ("7@here", "here", "0.1.0", False)
    assert (worker["slots"], worker["cores"], worker["memory_used_bytes"]) == ({"media": 2}, 4, 50)
    assert [work["job_id"] for work in worker["running"]] == [str(job_id)]


async def test_a_worker_that_is_told_to_stop_hears_it(api: Api, database: Database) -> None:
    started_at, drain = datetime.now(UTC), asyncio.Event()
    mine = beats(database, started_at=started_at)
    await mine.tell(AboutWorker())
    told = await api.http.post("/workers/7@here/drain")
    assert (told.status_code, told.json()["draining"]) == (202, True)
    async with beating(mine, AboutWorker, drain):
        await asyncio.wait_for(drain.wait(), 20)
        assert (await api.http.get("/workers")).json()["workers"][0]["draining"] is True
    assert (await api.http.get("/workers")).json()["workers"] == [], "it has said goodbye"
    assert_problem(await api.http.post("/workers/7@here/drain"), 404, "worker.not_found")


async def test_one_that_starts_anew_under_an_old_name_is_not_told_what_the_other_was(
    api: Api, database: Database
) -> None:
    await beats(database).tell(AboutWorker())
    await api.http.post("/workers/7@here/drain")
    assert await beats(database).tell(AboutWorker()) is False
