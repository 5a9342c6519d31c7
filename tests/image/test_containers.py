"""An API and a worker in containers, PostgreSQL and Temporal outside: a job comes through, whatever is done to them."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from containers import IMAGE, Container, container, volume
from playback import ffmpeg_decodes
from sse import Frame, read_frames

from streamforge.embedded.ports import free_port

pytestmark = [
    pytest.mark.skipif(not IMAGE, reason="`make image-test` builds the image and runs these"),
    pytest.mark.timeout(400),
]

MEDIA = Path(__file__).parents[1] / "media"
FILM = MEDIA / "bottles-360p-40s.mp4"
FRAMES = 1189
DRAIN_SECONDS = 30


@dataclass
class Deployment:
    """One API and any number of workers on one volume."""

    http: httpx.AsyncClient
    api: Container
    stack: AsyncExitStack
    data: str
    settings: dict[str, str]

    async def worker(self) -> Container:
        worker = await self.stack.enter_async_context(container("worker"))
        await worker.run("worker", self.data, self.settings, "--no-healthcheck")
        return worker

    async def ready(self) -> None:
        """Until it takes work; the test's own time limit ends this."""
        while True:
            try:
                if (await self.http.get("/ready")).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.2)

    async def submit(self, film: Path) -> str:
        with film.open("rb") as video:
            answer = await self.http.post("/process", files={"video": (film.name, video, "video/mp4")})
        assert answer.status_code == httpx.codes.ACCEPTED, answer.text
        return str(answer.json()["job_id"])

    async def frames(self, job_id: str, after: int = 0) -> AsyncIterator[Frame]:
        stream = self.http.stream("GET", f"/jobs/{job_id}/stream", headers={"Last-Event-ID": str(after)}, timeout=120)
        async with stream as response:
            assert response.status_code == httpx.codes.OK
            async for frame in read_frames(response):
                yield frame

    async def until_encoding(self, job_id: str) -> None:
        async for frame in self.frames(job_id):
            if frame.event == "progress" and frame.data["stage"] == "transcoding" and frame.data["progress"] > 10:
                return
        raise AssertionError("the job ended before a chunk of it was being encoded")

    async def job(self, job_id: str) -> dict[str, Any]:
        answer = await self.http.get(f"/jobs/{job_id}")
        return dict(answer.raise_for_status().json())

    async def events(self, job_id: str) -> list[dict[str, Any]]:
        answer = await self.http.get(f"/jobs/{job_id}/events?limit=1000")
        return list(answer.raise_for_status().json()["events"])


@pytest.fixture
async def deployment(database_dsn: str, temporal_address: str) -> AsyncIterator[Deployment]:
    port = free_port("127.0.0.1")
    settings = {
        "STREAMFORGE_DATABASE__DSN": database_dsn,
        "STREAMFORGE_TEMPORAL__ADDRESS": temporal_address,
        "STREAMFORGE_SERVER__PORT": str(port),
        # It listens on all addresses, as the image has it.
        "STREAMFORGE_AUTH__REQUIRED": "true",
        "STREAMFORGE_AUTH__SECRET": secrets.token_hex(32),
        # Slow enough to be caught in the middle.
        "STREAMFORGE_TRANSCODE__PRESETS__H264": "slow",
        "STREAMFORGE_WORKER__MAX_CONCURRENT_MEDIA": "2",
    }
    async with AsyncExitStack() as stack:
        data = await stack.enter_async_context(volume())
        api = await stack.enter_async_context(container("api"))
        http = await stack.enter_async_context(httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20))
        await api.run("api", data, settings)
        running = Deployment(http, api, stack, data, settings)
        await running.ready()
        key = (await api.execute("streamforge", "api-keys", "create", "--owner", "somebody")).split()[-1]
        http.headers["Authorization"] = f"Bearer {key}"
        yield running


async def assert_whole(deployment: Deployment, job_id: str, frames: int = FRAMES) -> None:
    """Completed, every event once, every picture there for a player that has nothing but the signed address."""
    ends = [frame async for frame in deployment.frames(job_id)]
    job = await deployment.job(job_id)
    assert (job["status"], job["progress"]) == ("completed", 100), job
    assert ends[-1].event == "done"
    events = await deployment.events(job_id)
    assert [event["id"] for event in events] == list(range(1, len(events) + 1))
    assert sum(event["data"].get("stage") == "completed" for event in events) == 1
    master = f"{deployment.http.base_url}".rstrip("/") + job["playback"]["hls"]
    assert await ffmpeg_decodes(master) == {"frames": frames}


async def test_without_a_key_it_gives_nothing_away(deployment: Deployment) -> None:
    del deployment.http.headers["Authorization"]
    with (MEDIA / "bbb-720p-5s.mp4").open("rb") as video:
        sent = await deployment.http.post("/process", files={"video": ("film.mp4", video, "video/mp4")})
    assert (sent.status_code, sent.json()["code"]) == (401, "auth.required")
    assert (await deployment.http.get("/jobs")).status_code == httpx.codes.UNAUTHORIZED


async def test_a_job_outlives_the_kill_of_all_that_works_for_it(deployment: Deployment) -> None:
    worker = await deployment.worker()
    job_id = await deployment.submit(FILM)
    await deployment.until_encoding(job_id)
    seen = [event["id"] for event in await deployment.events(job_id)]
    await asyncio.gather(worker.kill(), deployment.api.kill())
    await asyncio.gather(worker.start(), deployment.api.start())
    await deployment.ready()
    missed = [int(frame.id) async for frame in deployment.frames(job_id, after=seen[-1]) if frame.id]
    assert missed[0] > seen[-1]
    await assert_whole(deployment, job_id)


async def test_a_worker_that_is_asked_to_end_does_so_in_time_and_the_next_goes_on(deployment: Deployment) -> None:
    worker = await deployment.worker()
    job_id = await deployment.submit(FILM)
    await deployment.until_encoding(job_id)
    assert await worker.stop(DRAIN_SECONDS) == 0, (
        "it was killed: docker/kubernetes and compose allow it so many seconds"
    )
    assert (await deployment.job(job_id))["status"] == "processing"
    await deployment.worker()
    await assert_whole(deployment, job_id)


async def test_an_api_that_is_asked_to_end_says_goodbye_to_those_who_watch(deployment: Deployment) -> None:
    job_id = await deployment.submit(MEDIA / "bbb-720p-5s.mp4")
    frames = deployment.frames(job_id)
    assert (await anext(frames)).event == "status"
    stopped = asyncio.create_task(deployment.api.stop(15))
    rest = [frame async for frame in frames]
    assert rest[-1].retry is not None, "when to come back"
    assert await stopped == 0


async def test_everything_in_a_container_is_as_confined_as_the_container(deployment: Deployment) -> None:
    worker = await deployment.worker()
    job_id = await deployment.submit(FILM)
    await deployment.until_encoding(job_id)
    processes = await worker.rights()
    assert len(processes) > 1
    for rights in processes:
        assert rights["Uid"] == "10001 10001 10001 10001"
        assert rights["NoNewPrivs"] == "1"
        assert rights["Seccomp"] == "2", "the engine's filter, at least"
    # What a media child holds counts in a user namespace of its own, in which nobody is but itself.
    held = [rights for rights in processes if rights["namespace"] == processes[0]["namespace"]]
    assert {(rights["CapEff"], rights["CapBnd"]) for rights in held} == {("0" * 16, "0" * 16)}
    refused = await worker.execute("sh", "-c", "touch /app/new 2>&1 || echo refused")
    assert refused.splitlines()[-1] == "refused"


async def test_the_images_own_health_check_passes_and_nothing_dead_stays_in_the_worker(deployment: Deployment) -> None:
    worker = await deployment.worker()
    job_id = await deployment.submit(MEDIA / "bbb-720p-5s.mp4")
    await assert_whole(deployment, job_id, frames=132)
    assert [state for state in await worker.states() if " Z" in state] == []
    await deployment.api.healthy()


async def test_media_children_are_confined_in_a_container_too(deployment: Deployment) -> None:
    """Landlock and the seccomp filter need nothing of the engine; namespaces it may refuse, and then that is said."""
    told = " ".join((await deployment.api.execute("streamforge", "doctor")).split())
    assert re.search(r"sandbox Landlock \(version \d+\), system call filter", told), told
