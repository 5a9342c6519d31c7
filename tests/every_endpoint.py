"""An API on which every request can succeed, and what it was asked: for clients that say they can ask for everything."""

import asyncio
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

from callers import SECRET
from factories import COMPLETED, FAILED, accepted
from leftovers import end_workflows
from serving import Api, serving
from starlette.routing import Match
from temporalio.client import Client

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.api.app import create_app
from streamforge.api.http import middleware
from streamforge.api.openapi.document import document
from streamforge.client import StreamForgeClient
from streamforge.contracts.job import Playback
from streamforge.contracts.worker_view import AboutWorker
from streamforge.db.credentials import Credentials
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.db.workers import Beats
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.packaging.presentation import HLS_MASTER
from streamforge.settings import (
    AuthSettings,
    DatabaseSettings,
    InputSettings,
    ServerSettings,
    Settings,
    TemporalSettings,
)
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage

NOT_YET_COVERED: dict[str, str] = {}
"""Endpoints that no client has a method for, and why. It is to be empty."""
ROUTES = create_app(Settings()).routes
WORKER = "1@here"
PLAYLIST = b"#EXTM3U\n"


@cache
def described() -> set[str]:
    """As in `GET /jobs/{job_id}`."""
    paths = document(ROUTES, are_callers_known=True)["paths"]  # type: ignore[arg-type]
    return {f"{method.upper()} {path}" for path, methods in paths.items() for method in methods}


def without_a_method(asked: set[str]) -> set[str]:
    return described() - asked - NOT_YET_COVERED.keys()


class Requests:
    """What a server was asked for and did. It takes the place of its access log."""

    def __init__(self) -> None:
        self.succeeded: set[str] = set()
        self.refused: list[str] = []

    def info(self, _event: str, *, method: str, path: str, status: int, **_more: Any) -> None:
        kind, method = ("websocket", "GET") if method == "WEBSOCKET" else ("http", method)
        name = next((name for name in _names(kind, method, path)), f"{method} {path}")
        # Without a worker this server is not ready, and says so.
        if status < 400 or (name, status) == ("GET /ready", 503):
            self.succeeded.add(name)
        else:
            self.refused.append(f"{name}: {status}")


def _names(kind: str, method: str, path: str) -> Iterator[str]:
    scope = {"type": kind, "method": method, "path": path, "root_path": "", "headers": []}
    for route in ROUTES:
        if route.matches(scope)[0] is Match.FULL:
            yield f"{'GET' if method == 'HEAD' else method} {route.path_format}"  # type: ignore[attr-defined]


@dataclass
class World:
    """`key` is that of an administrator who may send videos, too."""

    api: Api
    key: str
    database: Database
    requests: Requests = field(default_factory=Requests)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"}

    @property
    def jobs(self) -> Jobs:
        return Jobs(self.database)

    @property
    def events(self) -> EventLog:
        return EventLog(self.database)

    def key_id(self, job_id: UUID) -> str:
        return next(iter(Keys(self.api.settings).of_job(job_id).values())).key_id

    def kid(self, job_id: UUID) -> str:
        return urlsafe_b64encode(bytes.fromhex(self.key_id(job_id))).decode().rstrip("=")

    async def accepted(self, **options: Any) -> UUID:
        return await accepted(self.jobs, **options)

    async def completed(self, **options: Any) -> UUID:
        """With a playlist that can be asked for."""
        job_id = await self.accepted(**options)
        storage = LocalStorage(self.api.settings.data_dir / "storage")
        await storage.put_bytes(layout.output(job_id, HLS_MASTER), PLAYLIST)
        playback = Playback(hls=layout.media(job_id, HLS_MASTER), dash=None, license=f"/keys/{job_id}/license")
        await self.events.append(job_id, COMPLETED.model_copy(update={"playback": playback}))
        return job_id

    async def failed(self) -> UUID:
        """With its original. Its workflow, which nobody works on here, would still clear away."""
        sent = await self.api.http.post(
            "/process", files={"video": ("broken.mp4", b"some bytes", "video/mp4")}, headers=self.headers
        )
        job_id = UUID(sent.raise_for_status().json()["job_id"])
        async with asyncio.timeout(60):
            while (job := await self.jobs.of("root").get(job_id)) is None or job.launched_at is None:
                await asyncio.sleep(0.02)
        await self.events.append(job_id, FAILED)
        temporal = await Client.connect(self.api.settings.temporal.address)
        await temporal.get_workflow_handle(job.workflow_id).terminate()
        return job_id


@contextmanager
def listening(requests: Requests) -> Iterator[None]:
    log, middleware.access = middleware.access, requests  # type: ignore[assignment]
    try:
        yield
    finally:
        middleware.access = log


@asynccontextmanager
async def world_on(dsn: str, temporal_address: str, folder: Path) -> AsyncIterator[World]:
    settings = Settings(
        data_dir=folder / "data",
        server=ServerSettings(port=0),
        auth=AuthSettings(required=True, secret=SECRET),  # type: ignore[arg-type]
        input=InputSettings(min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=dsn),
        temporal=TemporalSettings(address=temporal_address),
    )
    database = await Database.open(dsn)
    try:
        credentials = Credentials(database)
        keys = ApiKeys(credentials, Standing(credentials), InstallationSecret(settings))
        key = await keys.create("root", [Scope.ADMIN, Scope.SUBMIT, Scope.READ], None)
        await Beats(database, WORKER, "here", "0.1.0", datetime.now(UTC)).tell(AboutWorker(cores=4))
        async with serving(settings) as api:
            world = World(api, key, database)
            with listening(world.requests):
                yield world
    finally:
        await database.close()
        await end_workflows(await Client.connect(temporal_address))


@asynccontextmanager
async def jobs_complete(world: World) -> AsyncIterator[None]:
    """All that are sent, as if a worker were there."""

    async def complete(client: StreamForgeClient) -> None:
        while True:
            for job in (await client.find(status="pending", owner="root", limit=100)).jobs:
                if job.latest_events[0].message == "File received":
                    await world.events.append(job.id, COMPLETED)
            await asyncio.sleep(0.1)

    async with StreamForgeClient(world.api.url, api_key=world.key) as client:
        completing = asyncio.create_task(complete(client))
        try:
            yield
        finally:
            completing.cancel()
            await asyncio.wait([completing])
