"""Streams behind Debian's nginx, as it is by default and as one sets it up for them."""

import asyncio
import re
from pathlib import Path

import httpx
import pytest
import yaml
from callers import SECRET
from certificates import certify
from factories import COMPLETED, accepted, progress
from programs import program
from serving import serving
from sse import read_frames
from tools import nginx, nginx_with
from websockets.asyncio.client import connect
from websockets.typing import Origin

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.settings import ServerSettings, Settings

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


# ── as docs/operations.md has it ────────────────────────────────────────────────────────────────────────────────────
NAME = "video.example.org"


async def test_the_configuration_in_the_docs_is_whole(settings: Settings, database: Database, tmp_path: Path) -> None:
    """Without `client_max_body_size` uploads above 1 MB were answered with 413, without `X-Forwarded-Proto` a session's
    cookie went over plain HTTP, too."""
    told, tls, plain = _told(), free_port("127.0.0.1"), free_port("127.0.0.1")
    guarded = Settings.model_validate(settings.model_dump() | {"auth": {"required": True, "secret": SECRET}})
    guarded = guarded.model_copy(update={"server": guarded.server.model_copy(update=_trust(told["yaml"]))})
    key = await _key(guarded, database)
    certificate = certify(tmp_path, NAME)
    async with serving(guarded) as api:
        servers = (
            told["nginx"]
            .replace("listen 443", f"listen 127.0.0.1:{tls}")
            .replace("listen 80;", f"listen 127.0.0.1:{plain};")
            .replace(f"/etc/ssl/{NAME}", f"{tmp_path}/{NAME}")
            .replace("http://127.0.0.1:8081", api.url)
        )
        async with (
            nginx_with(tmp_path, tls, servers),
            httpx.AsyncClient(base_url=f"https://127.0.0.1:{tls}", verify=certificate, headers={"Host": NAME}) as http,
        ):
            film = {"video": ("film.mp4", b"x" * 2_000_000, "video/mp4")}
            assert (await http.post("/process", files=film, headers=key)).status_code == 202
            session = await http.post("/session", headers=key)
            assert session.headers["set-cookie"].startswith("__Host-streamforge=")
            assert "; Secure" in session.headers["set-cookie"]
            assert "strict-transport-security" in session.headers
            cookie = {"Cookie": session.headers["set-cookie"].partition(";")[0]}
            async with connect(
                f"wss://{NAME}/ws/progress",
                host="127.0.0.1",
                port=tls,
                ssl=certificate,
                origin=Origin(f"https://{NAME}"),
                additional_headers=cookie,
            ) as socket:
                assert '"event":"status"' in str(await socket.recv())
            moved = await http.get(f"http://127.0.0.1:{plain}/jobs?limit=1")
            assert (moved.status_code, moved.headers["location"]) == (308, f"https://{NAME}/jobs?limit=1")


def _told() -> dict[str, str]:
    """By language: the settings and the configuration under "Deploy"."""
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w+)\n(.*?)^```", text.partition("## Upgrade")[0], re.DOTALL | re.MULTILINE)
    return dict(reversed(blocks))


def _trust(told: str) -> dict[str, object]:
    return ServerSettings.model_validate(yaml.safe_load(told)["server"]).model_dump(
        include={"trusted_proxies", "hosts"}
    )


async def _key(settings: Settings, database: Database) -> dict[str, str]:
    credentials = Credentials(database)
    keys = ApiKeys(credentials, Standing(credentials), InstallationSecret(settings))
    return {"Authorization": f"Bearer {await keys.create('alice', [Scope.SUBMIT, Scope.READ])}"}
