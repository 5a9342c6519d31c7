"""What it costs that callers are known, counted and kept apart by PostgreSQL, on `GET /jobs/<id>`: the same API with and without,
turn by turn.

Guarded is all of it: an API key, row-level security, and limits. Without is as it was before: each query on a connection of the
pool as it is, which asyncpg resets afterwards.
"""

import asyncio
import json
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import psutil
import uvloop
from pydantic import SecretStr

from bench import report
from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.job_options import JobOptions
from streamforge.db import pool
from streamforge.db.credentials import Credentials
from streamforge.db.jobs import EVERYONE, Jobs, NewJob
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.events.log import EventLog
from streamforge.settings import (
    AuthSettings,
    DatabaseSettings,
    LimitsSettings,
    ServerSettings,
    Settings,
    TemporalSettings,
)

GUARDED, WITH, WITHOUT = "guarded", "isolated", "as it was"
SECRET = "the secret of an installation that is only measured"  # noqa: S105 - of a bench
JOBS = 300
EVENTS = 30
ROUNDS = 20
REQUESTS_A_ROUND = 50
BAR = 1.1
URL = "url"


class Open(Database):
    """Everybody sees everything, and connections are reset as asyncpg does it."""

    @classmethod
    async def open(cls, dsn: str, size: int = 10, roles: Any = None) -> Self:
        database = cls(dsn, roles)
        database._pool = await asyncpg.create_pool(dsn, min_size=1, max_size=size, init=database._begin_session)
        return database

    async def _begin_session(self, connection: Any) -> None:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=pool._to_json, decoder=pool._from_json)

    def as_caller(self, owner: str) -> Any:
        return self

    async def look(self, query: str, *args: object) -> Any:
        return await self.fetch(query, *args)

    async def look_at_one(self, query: str, *args: object) -> Any:
        return await self.fetch_one(query, *args)

    def as_admin(self) -> Any:
        return self


async def serve(kind: str, dsn: str, folder: str) -> None:
    from streamforge.api import services
    from streamforge.api.http.server import running
    from streamforge.observability.logs import configure_logging

    if kind == WITHOUT:
        services.Database = Open  # type: ignore[misc]
    settings = Settings(
        data_dir=Path(folder),
        server=ServerSettings(port=0),
        database=DatabaseSettings(dsn=dsn),
        temporal=TemporalSettings(address="127.0.0.1:1"),
        auth=AuthSettings(required=kind == GUARDED, secret=SecretStr(SECRET)),
        limits=LimitsSettings(requests_per_minute=10**6 if kind == GUARDED else None),
    )
    configure_logging(settings, "api", keep=True)
    async with running(settings) as url:
        (Path(folder) / URL).write_text(url)
        await asyncio.Event().wait()


@contextmanager
def server(kind: str, dsn: str) -> Iterator[tuple[str, int]]:
    """Its address and its pid."""
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        command = [sys.executable, "-m", "bench.access", kind, dsn, folder]
        log = Path(folder) / "log"
        with log.open("w") as out:
            process = subprocess.Popen(command, stdout=out, stderr=out)
        try:
            while not (Path(folder) / URL).exists():
                if process.poll() is not None:
                    raise RuntimeError(log.read_text())
                time.sleep(0.05)
            yield (Path(folder) / URL).read_text(), process.pid
        finally:
            process.terminate()
            process.wait()


@asynccontextmanager
async def filled() -> AsyncIterator[tuple[str, Sequence[UUID], str]]:
    """A database with jobs that have a log, for the most part over."""
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        dsn = await postgres.start()
        try:
            await apply_migrations(dsn)
            database = await Database.open(dsn)
            jobs, events = Jobs(database), EventLog(database)
            ids = [uuid4() for _ in range(JOBS)]
            for job_id in ids:
                await jobs.of(EVERYONE).create(_job(job_id), progress=5, message="File received")
            for job_id in ids:
                await jobs.mark_launched(job_id)  # Else each API tries to, all the time.
            for job_id in ids[:100]:
                for number in range(EVENTS):
                    await events.append(job_id, JobChange(stage=Stage.TRANSCODING, progress=number, message="Working"))
            key = await _key(database)
            await database.close()
            yield dsn, ids[:100], key
        finally:
            await postgres.stop()


async def _key(database: Database) -> str:
    credentials = Credentials(database)
    secret = InstallationSecret(Settings(auth=AuthSettings(secret=SecretStr(SECRET))))
    return await ApiKeys(credentials, Standing(credentials), secret).create(EVERYONE, [Scope.READ], None)


def _job(job_id: UUID) -> NewJob:
    return NewJob(
        id=job_id, key="film.mp4", workflow_id=f"film-{job_id}", source_object="input", size_bytes=1,
        source_sha256="00", options=JobOptions(),
    )  # fmt: skip


class Client:
    """One connection that is kept; no library of HTTP, whose own time would hide the difference."""

    def __init__(self, url: str, pid: int, key: str | None = None) -> None:
        address = urlsplit(url)
        self._address = (address.hostname, address.port)
        self.connect()
        self._process = psutil.Process(pid)
        self._shown = f"Authorization: Bearer {key}\r\n" if key is not None else ""

    def connect(self) -> None:
        """Anew for each turn: while others have theirs, the server hangs up after five seconds."""
        self._socket = socket.create_connection(self._address)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    @property
    def cpu(self) -> float:
        """Seconds."""
        return sum(self._process.cpu_times()[:2])

    def seconds(self, job_id: UUID) -> float:
        began = time.perf_counter()
        self._socket.sendall(f"GET /jobs/{job_id} HTTP/1.1\r\nHost: localhost\r\n{self._shown}\r\n".encode())
        head, _, body = self._socket.recv(65536).partition(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
        while len(body) < length:
            body += self._socket.recv(65536)
        took = time.perf_counter() - began
        assert json.loads(body)["id"] == str(job_id), body
        return took


def measured(clients: dict[str, Client], ids: Sequence[UUID]) -> tuple[dict[str, float], dict[str, float]]:
    """Median latency and CPU of the API for each request, in seconds."""
    took: dict[str, list[float]] = {kind: [] for kind in clients}
    cpu = dict.fromkeys(clients, 0.0)
    for _ in range(ROUNDS):
        for kind, client in clients.items():
            client.connect()
            client.seconds(ids[0])
            before = client.cpu
            took[kind] += [client.seconds(ids[n % len(ids)]) for n in range(REQUESTS_A_ROUND)]
            cpu[kind] += client.cpu - before
    medians = {kind: statistics.median(each) for kind, each in took.items()}
    return medians, {kind: each / (ROUNDS * REQUESTS_A_ROUND) for kind, each in cpu.items()}


async def run() -> None:
    report.machine()
    async with filled() as (dsn, ids, key):
        with server(GUARDED, dsn) as guarded, server(WITH, dsn) as isolated, server(WITHOUT, dsn) as bare:
            clients = {GUARDED: Client(*guarded, key), WITH: Client(*isolated), WITHOUT: Client(*bare)}
            for client in clients.values():
                client.connect()
                for job_id in ids:
                    client.seconds(job_id)
            latency, cpu = await asyncio.to_thread(measured, clients, ids)
    for kind in clients:
        report.number(f"GET /jobs/<id>, {kind}, median", latency[kind] * 1000, "ms")
        report.number(f"CPU of the API for each, {kind}", cpu[kind] * 1000, "ms")
    for kind in (GUARDED, WITH):
        report.number(f"{kind} ÷ as it was, time", latency[kind] / latency[WITHOUT], bar=BAR)
        report.number(f"{kind} ÷ as it was, CPU of the API", cpu[kind] / cpu[WITHOUT])


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(serve(*sys.argv[1:]))
    else:
        main()
