"""PostgreSQL killed under load, and API processes that come and go: streams stay open or are resumed, and in the end
everybody has seen what the table holds."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import httpx
import pytest
from factories import COMPLETED, PROCESSING, accepted, progress
from serving import Api, serving
from sse import Frame, read_frames

from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.retry import until_available
from streamforge.settings import DatabaseSettings, Settings

STATES = 30


@pytest.fixture
async def postgres(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    """A server of this test's own, with what it promised on the disk."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    await apply_migrations(await server.start())
    yield server
    await server.stop()


async def work(log: EventLog, job_id: UUID, pace: asyncio.Event) -> None:
    """What an activity does: progress all the time, and now and then a change that must be known."""
    async with Reporter(log, job_id, min_interval=0.01) as reporter:
        await reporter.state(PROCESSING)
        for number in range(STATES):
            reporter.report(progress(10 + number, f"progress {number}"))
            await reporter.state(JobChange(event="rendition", stage=Stage.TRANSCODING, message=f"state {number}"))
            if number == STATES // 2:
                await pace.wait()
        await reporter.state(COMPLETED)


async def watch(api: Api, job_id: UUID, heard: asyncio.Event) -> list[Frame]:
    """One connection, from the first event to the end. `heard` says that a heartbeat came."""
    seen = []
    request = api.http.stream("GET", f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "0"})
    async with request as response:
        async for frame in read_frames(response, comments=True):
            if frame.comment is not None:
                heard.set()
            else:
                seen.append(frame)
    return seen


async def test_postgres_killed_under_load_costs_nobody_an_event_or_a_connection(
    settings: Settings, postgres: EmbeddedPostgres
) -> None:
    settings = settings.model_copy(update={"database": DatabaseSettings(dsn=postgres.dsn)})
    database = await Database.open(postgres.dsn)
    jobs, log = Jobs(database), EventLog(database)
    ids = [await accepted(jobs) for _ in range(3)]
    pace, heard = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(60), serving(settings) as api:
        watching = [asyncio.create_task(watch(api, job_id, heard)) for job_id in ids]
        working = [asyncio.create_task(work(log, job_id, pace)) for job_id in ids]
        while (await jobs.of(EVERYONE).state(ids[0])).event_seq < STATES // 2:  # type: ignore[union-attr]
            await asyncio.sleep(0)
        assert postgres.child is not None
        os.kill(postgres.child.pid, signal.SIGKILL)
        await postgres.child.wait()
        pace.set()
        heard.clear()
        await heard.wait()
        await postgres.start()
        await asyncio.gather(*working)
        views = await asyncio.gather(*watching)
        for job_id, (status, *seen, done) in zip(ids, views, strict=True):
            table = await until_available(lambda job_id=job_id: log.of(EVERYONE).of_job(job_id, 0))  # type: ignore[misc]
            assert (status.event, done.event) == ("status", "done")
            assert [frame.id for frame in seen] == [event.seq for event in table]
            messages = [frame.data["message"] for frame in seen]
            assert messages == [event.message for event in table]
            states = [message for message in messages if message.startswith("state")]
            assert states == [f"state {number}" for number in range(STATES)], "each once"
    await database.close()


async def test_a_client_goes_from_one_api_to_the_next_and_misses_nothing(
    settings: Settings, jobs: Jobs, events: EventLog, tmp_path: Path
) -> None:
    """Any number of processes, one LISTEN each."""
    other = settings.model_copy(
        update={"data_dir": tmp_path / "other", "server": settings.server.model_copy(update={"port": 0})}
    )
    job_id = await accepted(jobs)
    seen: list[Frame] = []
    async with serving(settings) as first, serving(other) as second, asyncio.timeout(30):
        for percent, (api, not_there) in enumerate([(first, second), (second, first)] * 5, 20):
            cursor = {"headers": {"Last-Event-ID": str(seen[-1].id)}} if seen else {}
            async with api.stream(job_id, **cursor) as frames:
                await anext(frames)
                await events.append(job_id, progress(percent))
                seen.append(await anext(frames))
            await events.append(job_id, progress(percent, "between two connections"))
            async with not_there.stream(job_id, headers={"Last-Event-ID": str(seen[-1].id)}) as frames:
                await anext(frames)
                seen.append(await anext(frames))
    assert [frame.id for frame in seen] == list(range(2, 22))


async def test_a_stopping_server_tells_its_clients_to_come_back_at_different_times(
    settings: Settings, jobs: Jobs
) -> None:
    job_id = await accepted(jobs)
    everybody_is_there = asyncio.Barrier(21)

    async def wait_for_the_hint(http: httpx.AsyncClient) -> int | None:
        async with http.stream("GET", f"/jobs/{job_id}/stream") as response:
            frames = read_frames(response)
            await anext(frames)
            await everybody_is_there.wait()
            return [frame.retry async for frame in frames][-1]

    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{settings.server.port}", timeout=20) as http:
        async with serving(settings):
            waiting = [asyncio.create_task(wait_for_the_hint(http)) for _ in range(20)]
            await everybody_is_there.wait()
        hints = await asyncio.gather(*waiting)
    assert all(hint is not None and 500 <= hint <= 3000 for hint in hints)
    assert len(set(hints)) > 10
