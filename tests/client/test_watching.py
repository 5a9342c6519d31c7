"""The client against the real API, which is replaced under it."""

import asyncio
from pathlib import Path

from factories import COMPLETED, FAILED, accepted, progress
from serving import serving

from streamforge.client import StreamEvent, StreamForgeClient
from streamforge.contracts.batch import BatchStatus
from streamforge.db.jobs import Jobs
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings


def settings_for(dsn: str, folder: Path) -> Settings:
    return Settings(
        data_dir=folder / "data",
        server=ServerSettings(port=free_port("127.0.0.1")),
        input=InputSettings(min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )


async def test_everything_is_watched_across_restarts_of_the_server(
    database_dsn: str, jobs: Jobs, events: EventLog, tmp_path: Path
) -> None:
    settings = settings_for(database_dsn, tmp_path)
    job_id = await accepted(jobs)
    seen: list[StreamEvent] = []
    news = asyncio.Event()

    async def watch(client: StreamForgeClient) -> None:
        async for event in client.watch_everything():
            seen.append(event)
            news.set()

    async def until(message: str) -> None:
        while not any(event.message == message for event in seen):
            news.clear()
            await news.wait()

    async with StreamForgeClient(f"http://127.0.0.1:{settings.server.port}") as client, asyncio.timeout(60):
        watching = asyncio.create_task(watch(client))
        for restart in range(3):
            await events.append(job_id, progress(20, f"away {restart}"))
            async with serving(settings):
                if restart:
                    await until(f"away {restart}")
                while not seen:
                    news.clear()
                    await news.wait()
                await events.append(job_id, progress(20, f"here {restart}"))
                await until(f"here {restart}")
        watching.cancel()
    messages = [event.message for event in seen if event.event == "progress"]
    assert messages == ["here 0", "away 1", "here 1", "away 2", "here 2"]


async def test_a_batch_is_sent_and_watched_to_its_end(database_dsn: str, events: EventLog, tmp_path: Path) -> None:
    settings = settings_for(database_dsn, tmp_path)
    paths = [tmp_path / f"{n}.mp4" for n in range(3)]
    for path in paths:
        path.write_bytes(b"" if path is paths[1] else b"some bytes")
    async with serving(settings) as api, StreamForgeClient(api.url) as client, asyncio.timeout(30):
        sent = await client.submit_batch(paths)
        first, second = (job.job_id for job in sent.jobs)
        await events.append(first, COMPLETED)
        await events.append(second, FAILED)
        seen = [event async for event in client.watch_batch(sent.batch_id, last_event_id="0")]
        batch = await client.batch(sent.batch_id)
        views = await client.jobs([second, first])
    assert [video.code for video in sent.rejected] == ["input.empty"]
    assert [event.event for event in seen] == ["status", *["progress"] * 4, "done"]
    assert seen[0].status is BatchStatus.PARTIAL
    assert (batch.status, batch.current, batch.total) == (BatchStatus.PARTIAL, 2, 2)
    assert [view.id for view in views] == [second, first]
