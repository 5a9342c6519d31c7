"""Streams behind Debian's nginx, as it is by default and as one sets it up for them."""

import asyncio
from pathlib import Path

import httpx
import pytest
from factories import COMPLETED, accepted, progress
from programs import program
from serving import serving
from sse import read_frames
from tools import nginx
from websockets.asyncio.client import connect

from streamforge.db.jobs import Jobs
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.settings import Settings

BY_DEFAULT = ""
KEPT_ALIVE = 'proxy_http_version 1.1; proxy_set_header Connection "";'
FOR_WEBSOCKETS = (
    'proxy_http_version 1.1; proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";'
)
WITH_ADDRESSES = "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"


@pytest.fixture(autouse=True)
def _nginx_is_there() -> None:
    program("nginx", "/usr/sbin/nginx", package="nginx-light")


@pytest.mark.parametrize("location", [BY_DEFAULT, KEPT_ALIVE], ids=["by default", "HTTP/1.1"])
async def test_each_event_passes_at_once_and_the_end_is_an_end(
    settings: Settings, jobs: Jobs, events: EventLog, tmp_path: Path, location: str
) -> None:
    job_id = await accepted(jobs)
    async with (
        serving(settings) as api,
        nginx(tmp_path, free_port("127.0.0.1"), api.url, location) as proxy,
        httpx.AsyncClient(base_url=proxy, timeout=10) as http,
        asyncio.timeout(20),
    ):
        async with http.stream("GET", f"/jobs/{job_id}/stream") as response:
            frames = read_frames(response)
            assert (await anext(frames)).event == "status"
            for number, percent in enumerate((20, 30, 40), 2):
                await events.append(job_id, progress(percent))
                assert (await anext(frames)).id == number
            await events.append(job_id, COMPLETED)
            assert [frame.event async for frame in frames] == ["progress", "done"]
        again = await http.get(f"/jobs/{job_id}/stream", headers={"Last-Event-ID": "5"})
        assert again.status_code == 204


async def test_an_idle_stream_outlives_the_proxys_patience(
    settings: Settings, jobs: Jobs, events: EventLog, tmp_path: Path
) -> None:
    """Heartbeats come more often than `proxy_read_timeout`, which is 60 s by default and one here."""
    job_id = await accepted(jobs)
    async with (
        serving(settings) as api,
        nginx(tmp_path, free_port("127.0.0.1"), api.url, "proxy_read_timeout 1s;") as proxy,
        httpx.AsyncClient(base_url=proxy, timeout=10) as http,
        http.stream("GET", f"/jobs/{job_id}/stream") as response,
        asyncio.timeout(20),
    ):
        frames = read_frames(response, comments=True)
        heartbeats = 0
        while heartbeats < 10:  # of 0.2 s each
            heartbeats += (await anext(frames)).comment is not None
        await events.append(job_id, COMPLETED)
        assert [frame.event async for frame in frames if frame.comment is None] == ["progress", "done"]


async def test_a_websocket_passes(settings: Settings, jobs: Jobs, events: EventLog, tmp_path: Path) -> None:
    job_id = await accepted(jobs)
    async with (
        serving(settings) as api,
        nginx(tmp_path, free_port("127.0.0.1"), api.url, FOR_WEBSOCKETS) as proxy,
        connect(f"{proxy.replace('http', 'ws')}/ws/progress?job_id={job_id}") as socket,
        asyncio.timeout(20),
    ):
        assert '"event":"status"' in str(await socket.recv())
        await events.append(job_id, COMPLETED)
        assert '"event":"progress"' in str(await socket.recv())


async def test_clients_behind_a_trusted_proxy_are_told_apart(settings: Settings, jobs: Jobs, tmp_path: Path) -> None:
    job_id = await accepted(jobs)
    server = settings.server.model_copy(update={"max_streams_per_client": 1})
    trusting = Settings.model_validate(
        settings.model_dump() | {"server": server.model_dump() | {"trusted_proxies": ["127.0.0.1/32"]}}
    )
    async with (
        serving(trusting) as api,
        nginx(tmp_path, free_port("127.0.0.1"), api.url, WITH_ADDRESSES) as proxy,
        httpx.AsyncClient(base_url=proxy, transport=httpx.AsyncHTTPTransport(local_address="127.0.0.2")) as one,
        httpx.AsyncClient(base_url=proxy, transport=httpx.AsyncHTTPTransport(local_address="127.0.0.3")) as other,
        one.stream("GET", f"/jobs/{job_id}/stream") as first,
        one.stream("GET", f"/jobs/{job_id}/stream") as second,
        other.stream("GET", f"/jobs/{job_id}/stream") as third,
    ):
        assert [first.status_code, second.status_code, third.status_code] == [200, 429, 200]
