"""HTTP as clients speak it on the wire: old versions, upgrades nobody asked us about, heads without an end, silence."""

import asyncio
import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
import structlog
from factories import COMPLETED, accepted
from serving import Api, assert_problem, serving

from streamforge.api.http import protocols
from streamforge.api.http.server import running, serve
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog
from streamforge.settings import ServerSettings, Settings

BOUNDARY = "b0undary"
VIDEO = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="clip.mp4"\r\n\r\n'
    f"some bytes\r\n--{BOUNDARY}--\r\n"
).encode()
FORM = f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"


class Wire:
    """A connection on which a test says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    def send(self, *texts: str | bytes) -> None:
        for text in texts:
            self.writer.write(text if isinstance(text, bytes) else text.encode("latin-1"))

    async def answer(self) -> httpx.Response:
        """The next one; one without a length lasts until the server closes."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        status, *lines = head.rstrip().split("\r\n")
        headers = httpx.Headers([tuple(line.split(": ", 1)) for line in lines])  # type: ignore[misc]
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return httpx.Response(int(status.split()[1]), headers=headers, content=body)

    async def closed(self) -> bytes:
        """Everything that still comes, until the server closes."""
        return await self.reader.read()


@asynccontextmanager
async def wire(api: Api) -> AsyncIterator[Wire]:
    reader, writer = await asyncio.open_connection(*api.address)
    try:
        async with asyncio.timeout(10):
            yield Wire(reader, writer)
    finally:
        writer.close()


def curl(*arguments: str) -> list[str]:
    found = shutil.which("curl")
    if found is None:
        pytest.skip("There is no curl here: apt-get install curl")
    return [found, "-s", "-S", "--max-time", "10", *arguments]


async def output_of(command: list[str]) -> str:
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# ── upgrades that are offered, and not taken ────────────────────────────────────────────────────────────────────────
async def test_curl_that_offers_http2_has_its_video_taken(api: Api, tmp_path: Path) -> None:
    """`curl --http2` and Java's HttpClient offer h2c with every request. The offer was taken for the end of the request,
    and the body for nothing."""
    video = tmp_path / "clip.mp4"
    video.write_bytes(os.urandom(100_000))
    answer = await output_of(curl("--http2", "-F", f"video=@{video}", f"{api.url}/process"))
    job = await api.job(json.loads(answer)["job_id"])
    assert (job["key"], job["size_bytes"]) == ("clip.mp4", 100_000)


OFFER = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n"


async def test_an_offer_is_ignored_however_its_body_comes(api: Api) -> None:
    for length in (f"Content-Length: {len(VIDEO)}", "Transfer-Encoding: chunked"):
        for pieces in (1, 7):
            await _offer(api, length, pieces)


async def _offer(api: Api, length: str, pieces: int) -> None:
    body = VIDEO if "Length" in length else f"{len(VIDEO):x}\r\n".encode() + VIDEO + b"\r\n0\r\n\r\n"
    request = f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}{OFFER}{length}\r\n\r\n".encode() + body
    size = -(-len(request) // pieces)
    async with wire(api) as client:
        for begin in range(0, len(request), size):
            client.send(request[begin : begin + size])
            await asyncio.sleep(0.01)  # So that it comes in pieces.
        assert (await client.answer()).status_code == 202
        client.send(
            f"GET /health HTTP/1.1\r\nHost: localhost\r\n{OFFER}\r\n",
            "GET /jobs/42 HTTP/1.1\r\nHost: localhost\r\n\r\n",
        )
        assert [(await client.answer()).status_code for _ in range(2)] == [200, 400], "the connection goes on"


async def test_a_thousand_offers_at_once_are_no_thousand_requests(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """Each was read within the one before it, with a copy of all that follow: 74 KB ended in a RecursionError."""
    with structlog.testing.capture_logs() as logs:
        async with wire(api) as client:
            client.send(f"GET /health HTTP/1.1\r\nHost: localhost\r\n{OFFER}\r\n" * 1000)
            assert await client.closed() == b""
    assert [line["code"] for line in logs if line["event"] == "request refused"] == ["request.malformed_http"]
    assert [record for record in caplog.records if record.exc_info] == []


# ── HTTP/1.0 ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_client_of_http_1_0_is_not_sent_chunks(api: Api, rows: Jobs, events: EventLog) -> None:
    """It does not know them: their sizes would be lines of its stream, or bytes of its film."""
    job_id = await accepted(rows)
    await events.append(job_id, COMPLETED)
    async with wire(api) as client:
        client.send(f"GET /jobs/{job_id}/stream HTTP/1.0\r\n\r\n")
        head = await client.reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding" not in head
        stream = (await client.closed()).decode()
    assert stream.startswith("id: 2\nevent: status\n")
    assert stream.endswith("event: done\ndata: {}\n\n")
    with_curl = await output_of(curl("--http1.0", f"{api.url}/jobs/{job_id}/stream"))
    assert with_curl == stream


async def test_a_client_of_http_1_0_stays_one_whatever_it_offers(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, COMPLETED)
    websocket = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    for offer in (OFFER, f"{websocket}Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n"):
        async with wire(api) as client:
            client.send(f"GET /jobs/{job_id}/stream HTTP/1.0\r\n{offer}\r\n")
            assert b"transfer-encoding" not in await client.reader.readuntil(b"\r\n\r\n")
            assert (await client.closed()).startswith(b"id: 2\n")


async def test_a_client_of_http_1_0_is_not_told_to_continue(api: Api) -> None:
    async with wire(api) as client:
        client.send(
            f"POST /process HTTP/1.0\r\n{FORM}Expect: 100-continue\r\nContent-Length: {len(VIDEO)}\r\n\r\n", VIDEO
        )
        assert (await client.answer()).status_code == 202


# ── what is no HTTP ─────────────────────────────────────────────────────────────────────────────────────────────────
BROKEN = {
    "no request": "how are you?\r\n\r\n",
    "HTTP/2 without asking": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "two lengths": "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "length and chunks": (
        "POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    ),
    "a chunk of no size": f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Transfer-Encoding: chunked\r\n\r\nvideo\r\n",
    "a proxy is asked": "CONNECT example.org:443 HTTP/1.1\r\nHost: example.org:443\r\n\r\n",
    "no host": "GET /health HTTP/1.1\r\n\r\n",
    "a host that is none": "GET /health HTTP/1.1\r\nHost: [::1\r\n\r\n",
    "two hosts": "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: 127.0.0.1\r\n\r\n",
}


async def test_what_is_no_http_is_a_problem_that_says_so(api: Api) -> None:
    for said in BROKEN.values():
        async with wire(api) as client:
            client.send(said)
            assert_problem(await client.answer(), 400, "request.malformed_http")
            assert await client.closed() == b""


async def test_a_websocket_that_does_not_shake_hands_is_a_problem(api: Api) -> None:
    upgrade = " /ws/progress HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    key = "Sec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n"
    version = "Sec-WebSocket-Version: 13\r\n"
    for method, headers, body, status in (
        ("GET", version, "", 400),
        ("GET", f"{key}Sec-WebSocket-Version: 12\r\n", "", 400),
        ("POST", f"{key}{version}Content-Length: 3\r\n", "abc", 400),
        ("GET", f"{key}{version}Content-Length: 3\r\n", "abc", 400),
        ("GET", f"{key}{version}X: {'x' * 20_000}\r\n", "", 431),
    ):
        async with wire(api) as client:
            client.send(method, upgrade, headers, "\r\n", body)
            answer = await client.answer()
            assert_problem(answer, status, "request.malformed_http" if status == 400 else "request.head_too_large")
            assert await client.closed() == b""


async def test_blanks_behind_a_header_are_none_of_it(api: Api) -> None:
    """RFC 9112 §5."""
    async with wire(api) as client:
        client.send("GET /health HTTP/1.1\r\nHost: localhost \t \r\n\r\n")
        assert (await client.answer()).status_code == 200


async def test_nonsense_behind_a_request_does_not_get_into_its_answer(
    api: Api, rows: Jobs, caplog: pytest.LogCaptureFixture
) -> None:
    job_id = await accepted(rows)
    film = api.settings.data_dir / "storage" / "output" / str(job_id) / "720p.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"x" * 20_000_000)
    with structlog.testing.capture_logs() as logs:
        for path in (f"/jobs/{job_id}/stream", f"/media/{job_id}/720p.mp4"):
            async with wire(api) as client:
                client.send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await client.reader.readuntil(b"\r\n\r\n")
                client.send("nonsense\r\n\r\n")
                assert b"HTTP/1.1 400" not in await client.closed()
        while len([line for line in logs if line["event"] == "request"]) < 2:
            await asyncio.sleep(0.01)
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert [record for record in caplog.records if record.exc_info] == []


HEALTH = "GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
WEBSOCKET = (
    "GET /nothing HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eHh4eHh4eHh4eHh4eHh4eA==\r\n\r\n"
)
IN_ONE_PACKET = {
    "nonsense behind two requests": f"{HEALTH}{HEALTH}nonsense\r\n\r\n",
    "a WebSocket behind a request": HEALTH + WEBSOCKET,
    "nonsense behind a body that was to be asked for": (
        f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
        f"1\r\n-\r\n0\r\n\r\nnonsense\r\n\r\n"
    ),
}


@pytest.mark.parametrize("packet", IN_ONE_PACKET.values(), ids=IN_ONE_PACKET)
async def test_what_a_request_runs_before_is_refused_without_a_crash(
    api: Api, caplog: pytest.LogCaptureFixture, packet: str
) -> None:
    """The first one is being answered, on a connection that has ended."""
    with structlog.testing.capture_logs() as logs:
        async with wire(api) as client:
            client.send(packet)
            assert await client.closed() == b"", "no answer is taken for another's"
            while not any(line["event"] == "request" for line in logs):
                await asyncio.sleep(0.01)
    assert [line for line in logs if line["log_level"] == "error"] == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


# ── requests that wait behind another ───────────────────────────────────────────────────────────────────────────────
async def test_a_stream_ends_with_its_client_although_another_request_waits(settings: Settings) -> None:
    """To uvicorn the last request is the one that is under way. The stream before it was sent to nobody for ever, and
    kept its place among those that one client may have."""
    server = ServerSettings(port=0, max_streams_per_client=1, heartbeat_seconds=0.02)
    async with serving(settings.model_copy(update={"server": server})) as api, asyncio.timeout(10):
        async with wire(api) as client:
            client.send("GET /stream HTTP/1.1\r\nHost: localhost\r\n\r\n", HEALTH)
            assert b"200" in await client.reader.readuntil(b"\r\n\r\n")
        while not await _may_stream(api):
            await asyncio.sleep(0.02)


async def _may_stream(api: Api) -> bool:
    async with api.http.stream("GET", "/stream") as answer:
        return answer.status_code == 200


async def test_nothing_is_read_for_a_client_that_has_gone_although_another_request_waits(api: Api) -> None:
    film = api.settings.data_dir / "storage" / "output" / str(uuid4()) / "720p.mp4"
    film.parent.mkdir(parents=True)
    film.touch()
    os.truncate(film, 2**31)
    with structlog.testing.capture_logs() as logs:
        async with wire(api) as client:
            client.send(f"GET /media/{film.parent.name}/720p.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n", HEALTH)
            await client.reader.readuntil(b"\r\n\r\n")
            client.writer.transport.abort()
            while not (ended := [line for line in logs if line["event"] == "request"]):
                await asyncio.sleep(0.01)
    assert ended[0]["bytes"] < 2**27


# ── heads without an end ────────────────────────────────────────────────────────────────────────────────────────────
GET = "GET /health HTTP/1.1\r\nHost: localhost\r\n"
ENDLESS = {
    "a header": GET + "X: ",
    "an address": "GET /",
    "trailers": f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n1\r\n-\r\n0\r\nX: ",
    "a chunk's extension": f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n1;x=",
    "a header's name": GET,
}


async def test_what_never_ends_is_refused_and_costs_nobody_anything(api: Api) -> None:
    """100 MB of it kept everybody else waiting for 7 s."""
    for begin in ENDLESS.values():
        async with wire(api) as client:
            client.send(begin)
            sending = asyncio.create_task(_send_100_mb(client))
            began = time.process_time()
            assert (await api.http.get("/health")).status_code == 200
            assert time.process_time() - began < 1
            answer = await client.answer()
            assert_problem(answer, 431, "request.head_too_large")
            assert answer.headers["connection"] == "close"
            assert await client.closed() == b""
            sending.cancel()


async def _send_100_mb(client: Wire) -> None:
    for _ in range(100):
        client.send(b"x" * 2**20)
        await client.writer.drain()


async def test_a_head_may_have_64_kib(api: Api) -> None:
    """However it comes: as one header, or as many small ones."""
    for size, status in ((60_000, 200), (70_000, 431), (200_000, 431)):
        for headers in (f"X: {'x' * size}\r\n", "X: yyyy\r\n" * (size // 9)):
            async with wire(api) as client:
                client.send(GET, headers, "\r\n")
                assert (await client.answer()).status_code == status


async def test_trailers_change_no_header(api: Api) -> None:
    """They come when the request is being answered already."""
    chunks = f"{len(VIDEO):x}\r\n".encode() + VIDEO + b"\r\n0\r\nX-Request-ID: trailer\r\n\r\n"
    async with wire(api) as client:
        client.send(f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n", chunks)
        answer = await client.answer()
    assert (answer.status_code, answer.headers["x-request-id"] != "trailer") == (202, True)


# ── silence ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def with_patience(settings: Settings, **patience: float) -> Settings:
    server = {"head_timeout_seconds": 0.2, "slow_client_seconds": 0.2} | patience
    return settings.model_copy(update={"server": ServerSettings(port=0, **server)})  # type: ignore[arg-type]


@pytest.fixture
async def impatient(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Api]:
    monkeypatch.setattr(protocols, "LINGER_SECONDS", 0.2)
    monkeypatch.setattr(protocols, "REST_SECONDS", 0.2)
    async with serving(with_patience(settings)) as api:
        yield api


async def test_a_connection_on_which_nothing_is_said_is_closed(impatient: Api) -> None:
    async with wire(impatient) as client:
        assert await client.closed() == b""


@pytest.mark.parametrize("first", ["", GET + "\r\n"], ids=["the first", "the second"])
async def test_half_a_head_is_told_and_closed(impatient: Api, first: str) -> None:
    async with wire(impatient) as client:
        client.send(first)
        if first:
            assert (await client.answer()).status_code == 200
        client.send(GET)
        dripping = asyncio.create_task(_drip(client))
        assert_problem(await client.answer(), 408, "request.head_timeout")
        assert await client.closed() == b""
        dripping.cancel()


async def _drip(client: Wire) -> None:
    while True:
        client.send("X")
        await asyncio.sleep(0.02)


async def test_a_body_that_nobody_waits_for_is_not_waited_for(impatient: Api) -> None:
    async with wire(impatient) as client:
        client.send("DELETE /jobs/42 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        dripping = asyncio.create_task(_drip(client))
        assert (await client.answer()).status_code == 400
        assert await client.closed() == b""
        dripping.cancel()


PRIORITTY = (
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="prioritty"\r\n\r\n1\r\n'
    f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="clip.mp4"\r\n\r\n'
)


@pytest.mark.parametrize(
    "first",
    ["POST /process HTTP/1.1", "POST /process HTTP/1.1\r\nConnection: close", "POST /process HTTP/1.0"],
    ids=["goes on", "closes", "HTTP/1.0"],
)
async def test_a_client_that_sends_its_whole_form_first_reads_then_what_was_wrong(
    settings: Settings, first: str
) -> None:
    """As browsers and `requests` do. The refusal was lost with the connection, which was closed half a minute after it."""
    async with serving(with_patience(settings)) as api, wire(api) as client:
        client.send(f"{first}\r\nHost: localhost\r\n{FORM}Content-Length: {len(PRIORITTY) + 20_000}\r\n\r\n", PRIORITTY)
        for _ in range(20):
            client.send("x" * 1000)
            await client.writer.drain()
            await asyncio.sleep(0.04)
        answer = await client.answer()
        assert_problem(answer, 400, "request.invalid_field")
        if answer.headers.get("connection") == "close":
            assert await client.closed() == b""
        else:
            client.send(HEALTH)
            assert (await client.answer()).status_code == 200


async def test_a_body_that_nobody_waits_for_may_not_stand_still(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(protocols, "LINGER_SECONDS", 0.2)
    async with serving(with_patience(settings)) as api, wire(api) as client:
        client.send("DELETE /jobs/42 HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999\r\n\r\n")
        assert (await client.answer()).status_code == 400
        assert await client.closed() == b""


SIZE = 12 * 2**20
HELD_BACK = {
    "goes on": ("HTTP/1.1", ""),
    "closes": ("HTTP/1.1\r\nConnection: close", ""),
    "nonsense follows": ("HTTP/1.1", "nonsense\r\n\r\n"),
    "a body never comes": ("HTTP/1.1\r\nContent-Length: 5", ""),
}


async def test_an_answer_is_not_cut_while_it_is_being_taken(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A playlist is written in one piece: to the server it was answered, and the time for the next request began, while
    most of it was still to be sent."""
    monkeypatch.setattr(protocols, "LINGER_SECONDS", 0.3)
    patient = with_patience(settings, head_timeout_seconds=0.3, slow_client_seconds=3.0)
    async with serving(patient) as api:
        with structlog.testing.capture_logs() as logs:
            taken = await asyncio.gather(*(_taken_slowly(api, logs, *how) for how in HELD_BACK.values()))
    assert [why for why, size in zip(HELD_BACK, taken, strict=True) if size < SIZE] == []


async def _taken_slowly(api: Api, logs: Sequence[Any], version: str, then: str) -> int:
    """Bytes of an answer that is read with pauses, until the server closes."""
    loop = asyncio.get_running_loop()
    path = a_playlist(api)
    with socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2**16)
        client.setblocking(False)
        await loop.sock_connect(client, api.address)
        await loop.sock_sendall(client, f"GET {path} {version}\r\nHost: localhost\r\n\r\n".encode())
        while not any(line["event"] == "request" and line["path"] == path for line in logs):
            await asyncio.sleep(0.01)
        await loop.sock_sendall(client, then.encode())
        taken = 0
        while piece := await loop.sock_recv(client, 2**16):
            taken += len(piece)
            await asyncio.sleep(0.005)
    return taken


def a_playlist(api: Api) -> str:
    """Its address."""
    playlist = api.settings.data_dir / "storage" / "output" / str(uuid4()) / "master.m3u8"
    playlist.parent.mkdir(parents=True)
    playlist.write_bytes(b"#EXTM3U\n" + b"x" * SIZE)
    return f"/media/{playlist.parent.name}/{playlist.name}"


async def test_an_answer_that_is_written_and_not_taken_is_cut_off_too(
    impatient: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = asyncio.Event()
    connection_lost = protocols.HttpProtocol.connection_lost

    def note(connection: protocols.HttpProtocol, error: Exception | None) -> None:
        lost.set()
        connection_lost(connection, error)

    monkeypatch.setattr(protocols.HttpProtocol, "connection_lost", note)
    async with wire(impatient) as client:
        client.send(f"GET {a_playlist(impatient)} HTTP/1.1\r\nHost: localhost\r\n\r\n")
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await lost.wait()


async def test_an_answer_that_nobody_takes_is_cut_off(impatient: Api) -> None:
    """A player that has gone without a word held a connection and an open file for ever."""
    job_id = uuid4()
    film = impatient.settings.data_dir / "storage" / "output" / str(job_id) / "720p.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"x" * 20_000_000)
    with structlog.testing.capture_logs() as logs:
        async with wire(impatient) as client:
            client.send(f"GET /media/{job_id}/720p.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n")
            client.writer.transport.pause_reading()  # type: ignore[attr-defined]
            while not any(line["event"] == "request" for line in logs):
                await asyncio.sleep(0.01)


async def test_whoever_is_being_served_may_take_their_time(impatient: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    async with impatient.stream(job_id) as frames:
        await anext(frames)
        await asyncio.sleep(0.5)
        await events.append(job_id, COMPLETED)
        assert [frame.event async for frame in frames] == ["progress", "done"]


# ── small courtesies ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_redirects_are_relative(api: Api) -> None:
    """What the server takes for its own address is not what a client behind a proxy knows."""
    for path, there in (("/jobs/", "/jobs"), ("/jobs/?limit=3", "/jobs?limit=3"), (f"/jobs/{uuid4()}/", None)):
        answer = await api.http.get(path, headers={"Host": "localhost:1"})
        assert answer.status_code == 307
        assert answer.headers["location"] == (there or path.rstrip("/"))


async def test_head_of_a_stream_says_what_get_would(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    for path, status in (
        (f"/jobs/{uuid4()}/stream", 404),
        (f"/batches/{uuid4()}/stream", 404),
        ("/jobs/42/stream", 400),
        (f"/jobs/{job_id}/stream", 200),
        ("/stream", 200),
    ):
        assert (await api.http.head(path)).status_code == status
    await events.append(job_id, COMPLETED)
    assert (await api.http.head(f"/jobs/{job_id}/stream", params={"last_event_id": "2"})).status_code == 204


# ── the end ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_upload_cut_by_a_shutdown_is_told_so_without_a_traceback(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamforge.api.http.server.GRACE_SECONDS", 0.1)
    async with running(settings) as url:
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        client = Wire(reader, writer)
        client.send(f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Content-Length: 150000\r\n\r\n", VIDEO[:-20])
        while not list((settings.data_dir / "uploads").iterdir()):
            await asyncio.sleep(0.005)
    answer = await client.answer()
    assert_problem(answer, 503, "server.stopping")
    assert answer.headers["retry-after"]
    writer.close()
    assert [record for record in caplog.records if record.exc_info] == []
    assert list((settings.data_dir / "uploads").iterdir()) == []


async def test_an_answer_cut_by_a_shutdown_leaves_no_traceback_either(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamforge.api.http.server.GRACE_SECONDS", 0.1)
    film = settings.data_dir / "storage" / "output" / str(uuid4()) / "720p.mp4"
    film.parent.mkdir(parents=True)
    film.write_bytes(b"x" * 20_000_000)
    async with running(settings) as url:
        reader, writer = await asyncio.open_connection(*url.removeprefix("http://").split(":"))
        writer.write(f"GET /media/{film.parent.name}/720p.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await reader.readuntil(b"\r\n\r\n")
    writer.close()
    assert [record for record in caplog.records if record.exc_info] == []


async def test_sighup_drains_it_like_sigterm(settings: Settings) -> None:
    """A closed terminal is no reason to cut everybody off."""
    ready: asyncio.Queue[str] = asyncio.Queue()
    server = asyncio.create_task(serve(settings, on_ready=ready.put_nowait))
    await ready.get()
    os.kill(os.getpid(), signal.SIGHUP)
    async with asyncio.timeout(10):
        await server


async def test_under_nohup_it_goes_on(settings: Settings) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ready: asyncio.Queue[str] = asyncio.Queue()
        server = asyncio.create_task(serve(settings, on_ready=ready.put_nowait))
        url = await ready.get()
        os.kill(os.getpid(), signal.SIGHUP)
        async with httpx.AsyncClient() as http:
            assert (await http.get(f"{url}/health")).status_code == 200
        os.kill(os.getpid(), signal.SIGTERM)
        await server
    finally:
        signal.signal(signal.SIGHUP, before)
