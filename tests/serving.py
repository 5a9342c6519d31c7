"""The API as a process serves it, and a client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from sse import Frame, read_frames

from streamforge.api.http.server import running
from streamforge.contracts.job_view import JobView
from streamforge.settings import Settings
from streamforge.storage import ownership

AUTHORITIES = httpx.create_ssl_context()
"""Read once: a client of its own for each of hundreds of tests spent 26 ms on them, an eighth of what such a test took."""


@dataclass
class Api:
    """A running server, and a client for it."""

    http: httpx.AsyncClient
    settings: Settings

    @property
    def url(self) -> str:
        return str(self.http.base_url).rstrip("/")

    @property
    def address(self) -> tuple[str, int]:
        return self.http.base_url.host, int(self.http.base_url.port or 80)

    @property
    def uploads(self) -> list[Path]:
        """What lies in the folder of incoming files."""
        return sorted((self.settings.data_dir / "uploads").iterdir())

    @property
    def stored(self) -> list[str]:
        """Names of everything in the store but the mark of whose it is."""
        root = self.settings.data_dir / "storage"
        return sorted(
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and path.name != ownership.MARK
        )

    async def post(self, video: bytes | None = b"some bytes", name: str = "clip.mp4", **fields: str) -> httpx.Response:
        files = None if video is None else {"video": (name, video, "video/mp4")}
        return await self.http.post("/process", data=fields, files=files)

    async def post_ok(self, name: str = "clip.mp4", **fields: str) -> str:
        return await self.post_ok_with(b"some bytes", name=name, **fields)

    async def post_ok_with(self, video: bytes, name: str = "clip.mp4", **fields: str) -> str:
        response = await self.post(video, name=name, **fields)
        assert response.status_code == 202, response.text
        return str(response.json()["job_id"])

    async def job(self, job_id: object) -> dict[str, object]:
        response = await self.http.get(f"/jobs/{job_id}")
        assert response.status_code == 200, response.text
        return dict(response.json())

    @asynccontextmanager
    async def stream(self, job_id: object, **options: object) -> AsyncIterator[AsyncIterator[Frame]]:
        """The job's stream, frame by frame as they come."""
        request = self.http.stream("GET", f"/jobs/{job_id}/stream", **options)  # type: ignore[arg-type]
        async with request as response:
            assert response.status_code == 200
            yield read_frames(response)

    async def whole_stream(self, job_id: object, **options: object) -> list[Frame]:
        """All frames, until the server closes."""
        async with self.stream(job_id, **options) as frames:
            return [frame async for frame in frames]


def assert_problem(response: httpx.Response, status: int, code: str) -> None:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["code"] == code
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"].endswith(".")
    assert problem["request_id"] == response.headers["x-request-id"]


async def read_everywhere(api: Api, job_id: str, batch_id: str | None = None) -> dict[str, Any]:
    """By every address that shows a job; the job itself."""
    job = await api.job(job_id)
    for path in ("/jobs?limit=100", f"/jobs?ids={job_id}"):
        listed = (await api.http.get(path)).raise_for_status().json()["jobs"]
        assert [each for each in listed if each["id"] == job_id] == [job]
    events = (await api.http.get(f"/jobs/{job_id}/events")).raise_for_status().json()["events"]
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    streams = [f"/jobs/{job_id}/stream", "/stream"]
    if batch_id is not None:
        assert (await api.http.get(f"/batches/{batch_id}")).raise_for_status().json()["jobs"][0]["job_id"] == job_id
        streams.append(f"/batches/{batch_id}/stream")
    for path in streams:
        async with api.http.stream("GET", path, headers={"Last-Event-ID": "0"}) as response:
            assert response.status_code == 200, path
            frames = read_frames(response)
            assert (await anext(frames)).event == "status"
            assert (await anext(frames)).data["job_id"]
    JobView.model_validate(job)
    return job


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Api]:
    async with running(settings) as url, httpx.AsyncClient(base_url=url, timeout=20, verify=AUTHORITIES) as http:
        yield Api(http, settings)
