"""Whatever happens in between, what a client has seen in the end is what the table holds: each event once, in order.

Writers, clients and mishaps are random: clients go and come back at any event, notifications are swallowed, the LISTEN
connection and the pools are cut, API processes are replaced.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from uuid import UUID, uuid4

import pytest
from factories import COMPLETED, FAILED, new_job, progress, run_sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.listener import EVENTS_CHANNEL, Listener
from streamforge.db.pool import Database
from streamforge.events import broadcaster as broadcaster_module
from streamforge.events.broadcaster import Broadcaster
from streamforge.events.frames import Frame
from streamforge.events.log import Entry, EventLog
from streamforge.events.sources import BatchSource, JobSource, OwnerSource, Source
from streamforge.events.stream import Streams
from streamforge.retry import until_available

THE_END = "the end"


class View:
    """A connection whose client goes after so many frames (None: never). `seen` is what had an id."""

    def __init__(self, goes_after: int | None) -> None:
        self.seen: list[Frame] = []
        self.has_ended = False
        self.cursor: str | None = None
        self._left = goes_after
        self._closed = asyncio.Event()

    async def send(self, frame: Frame) -> None:
        if self._closed.is_set():
            return
        if frame.id is not None:
            self.cursor = str(frame.id)
        if frame.id is not None and frame.event not in {"status", "reset"}:
            self.seen.append(frame)
        if self._left is not None:
            self._left -= 1
        self.has_ended = self.has_ended or frame.event == "done" or THE_END in frame.data
        if frame.closes or self.has_ended or self._left == 0:
            self._closed.set()

    async def send_all(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            await self.send(frame)

    async def open(self) -> None:
        pass

    async def nothing_left(self) -> None:
        self.has_ended = True

    async def closed(self) -> None:
        await self._closed.wait()

    def abort(self) -> None:
        self._closed.set()


class Service:
    """API processes, one after the other, over one database; mishaps happen to it."""

    def __init__(self, dsn: str, pool: Database, chance: random.Random) -> None:
        self.jobs, self.events = Jobs(pool), EventLog(pool)
        self._dsn = dsn
        self._chance = chance
        self._deaf = False
        self.streams: Streams
        self._replaced = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        serving = asyncio.create_task(self._serve())
        while not hasattr(self, "streams"):
            await asyncio.sleep(0)
        yield
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)

    async def _serve(self) -> None:
        while True:
            async with Broadcaster(self.events, heartbeat_seconds=0.01) as broadcaster:

                def hear(payload: str, hearing: Broadcaster = broadcaster) -> None:
                    if not self._deaf:
                        hearing.on_notification(payload)

                async with Listener(self._dsn, {EVENTS_CHANNEL: hear}, [broadcaster.on_reconnected]):
                    self.streams = Streams(broadcaster)
                    await self._replaced.wait()
                    self._replaced.clear()
                    broadcaster.leave()

    async def mishap(self) -> None:
        match self._chance.randrange(4):
            case 0:
                self._deaf = not self._deaf
            case 1:
                await self._kill("query LIKE 'LISTEN%'")
            case 2:
                await self._kill("true")
            case 3:
                self._replaced.set()

    async def _kill(self, which: str) -> None:
        await run_sql(
            self._dsn,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = current_database() AND pid <> pg_backend_pid() AND {which}",
        )


async def watch(service: Service, source: Source, chance: random.Random) -> list[Frame]:
    """A client that has the whole log to read, and comes back until it has seen the end."""
    seen: list[Frame] = []
    cursor = "0"
    while True:
        view = View(chance.choice([1, 2, 5, 20, None]))
        await service.streams.follow(source, cursor, view, lambda _: nullcontext())
        seen += view.seen
        cursor = view.cursor or cursor
        if view.has_ended:
            return seen
        await asyncio.sleep(0)


async def write(log: EventLog, job_id: UUID, steps: int, chance: random.Random) -> None:
    for step in range(steps):
        change = progress(10 + step, f"step {step}")
        if chance.random() < 0.5:
            change = change.model_copy(update={"event": "rendition"})
        entry = Entry(job_id, change)
        await until_available(lambda entry=entry: log.write(entry))  # type: ignore[misc]
        await asyncio.sleep(chance.choice([0, 0, 0.002, 0.01]))
    ending = Entry(job_id, chance.choice([COMPLETED, FAILED]))
    await until_available(lambda: log.write(ending))


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    job_count=st.integers(1, 3),
    steps=st.integers(0, 40),
    clients=st.integers(1, 4),
    mishaps=st.integers(0, 6),
    seed=st.integers(0, 2**32),
)
async def test_every_clients_view_equals_the_table(
    database_dsn: str,
    monkeypatch: pytest.MonkeyPatch,
    job_count: int,
    steps: int,
    clients: int,
    mishaps: int,
    seed: int,
) -> None:
    monkeypatch.setattr(broadcaster_module, "CATCH_UP_SECONDS", 0.05)
    await run_sql(database_dsn, "TRUNCATE jobs, batches CASCADE")
    await run_sql(database_dsn, "UPDATE owners SET event_seq = 0, swept_seq = 0")
    chance = random.Random(seed)
    pool, elsewhere = await Database.open(database_dsn, size=4), await Database.open(database_dsn, size=2)
    service, worker = Service(database_dsn, pool, chance), EventLog(elsewhere)
    batch_id = uuid4()
    jobs = [new_job(batch_id=batch_id) for _ in range(job_count)]
    await Jobs(elsewhere).of(EVERYONE).create_batch(batch_id, jobs, progress=5, message="File received")

    async def trouble() -> None:
        for _ in range(mishaps):
            await asyncio.sleep(chance.random() * 0.05)
            await service.mishap()

    own_jobs, own_log = service.jobs.of(EVERYONE), service.events.of(EVERYONE)
    sources: list[Source] = [JobSource(job.id, own_log, own_jobs) for job in jobs]
    sources.append(BatchSource(batch_id, own_log, own_jobs))
    sources.append(OwnerSource(own_log, own_jobs))
    async with asyncio.timeout(60), service.running():
        watching = [
            asyncio.create_task(watch(service, source, random.Random(f"{seed} {n}")))
            for source in sources
            for n in range(clients)
        ]
        await asyncio.gather(trouble(), *(write(worker, job.id, steps, chance) for job in jobs))
        last = new_job()
        await until_available(lambda: Jobs(elsewhere).of(EVERYONE).create(last, progress=5, message=THE_END))
        views = await asyncio.gather(*watching)

    for source, *seen in grouped(sources, views):
        table = await until_available(lambda source=source: source.after(0, 1000))  # type: ignore[misc]
        for view in seen:
            assert [frame.id for frame in view] == [frame.id for frame in table], source.key
            assert [frame.object for frame in view] == [frame.object for frame in table]
    assert len(await until_available(lambda: sources[-1].after(0, 1000))) == job_count * (steps + 2) + 1
    for each in (pool, elsewhere):
        await each.close()


def grouped(sources: Sequence[Source], views: Sequence[list[Frame]]) -> list[tuple[Source, ...]]:
    each = len(views) // len(sources)
    return [(source, *views[n * each : (n + 1) * each]) for n, source in enumerate(sources)]  # type: ignore[arg-type]
