"""Events a second from a long log to a Redis and a NATS of this machine, in pages, each recorded when it has arrived."""

import asyncio
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg

from bench import report
from bench.log_rows import new_job, postgres
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.db.sinks import Cursors
from streamforge.settings import NatsSinkSettings, RedisSinkSettings
from streamforge.sinks.jetstream import JetStream
from streamforge.sinks.protocol import Sink
from streamforge.sinks.redis_stream import RedisStream
from streamforge.sinks.sender import Sender

EVENTS = 50_000
BAR = 5000.0
NATS_SERVER = "/usr/sbin/nats-server"

FILL = """
INSERT INTO progress_events (job_id, seq, owner, owner_seq, stage, progress, message, details)
SELECT $1, 1 + n, 'everyone', 1 + n, 'transcoding', 20, 'Encoding: chunk ' || n, '{"chunk": {"index": 17, "of": 300}}'
FROM generate_series(1, $2::integer) AS n
"""


def main() -> None:
    report.machine()
    report.note(f"{EVENTS} events of one owner; PostgreSQL, broker and sender share this machine")
    with postgres() as dsn, tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        asyncio.run(_fill(dsn))
        redis, nats = shutil.which("redis-server"), shutil.which("nats-server") or NATS_SERVER
        if redis:
            with _broker([redis, "--save", "", "--appendonly", "yes", "--dir", folder, "--port"]) as port:
                sink: Sink = RedisStream(f"redis://127.0.0.1:{port}", RedisSinkSettings())
                report.at_least("to a stream of Redis", asyncio.run(_rate(dsn, "redis", sink)), "/s", bar=BAR)
        if Path(nats).exists():
            with _broker([nats, "-js", "-sd", folder, "-a", "127.0.0.1", "-p"]) as port:
                sink = JetStream(f"nats://127.0.0.1:{port}", NatsSinkSettings())
                report.number("to a stream of NATS, on disk", asyncio.run(_rate(dsn, "nats", sink)), "/s")


async def _fill(dsn: str) -> None:
    database = await Database.open(dsn, 2)
    job_id = await new_job(Jobs(database))
    for name in ("redis", "nats"):
        await Cursors(name, database).begin()
    await database.close()
    connection = await asyncpg.connect(dsn)
    await connection.execute(FILL, job_id, EVENTS)
    await connection.execute("UPDATE owners SET event_seq = $1", EVENTS + 1)
    await connection.close()


async def _rate(dsn: str, name: str, sink: Sink) -> float:
    database = await Database.open(dsn, 2)
    cursors = Cursors(name, database)
    cpu, began = time.process_time(), time.monotonic()
    async with Sender(name, sink, database):
        while await cursors.position(EVERYONE) <= EVENTS:
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - began
    report.note(f"{name}: {1e6 * (time.process_time() - cpu) / EVENTS:.0f} µs of the sender's CPU for each event")
    await database.close()
    return EVENTS / seconds


@contextmanager
def _broker(command: list[str]) -> Iterator[int]:
    """The command lacks its last word, the port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    process = subprocess.Popen(
        [*command, str(port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ
    )
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()
