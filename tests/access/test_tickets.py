"""Tickets: an address that opens for a minute, for what can send no header."""

import asyncio
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from callers import MakeKey, prefix_of
from serving import Api, assert_problem, serving
from sse import read_frames
from structlog.testing import capture_logs
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from streamforge.access.tickets import normal
from streamforge.db.credentials import Credentials
from streamforge.settings import Settings

VIDEO = {"video": ("a.mp4", b"some bytes", "video/mp4")}


async def ticket_for(api: Api, path: str, key: dict[str, str]) -> str:
    """The address with the ticket in it."""
    answer = await api.http.post("/tickets", json={"path": path}, headers=key)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


@pytest.fixture
async def alice(key_of: MakeKey) -> dict[str, str]:
    return await key_of("alice")


@pytest.fixture
async def job(guarded_api: Api, alice: dict[str, str]) -> str:
    answer = await guarded_api.http.post("/process", files=VIDEO, headers=alice)
    return str(answer.raise_for_status().json()["job_id"])


@pytest.fixture
async def short(settings: Settings) -> AsyncIterator[Api]:
    """Its tickets end after a second."""
    auth = settings.auth.model_copy(update={"ticket_seconds": 1.0})
    async with serving(settings.model_copy(update={"auth": auth})) as api:
        yield api


async def test_with_a_ticket_a_stream_opens_without_a_header(guarded_api: Api, alice: dict[str, str], job: str) -> None:
    url = await ticket_for(guarded_api, f"/jobs/{job}/stream", alice)
    assert url.startswith(f"/jobs/{job}/stream?ticket=")
    for address in (url, f"{url}&last_event_id=0"):  # EventSource comes back to the same address.
        async with guarded_api.http.stream("GET", address) as response:
            assert response.status_code == 200
            assert (await anext(read_frames(response))).event == "status"


async def test_it_opens_nothing_else(guarded_api: Api, alice: dict[str, str], job: str) -> None:
    ticket = (await ticket_for(guarded_api, f"/jobs/{job}", alice)).partition("?")[2]
    assert (await guarded_api.http.get(f"/jobs/{job}?{ticket}")).status_code == 200
    for path in ("/jobs", f"/jobs/{job}/stream", "/stream", f"/jobs/{job}?download=1", "/session"):
        refused = await guarded_api.http.get(f"{path}{'&' if '?' in path else '?'}{ticket}")
        assert_problem(refused, 401, "auth.invalid")
        assert "another address" in refused.json()["detail"]


async def test_it_only_looks(guarded_api: Api, key_of: MakeKey) -> None:
    key = await key_of("alice", "admin")
    made = (await guarded_api.http.post("/process", files=VIDEO, headers=key)).json()["job_id"]
    url = await ticket_for(guarded_api, f"/jobs/{made}", key)
    assert_problem(await guarded_api.http.delete(url), 401, "auth.required")
    assert (await guarded_api.http.get(url)).json()["status"] == "pending"


async def test_it_shows_no_more_than_its_maker_may_see(guarded_api: Api, key_of: MakeKey, job: str) -> None:
    url = await ticket_for(guarded_api, f"/jobs/{job}", await key_of("bob"))
    assert_problem(await guarded_api.http.get(url), 404, "job.not_found")
    refused = await guarded_api.http.post("/tickets", json={"path": "/jobs"}, headers=await key_of("bob", "submit"))
    assert_problem(refused, 403, "auth.scope_missing")


async def test_a_websocket_s_ticket_is_for_the_stream_that_its_query_names(
    guarded_api: Api, alice: dict[str, str], job: str
) -> None:
    url = await ticket_for(guarded_api, f"/ws/progress?job_id={job}", alice)
    server = guarded_api.url.replace("http", "ws")
    async with connect(f"{server}{url}") as websocket:
        assert json.loads(await websocket.recv())["event"] == "status"
    ticket = url.rpartition("&")[2]
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{server}/ws/progress?{ticket}"):
            pass
    assert refused.value.response.status_code == 401


async def test_it_ends_soon_and_what_it_opened_goes_on(short: Api, alice: dict[str, str]) -> None:
    url = await ticket_for(short, "/stream", alice)
    async with short.http.stream("GET", url) as response, asyncio.timeout(20):
        frames = read_frames(response, comments=True)
        assert (await anext(frames)).event == "status"
        await _expired(short, await ticket_for(short, "/jobs", alice))
        await short.http.post("/process", files=VIDEO, headers=alice)
        assert (await anext(frames)).event == "progress"


async def _expired(api: Api, url: str) -> None:
    while (answer := await api.http.get(url)).status_code == 200:
        await asyncio.sleep(0.05)
    assert_problem(answer, 401, "auth.invalid")
    assert "expired" in answer.json()["detail"]


async def test_it_falls_with_the_key_that_made_it(
    guarded_api: Api, alice: dict[str, str], credentials: Credentials
) -> None:
    url = await ticket_for(guarded_api, "/ws/progress", alice)
    async with connect(f"{guarded_api.url.replace('http', 'ws')}{url}") as websocket:
        await websocket.recv()
        await credentials.revoke_key(prefix_of(alice))
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(20):
                await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008
    with pytest.raises(InvalidStatus):
        async with connect(f"{guarded_api.url.replace('http', 'ws')}{url}"):
            pass


async def test_it_does_not_outlive_the_key_that_made_it(guarded_api: Api, key_of: MakeKey) -> None:
    brief = await key_of("alice", lasts=timedelta(seconds=1.5))
    url = await ticket_for(guarded_api, "/jobs", brief)
    async with asyncio.timeout(20):
        await _expired(guarded_api, url)


def forged(url: str, **changes: Any) -> str:
    address, _, ticket = url.partition("?ticket=")
    payload, signature = ticket.split(".")
    content = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4))) | changes
    return f"{address}?ticket={urlsafe_b64encode(json.dumps(content).encode()).decode().rstrip('=')}.{signature}"


async def test_none_can_be_made_or_changed(guarded_api: Api, alice: dict[str, str]) -> None:
    url = await ticket_for(guarded_api, "/jobs", alice)
    wrong = [
        forged(url, owner="bob"),
        forged(url, scopes=["admin"]),
        f"{url}x",
        url.partition(".")[0],
        "/jobs?ticket=",
        "/jobs?ticket=a.b",
        "/jobs?ticket=a.b.c",
        "/jobs?ticket=%ff.%81",
    ]
    for each in wrong:
        assert_problem(await guarded_api.http.get(each), 401, "auth.invalid")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"path": "jobs"}',
        b'{"path": "/a\\nb"}',
        b'{"path": "/", "x": 1}',
        b"[]",
        b'{"path": "//evil.example/jobs"}',
        b'{"path": "/\\\\evil.example/jobs"}',
        b'{"path": "/jobs#part"}',
    ],
)
async def test_what_is_asked_for_is_a_path(guarded_api: Api, alice: dict[str, str], body: bytes) -> None:
    """Of this server: a page that opened `//evil.example/jobs?ticket=…` would give the ticket away. And behind a `#`
    no browser sends one."""
    assert_problem(await guarded_api.http.post("/tickets", content=body, headers=alice), 400, "request.invalid_field")


async def test_no_log_holds_one(guarded_api: Api, alice: dict[str, str]) -> None:
    with capture_logs() as lines:
        url = await ticket_for(guarded_api, "/jobs", alice)
        assert (await guarded_api.http.get(url)).status_code == 200
        assert (await guarded_api.http.get(f"/nowhere?{url.partition('?')[2]}")).status_code == 404
    told = repr(lines)
    assert "/jobs" in told
    assert url.rpartition("=")[2] not in told
    assert url.rpartition(".")[2] not in told


def test_an_address_is_one_however_it_is_written() -> None:
    assert normal("/a?y=2&x=1&ticket=t&last_event_id=7") == normal("/a?x=1&y=2") == "/a?x=1&y=2"
    assert normal("/media/a%2Emp4") == normal("/media/a.mp4")
    assert normal("/a?x=1") != normal("/a")
    assert normal("//evil/a") != normal("/a")
