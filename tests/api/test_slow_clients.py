"""Slow loris: clients that come or go byte by byte, for as long as they like. They end, those that are only slow go on."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from serving import Api, assert_problem, serving
from structlog.testing import capture_logs
from test_protocol import BOUNDARY, FORM, Wire, wire

from streamforge.api.http.pace import Pace
from streamforge.settings import LimitsSettings, ServerSettings, Settings

WINDOW = 1.0
RATE = 500
DRIP_SECONDS = 0.02
BEGIN = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="video"; filename="clip.mp4"\r\n\r\n'
END = f"\r\n--{BOUNDARY}--\r\n"


@asynccontextmanager
async def hasty(settings: Settings) -> AsyncIterator[Api]:
    """With one upload at a time."""
    server = ServerSettings(port=0, slow_client_seconds=WINDOW, min_bytes_per_second=RATE, head_timeout_seconds=WINDOW)
    update = {"server": server, "limits": LimitsSettings(uploads_at_once=1)}
    async with serving(settings.model_copy(update=update)) as api:
        yield api


async def drip(client: Wire, piece: str) -> None:
    while True:
        client.send(piece)
        await asyncio.sleep(DRIP_SECONDS)


@pytest.mark.parametrize("path", ["/process", "/batches"])
async def test_an_upload_that_drips_ends_and_leaves_its_place(settings: Settings, path: str) -> None:
    """It was never silent for long, and held a file, a connection and one of its owner's uploads."""
    async with hasty(settings) as api, wire(api) as client:
        client.send(f"POST {path} HTTP/1.1\r\nHost: localhost\r\n{FORM}Content-Length: 99999\r\n\r\n", BEGIN)
        dripping = asyncio.create_task(drip(client, "x"))
        answer = await client.answer()
        assert_problem(answer, 408, "request.too_slow")
        assert answer.json()["detail"] == "The upload was slower than 500 bytes a second for 1 seconds."
        assert (await api.post()).status_code == 202
        assert await client.closed() == b""
        dripping.cancel()
        assert api.uploads == []


async def test_an_upload_that_is_slow_and_steady_goes_on(settings: Settings) -> None:
    """At 5 KB/s, for twice as long as one that drips."""
    async with hasty(settings) as api, wire(api) as client:
        client.send(f"POST /process HTTP/1.1\r\nHost: localhost\r\n{FORM}Transfer-Encoding: chunked\r\n\r\n")
        chunk = "x" * 100
        client.send(f"{len(BEGIN):x}\r\n{BEGIN}\r\n")
        steady = asyncio.create_task(drip(client, f"{len(chunk):x}\r\n{chunk}\r\n"))
        await asyncio.sleep(2 * WINDOW)
        steady.cancel()
        client.send(f"{len(END):x}\r\n{END}\r\n0\r\n\r\n")
        assert (await client.answer()).status_code == 202


async def test_an_answer_that_is_taken_byte_by_byte_is_cut_off(settings: Settings) -> None:
    """Whoever took one every five minutes held a connection and an open file for ever."""
    async with hasty(settings) as api, asyncio.timeout(20):
        film = api.settings.data_dir / "storage" / "output" / str(uuid4()) / "720p.mp4"
        film.parent.mkdir(parents=True)
        film.write_bytes(b"x" * 20_000_000)
        loop = asyncio.get_running_loop()
        with socket.socket() as client, capture_logs() as logs:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            await loop.sock_connect(client, api.address)
            request = f"GET /media/{film.parent.name}/720p.mp4 HTTP/1.1\r\nHost: localhost\r\n\r\n"
            await loop.sock_sendall(client, request.encode())
            while not any(line["event"] == "request" for line in logs):
                await loop.sock_recv(client, 1)
                await asyncio.sleep(DRIP_SECONDS)


# ── the pace itself ─────────────────────────────────────────────────────────────────────────────────────────────────
def pace(window: float = 120, rate: int = 500) -> Pace:
    return Pace(ServerSettings(slow_client_seconds=window, min_bytes_per_second=rate))


@given(st.lists(st.tuples(st.floats(0.01, 60), st.floats(1, 100)), max_size=100))
def test_whoever_keeps_the_rate_may_go_on_for_ever(moved: list[tuple[float, float]]) -> None:
    each = pace()
    assert all(each.went_on(seconds, round(500 * seconds * times) + 1) for seconds, times in moved)


@given(st.integers(0, 450), st.integers(0, 10**12))
def test_whoever_does_not_ends_however_quick_they_were_once(rate: int, before: int) -> None:
    """Within the window, but for what they keep of the rate."""
    each = pace()
    each.went_on(1, before)
    seconds = 0
    while each.went_on(1, rate):
        seconds += 1
    assert seconds <= 120 / (1 - rate / 500)


def test_a_pause_is_forgiven() -> None:
    each = pace()
    for _ in range(10):
        assert each.went_on(119, 0)
        assert each.went_on(1, 100_000)
    assert not each.went_on(121, 0)


def test_without_a_rate_only_silence_ends_it() -> None:
    each = pace(rate=0)
    for _ in range(10):
        assert each.went_on(119, 1)
    assert not each.went_on(121, 0)
