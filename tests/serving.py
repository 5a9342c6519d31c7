"""The API as a process serves it, and a client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from sse import Frame, read_frames

from streamforge.api.server import running
from streamforge.settings import Settings


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
        """Names of everything in the store."""
        root = self.settings.data_dir / "storage"
        return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())

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


@asynccontextmanager
async def serving(settings: Settings) -> AsyncIterator[Api]:
    async with running(settings) as url, httpx.AsyncClient(base_url=url, timeout=20) as http:
        yield Api(http, settings)
