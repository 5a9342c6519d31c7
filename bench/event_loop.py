"""How long the API's event loop stands still for the largest answer of each address: everybody else's stream waits as long.

Counted is the processor time of each single callback, so that a busy machine changes nothing but the speed of its processor.
"""

import asyncio
import http.client
import json
import tempfile
import time
from asyncio import Handle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg

from bench import report
from bench.clips import ROOT
from streamforge.api.http.server import running
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.job_options import JobOptions
from streamforge.db.jobs import EVERYONE, Jobs, NewJob
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.event_loop import spare_what_stays
from streamforge.events.log import EventLog
from streamforge.observability.logs import configure_logging
from streamforge.settings import DatabaseSettings, LogSettings, ServerSettings, Settings, TemporalSettings

BAR_MS = 50.0
JOBS = 100
EVENTS = 1000
TRIES = 5
RECORDED = ROOT / "tests" / "stored" / "shapes" / "2026-11-28-ends-and-upgrades.json"
"""Of a job as it was stored: its source, its renditions and its result."""


class Stopwatch:
    """The longest callback since it was asked last, in milliseconds of processor time."""

    longest = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        plain = Handle._run

        def timed(handle: Handle) -> None:
            began = time.thread_time()
            plain(handle)
            self.longest = max(self.longest, (time.thread_time() - began) * 1000)

        Handle._run = timed  # type: ignore[method-assign]
        try:
            yield
        finally:
            Handle._run = plain  # type: ignore[method-assign]

    def taken(self) -> float:
        longest, self.longest = self.longest, 0.0
        return longest


async def fill(dsn: str) -> tuple[UUID, list[UUID]]:
    """A batch of jobs that are over, with all that one has; the first has a long log."""
    await apply_migrations(dsn)
    database = await Database.open(dsn)
    jobs, events = Jobs(database), EventLog(database)
    batch, made = uuid4(), [_job() for _ in range(JOBS)]
    await jobs.of(EVERYONE).create_batch(batch, made, progress=5, message="File received")
    for number in range(EVENTS):
        change = JobChange(stage=Stage.TRANSCODING, progress=number * 100 // EVENTS, message=f"Frame {number}")
        await events.append(made[0].id, change)
    await database.close()
    await _complete(dsn)
    return batch, [job.id for job in made]


async def _complete(dsn: str) -> None:
    [stored] = json.loads(RECORDED.read_text())["rows"]["jobs"]
    connection = await asyncpg.connect(dsn)
    await connection.execute(
        "UPDATE jobs SET status = 'completed', stage = 'completed', progress = 100, launched_at = now(), completed_at = now(), "
        "source = $1, renditions = $2, result = $3, playback = $4",
        *[json.dumps(stored[column]) for column in ("source", "renditions", "result", "playback")],
    )
    await connection.close()


def _job() -> NewJob:
    job_id = uuid4()
    return NewJob(
        id=job_id, key="film.mp4", workflow_id=f"film-{job_id}", source_object="input", size_bytes=1,
        source_sha256="00", options=JobOptions(),
    )  # fmt: skip


def asked(url: str, path: str) -> int:
    """Bytes of the answer, to a client in a thread of its own."""
    connection = http.client.HTTPConnection(urlsplit(url).netloc)
    connection.request("GET", path)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    assert answer.status == 200, body
    return len(body)


async def run() -> None:
    report.machine()
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder) / "pg")
        dsn = await postgres.start()
        try:
            batch, ids = await fill(dsn)
            await measure(Settings.model_validate(_settings(folder, dsn)), batch, ids)
        finally:
            await postgres.stop()


def _settings(folder: str, dsn: str) -> dict[str, Any]:
    return {
        "data_dir": Path(folder) / "data",
        "server": ServerSettings(port=0),
        "log": LogSettings(level="warning"),
        "database": DatabaseSettings(dsn=dsn),
        "temporal": TemporalSettings(address="127.0.0.1:1"),
    }


async def measure(settings: Settings, batch: UUID, ids: list[UUID]) -> None:
    configure_logging(settings, "api")
    first, stopwatch = ids[0], Stopwatch()
    async with running(settings) as url:
        spare_what_stays()
        with stopwatch.watching():
            for path in (
                f"/jobs/{first}",
                f"/jobs?limit={JOBS}",
                f"/jobs?ids={','.join(map(str, ids))}",
                f"/jobs/{first}/events?limit={EVENTS}",
                f"/jobs/{first}/progress-history?limit={EVENTS}",
                f"/batches/{batch}",
                "/usage",
                "/queue/stats",
                "/openapi.json",
                "/docs",
            ):
                stopwatch.taken()
                longest = [(await asyncio.to_thread(asked, url, path), stopwatch.taken()) for _ in range(TRIES)]
                size = max(size for size, _ in longest)
                # The first asks for what is kept from then on.
                name = path.replace(str(first), "<id>").replace(str(batch), "<id>").partition(",")[0]
                report.number(f"GET {name:.40} ({size >> 10} KiB)", max(ms for _, ms in longest), "ms", bar=BAR_MS)


def main() -> None:
    asyncio.run(run())
