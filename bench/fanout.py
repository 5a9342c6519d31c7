"""Events from the log to a thousand clients: what one costs, how long it takes, beside what else one would use."""

import asyncio
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from uuid import UUID

import psutil

from bench import report, rivals
from bench.crowd import Crowd
from bench.log_rows import new_job, postgres
from bench.rivals import HOST, Rival
from bench.waiting import until_listening
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog

CLIENTS = 1_000
MANY_CLIENTS = 5_000
EVENTS_PER_SECOND = 10
SECONDS = 10
REPLAYED = 100
BAR_MICROSECONDS = 18
BAR_LATENCY_MS = 150
BAR_IDLE_KIB = 30
PATIENCE = 60.0


@dataclass(frozen=True)
class Streamforge:
    """One API process, and a log that anybody may write to: what a worker elsewhere does."""

    port: int
    process: psutil.Process
    dsn: str

    def publish(self, job_id: UUID, messages: list[str], pause: float) -> None:
        asyncio.run(self._publish(job_id, messages, pause))

    async def _publish(self, job_id: UUID, messages: list[str], pause: float) -> None:
        database = await Database.open(self.dsn, size=1)
        for message in messages:
            change = JobChange(stage=Stage.TRANSCODING, progress=20, message=message or f"sent {time.time_ns()}")
            await EventLog(database).append(job_id, change)
            await asyncio.sleep(pause)
        await database.close()

    def job(self) -> UUID:
        async def create() -> UUID:
            database = await Database.open(self.dsn, size=1)
            job_id = await new_job(Jobs(database))
            await database.close()
            return job_id

        return asyncio.run(create())


def main() -> None:
    report.machine()
    _open_files(MANY_CLIENTS)
    with _streamforge() as ours:
        report.note(f"{CLIENTS} clients, {EVENTS_PER_SECOND} events a second, {SECONDS} s")
        _deliver(ours)
    for rival in (rivals.naive, rivals.nchan):
        if rival is rivals.nchan and not (shutil.which("nginx") and rivals.NCHAN_MODULE.exists()):
            report.note("Nchan skipped: apt-get install nginx-light libnginx-mod-nchan")
            continue
        with rival() as server:
            _deliver_by(server)
    with _streamforge() as ours:
        _idle(ours)
        _reconnect(ours)


def _deliver(ours: Streamforge) -> None:
    job_id = ours.job()
    with Crowd(HOST, ours.port, f"/jobs/{job_id}/stream", CLIENTS) as crowd:
        messages = [""] * (EVENTS_PER_SECOND * SECONDS)
        cost, delivered = _while_publishing(
            crowd, ours.process, lambda: ours.publish(job_id, messages, 1 / EVENTS_PER_SECOND), len(messages) * CLIENTS
        )
        assert all(each.ids == list(range(2, len(messages) + 2)) for each in crowd.listeners), "lost or repeated"
        report.number("StreamForge: CPU of each delivered event", cost / delivered * 1e6, "µs", bar=BAR_MICROSECONDS)
        _latency("StreamForge, append → client", crowd, bar=BAR_LATENCY_MS)


def _deliver_by(rival: Rival) -> None:
    def publish() -> None:
        for _ in range(EVENTS_PER_SECOND * SECONDS):
            rival.publish(_same_payload())
            time.sleep(1 / EVENTS_PER_SECOND)

    with Crowd(HOST, rival.port, rival.path, CLIENTS) as crowd:
        cost, delivered = _while_publishing(crowd, rival.process, publish, EVENTS_PER_SECOND * SECONDS * CLIENTS)
        report.number(f"{rival.name}: CPU of each delivered event", cost / delivered * 1e6, "µs")
        _latency(f"{rival.name}, POST → client", crowd)


def _while_publishing(
    crowd: Crowd, server: psutil.Process, publish: Callable[[], None], frames: int
) -> tuple[float, int]:
    """CPU seconds of the server, and how many frames arrived."""
    before = _cpu(server)
    publisher = threading.Thread(target=publish)
    publisher.start()
    whole = crowd.read_until(lambda: crowd.frames == frames, PATIENCE)
    publisher.join()
    assert whole, f"{crowd.frames} of {frames} frames arrived"
    return _cpu(server) - before, crowd.frames


def _idle(ours: Streamforge) -> None:
    job_id = ours.job()
    with Crowd(HOST, ours.port, f"/jobs/{job_id}/stream", 50):
        before = ours.process.memory_info().rss
    began = time.monotonic()
    with Crowd(HOST, ours.port, f"/jobs/{job_id}/stream", MANY_CLIENTS) as crowd:
        report.number(f"{MANY_CLIENTS} clients connected after", time.monotonic() - began, "s")
        each = (ours.process.memory_info().rss - before) / MANY_CLIENTS
        report.number("memory of each idle client", each / 1024, "KiB", bar=BAR_IDLE_KIB)
        _while_publishing(crowd, ours.process, lambda: ours.publish(job_id, [""] * 10, 0.5), 10 * MANY_CLIENTS)
        _latency(f"append → client, {MANY_CLIENTS} clients", crowd)


def _reconnect(ours: Streamforge) -> None:
    job_id = ours.job()
    ours.publish(job_id, [f"sent {time.time_ns()}"] * REPLAYED, 0)
    before, began = _cpu(ours.process), time.monotonic()
    with Crowd(HOST, ours.port, f"/jobs/{job_id}/stream", CLIENTS, last_event_id=1) as crowd:
        whole = crowd.read_until(lambda: crowd.frames == REPLAYED * CLIENTS, PATIENCE)
        assert whole, f"{crowd.frames} of {REPLAYED * CLIENTS} frames arrived"
        assert all(each.ids == list(range(2, REPLAYED + 2)) for each in crowd.listeners), "lost or repeated"
    seconds = time.monotonic() - began
    report.number(f"{CLIENTS} reconnect at once, {REPLAYED} events replayed to each, after", seconds, "s")
    report.number("… CPU of each replayed event", (_cpu(ours.process) - before) / REPLAYED / CLIENTS * 1e6, "µs")


def _latency(what: str, crowd: Crowd, bar: float | None = None) -> None:
    cuts = quantiles(crowd.latencies, n=100)
    report.number(f"{what}, p50", cuts[49] * 1000, "ms")
    report.number(f"{what}, p99", cuts[98] * 1000, "ms", bar=bar)


def _same_payload() -> str:
    """As long as what StreamForge sends."""
    return json.dumps(
        {
            "job_id": str(UUID(int=0)),
            "stage": "transcoding",
            "progress": 20,
            "message": f"sent {time.time_ns()}",
            "timestamp": "2026-01-01T00:00:00.000Z",
        },
        separators=(",", ":"),
    )


@contextmanager
def _streamforge() -> Iterator[Streamforge]:
    with ExitStack() as stack:
        dsn = stack.enter_context(postgres())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="streamforge-bench-")))
        port = free_port(HOST)
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("STREAMFORGE_")},
            "STREAMFORGE_DATABASE__DSN": dsn,
            "STREAMFORGE_TEMPORAL__ADDRESS": f"{HOST}:{free_port(HOST)}",
            "STREAMFORGE_SERVER__MAX_STREAMS_PER_CLIENT": str(MANY_CLIENTS * 2),
        }
        command = [sys.executable, "-m", "streamforge", "api", "--port", str(port), "--data-dir", str(folder / "data")]
        log = stack.enter_context((folder / "log").open("w"))
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            until_listening(HOST, port)
            yield Streamforge(port, psutil.Process(process.pid), dsn)
        finally:
            process.terminate()
            process.wait()


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def _open_files(clients: int) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, clients + 1000), hard))
