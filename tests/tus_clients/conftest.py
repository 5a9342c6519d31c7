"""One API, one Node with tus-js-client, and one film that is large enough to be interrupted."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from factories import run_sql
from programs import npm_packages, program
from serving import Api, serving

from streamforge.embedded.ports import free_port
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings

FOLDER = Path(__file__).parent
MEBIBYTE = 2**20
FILM_BYTES = 96 * MEBIBYTE


@dataclass
class Client:
    """tus-js-client, and what it has told."""

    process: asyncio.subprocess.Process
    told: dict[str, asyncio.Queue[dict[str, Any]]] = field(default_factory=dict)

    async def listen(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            event = json.loads(line)
            self.told.setdefault(event["name"], asyncio.Queue()).put_nowait(event)

    def start(self, endpoint: str, file: Path, pause_at: int | None = None, **options: Any) -> "JsUpload":
        upload = JsUpload(self, uuid4().hex)
        self.told[upload.name] = asyncio.Queue()
        self.say(
            {
                "name": upload.name,
                "start": {"endpoint": endpoint, "file": str(file), "options": options, "pauseAt": pause_at},
            }
        )
        return upload

    def say(self, command: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command).encode() + b"\n")


@dataclass
class JsUpload:
    client: Client
    name: str

    def do(self, command: str) -> None:
        self.client.say({"name": self.name, "do": command})

    async def until(self, event: str, is_it: Callable[[dict[str, Any]], bool] = lambda _: True) -> dict[str, Any]:
        """The next of this kind. An error that nobody waits for fails the test."""
        told: dict[str, Any] = {}
        try:
            async with asyncio.timeout(60):
                while True:
                    told = await self.client.told[self.name].get()
                    if told["event"] == event and is_it(told):
                        return told
                    assert told["event"] != "error", told
        except TimeoutError as error:
            raise AssertionError(f"no {event}; the last was {told}") from error


@dataclass
class World:
    api: Api
    settings: Settings
    client: Client
    film: Path

    @property
    def endpoint(self) -> str:
        return f"{self.api.url}/uploads"

    def original(self, job_id: str) -> Path:
        return self.settings.data_dir / "storage" / "input" / job_id / "original"

    def has_whole_film(self, job_id: str) -> bool:
        return same(self.original(job_id), self.film)


def same(one: Path, other: Path) -> bool:
    with one.open("rb") as a, other.open("rb") as b:
        return one.stat().st_size == other.stat().st_size and all(
            piece == b.read(MEBIBYTE) for piece in iter(lambda: a.read(MEBIBYTE), b"")
        )


@asynccontextmanager
async def uploader() -> AsyncIterator[Client]:
    node = program("node", "nodejs", package="nodejs")
    npm_packages(FOLDER)
    process = await asyncio.create_subprocess_exec(
        node, "uploader.mjs", cwd=FOLDER, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MEBIBYTE
    )
    client = Client(process)
    listening = asyncio.create_task(client.listen())
    try:
        yield client
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def world(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[World]:
    name = f"tus_{uuid4().hex}"
    await run_sql(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE streamforge_template STRATEGY FILE_COPY")
    folder = tmp_path_factory.mktemp("tus")
    settings = Settings(
        data_dir=folder / "data",
        server=ServerSettings(port=0),
        input=InputSettings(min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=postgres_dsn.rpartition("/")[0] + f"/{name}"),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )
    film = folder / "film.mp4"
    with film.open("wb") as file:
        # Mostly a hole, with marks in it: what is written to the wrong place is seen.
        for at in range(0, FILM_BYTES, 4 * MEBIBYTE):
            file.seek(at)
            file.write(os.urandom(1000))
        file.truncate(FILM_BYTES)
    async with uploader() as client, serving(settings) as api:
        yield World(api, settings, client, film)
    film.unlink()
