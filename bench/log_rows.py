"""Rows a second into the log: eight workers with many jobs each, against one INSERT and one NOTIFY for each event."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import asyncpg

from bench import report
from streamforge.contracts.events import JobChange
from streamforge.contracts.ids import new_job_id, workflow_id
from streamforge.contracts.job import Stage
from streamforge.db.jobs import EVERYONE, Jobs, NewJob
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.events.log import EventLog

WRITERS = 8
JOBS_EACH = 16
SECONDS = 5.0
PLAIN_TABLE = "CREATE TABLE plain (id bigserial PRIMARY KEY, job_id uuid, stage text, progress smallint, message text)"
PLAIN_INSERT = "INSERT INTO plain (job_id, stage, progress, message) VALUES ($1, 'transcoding', $2, 'Working')"

Append = Callable[[UUID, int], Awaitable[object]]


def main() -> None:
    report.machine()
    with postgres() as dsn:
        report.note(f"{WRITERS} writers with {JOBS_EACH} jobs each, {SECONDS:g} s, fsync on")
        plain = asyncio.run(_plain(dsn))
        ours = asyncio.run(_ours(dsn))
    report.number("INSERT + NOTIFY for each event, no numbers, no job row", plain, "/s")
    report.number("the log: numbered twice, with the job row", ours, "/s")
    report.number("ratio", ours / plain)


async def _plain(dsn: str) -> float:
    """A connection for each writer, a transaction for each event."""
    setup = await asyncpg.connect(dsn)
    await setup.execute(PLAIN_TABLE)
    await setup.close()
    connections = [await asyncpg.connect(dsn) for _ in range(WRITERS)]

    async def writer(connection: asyncpg.Connection) -> Append:
        turn = asyncio.Lock()

        async def append(job_id: UUID, progress: int) -> None:
            async with turn, connection.transaction():
                await connection.execute(PLAIN_INSERT, job_id, progress)
                await connection.execute("SELECT pg_notify('plain', $1)", f"{job_id}:{progress}")

        return append

    rate = await _rate(
        [await writer(each) for each in connections], [[UUID(int=n) for n in range(JOBS_EACH)]] * WRITERS
    )
    for each in connections:
        await each.close()
    return rate


async def _ours(dsn: str) -> float:
    pools = [await Database.open(dsn, size=1) for _ in range(WRITERS)]

    def writer(pool: Database) -> Append:
        log = EventLog(pool)
        return lambda job_id, progress: log.append(
            job_id, JobChange(stage=Stage.TRANSCODING, progress=progress, message="Working")
        )

    jobs = [[await new_job(Jobs(pool)) for _ in range(JOBS_EACH)] for pool in pools]
    rate = await _rate([writer(pool) for pool in pools], jobs)
    for pool in pools:
        await pool.close()
    return rate


async def _rate(writers: list[Append], jobs: list[list[UUID]]) -> float:
    deadline = time.monotonic() + SECONDS
    rows = 0

    async def report_on(job_id: UUID, append: Append) -> None:
        nonlocal rows
        while time.monotonic() < deadline:
            await append(job_id, 20)
            rows += 1

    began = time.monotonic()
    pairs = [(job_id, append) for append, mine in zip(writers, jobs, strict=True) for job_id in mine]
    await asyncio.gather(*(report_on(*pair) for pair in pairs))
    return rows / (time.monotonic() - began)


@contextmanager
def postgres() -> Iterator[str]:
    """A server of our own, as `streamforge up` runs it, with the schema."""
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        dsn = asyncio.run(server.start())
        try:
            asyncio.run(apply_migrations(dsn))
            yield dsn
        finally:
            asyncio.run(server.stop())


async def new_job(jobs: Jobs) -> UUID:
    job_id = new_job_id()
    job = NewJob(
        id=job_id,
        key="bench.mp4",
        workflow_id=workflow_id("bench.mp4", job_id),
        source_object="none",
        size_bytes=1,
        source_sha256="0" * 64,
    )
    await jobs.of(EVERYONE).create(job, progress=5, message="File received")
    return job_id
