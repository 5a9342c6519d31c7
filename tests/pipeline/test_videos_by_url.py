"""A video that is fetched becomes a stream like one that was sent; and what a cancel and another try do to it."""

import asyncio
from collections.abc import AsyncIterator
from ipaddress import ip_network
from pathlib import Path

import pytest
from system import System
from temporalio.client import WorkflowFailureError
from video_server import Trouble, VideoServer, having

from streamforge.settings import OutboundSettings, Settings, ValidationSettings

FILM = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    local = OutboundSettings(allowed_networks=[ip_network("127.0.0.0/8")])
    smaller = settings.transcode.model_copy(update={"heights": [144]})
    return settings.model_copy(
        update={"outbound": local, "transcode": smaller, "validation": ValidationSettings(enabled=False)}
    )


@pytest.fixture
async def server() -> AsyncIterator[VideoServer]:
    async with having(FILM.read_bytes()) as server:
        yield server


async def by_url(system: System, url: str, **fields: object) -> str:
    response = await system.api.http.post("/process", json={"source_url": url, **fields})
    assert response.status_code == 202, response.text
    return str(response.json()["job_id"])


async def until_told(system: System, job_id: str, beginning: str) -> None:
    async with system.api.stream(job_id, headers={"Last-Event-ID": "0"}) as frames:
        async for frame in frames:
            if frame.event == "progress" and frame.data["message"].startswith(beginning):
                return
    raise AssertionError(f"nobody was told {beginning}")


async def test_a_film_that_breaks_off_becomes_a_stream_and_one_that_is_not_there_another_day(
    system: System, server: VideoServer
) -> None:
    server.troubles.append(Trouble(status=404))
    job_id = await by_url(system, server.url, priority=2)
    frames = await system.api.whole_stream(job_id)
    failed = await system.api.job(job_id)
    error = failed["error"]
    assert isinstance(error, dict)
    assert (error["code"], error["fault"], error["stage"]) == ("source_url.not_found", "caller", "uploading")
    assert frames[-2].data["stage"] == "failed"
    server.troubles.append(Trouble(cut_after=400_000))
    async with asyncio.timeout(60):  # What it left is cleared away first.
        while (again := await system.api.http.post(f"/jobs/{job_id}/retry")).status_code == 409:
            await asyncio.sleep(0.05)
    assert again.status_code == 202, again.text
    await system.api.whole_stream(job_id)
    job = await system.api.job(job_id)
    assert job["status"] == "completed", job
    assert job["size_bytes"] == FILM.stat().st_size
    assert (system.storage / "input" / job_id / "original").read_bytes() == FILM.read_bytes()
    page = (await system.api.http.get(f"/jobs/{job_id}/events", params={"limit": 1000})).json()["events"]
    told = [event["data"]["message"] for event in page]
    second = told[told.index("Tried again") :]
    assert second[:2] == ["Tried again", "Downloading from 127.0.0.1"]
    assert second.index("File received") < second.index("File saved")
    assert server.requests[-1]["range"] == "bytes=400000-"
    assert not (system.storage / "incoming" / job_id).exists()


async def test_a_cancel_ends_a_download_that_hangs(system: System, server: VideoServer) -> None:
    server.always = Trouble(hang_after=400_000)
    job_id = await by_url(system, server.url)
    await until_told(system, job_id, "Downloading from")
    await server.until_asked(1)
    assert (await system.api.http.delete(f"/jobs/{job_id}")).status_code == 202
    frames = await system.api.whole_stream(job_id)
    assert frames[-1].event == "done"
    assert (await system.api.job(job_id))["status"] == "cancelled"
    with pytest.raises(WorkflowFailureError):
        await (await system.workflow(job_id)).result()
    assert system.api.stored == []
    usage = (await system.api.http.get("/usage")).json()
    assert usage["bytes_today"]["used"] <= 400_000, "what did not come does not count"
