"""The whole system in one process: the API as served, a worker with both queues, and everything real behind them."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from serving import Api
from sse import Frame
from temporalio.client import Client, WorkflowHandle


@dataclass
class System:
    api: Api
    temporal: Client

    @property
    def storage(self) -> Path:
        return self.api.settings.data_dir / "storage"

    @property
    def worker_scratch(self) -> Path:
        """The folder of the one worker; beside it lies the lock that workers start under."""
        (folder,) = (path for path in (self.api.settings.data_dir / "scratch").iterdir() if path.is_dir())
        return folder

    def output(self, job_id: str) -> Path:
        return self.storage / "output" / job_id

    async def process(self, video: Path | bytes, name: str = "clip.mp4", **fields: str) -> "Finished":
        """Post a video and watch it to its end."""
        content = video if isinstance(video, bytes) else video.read_bytes()
        job_id = await self.api.post_ok_with(content, name=name, **fields)
        frames = await self.api.whole_stream(job_id)
        page = await self.api.http.get(f"/jobs/{job_id}/events", params={"limit": 1000})
        return Finished(job_id, frames, await self.api.job(job_id), page.json()["events"])

    async def workflow(self, job_id: str) -> WorkflowHandle[Any, Any]:
        job = await self.api.job(job_id)
        return self.temporal.get_workflow_handle(str(job["workflow_id"]))


@dataclass
class Finished:
    """A job that is over: what its stream said, what GET says, and its log from the first event on, which a stream that
    was opened a moment later has not told."""

    id: str
    frames: list[Frame]
    job: dict[str, Any]
    log: list[dict[str, Any]]

    @property
    def stages(self) -> list[str]:
        """In the order of their first appearance."""
        return list(dict.fromkeys(event["data"]["stage"] for event in self.log if event["event"] == "progress"))

    @property
    def progress(self) -> list[int]:
        return [frame.data["progress"] for frame in self.frames if frame.event in {"status", "progress"}]
