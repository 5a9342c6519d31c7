"""How many streams, and what becomes of clients that do not read them."""

import asyncio
import socket
from contextlib import AsyncExitStack

import pytest
from factories import accepted, progress
from serving import Api, assert_problem, serving

from streamforge.db.jobs import Jobs
from streamforge.events import clients
from streamforge.events.log import EventLog
from streamforge.settings import ServerSettings, Settings


def with_limits(settings: Settings, **limits: int) -> Settings:
    return settings.model_copy(update={"server": ServerSettings(port=0, **limits)})  # type: ignore[arg-type]


@pytest.mark.parametrize("limit", ["max_streams", "max_streams_per_client"])
async def test_one_stream_too_many_is_told_when_to_try_again(settings: Settings, rows: Jobs, limit: str) -> None:
    job_id = await accepted(rows)
    async with serving(with_limits(settings, **{limit: 2})) as api:
        async with AsyncExitStack() as two:
            for _ in range(2):
                frames = await two.enter_async_context(api.stream(job_id))
                await anext(frames)
            refused = await api.http.get(f"/jobs/{job_id}/stream")
            assert_problem(refused, 429, "stream.too_many")
            assert int(refused.headers["retry-after"]) > 0
        async with asyncio.timeout(5):
            while not await _admitted(api, job_id):
                pass  # Until the server has noticed that the others are gone.


async def _admitted(api: Api, job_id: object) -> bool:
    async with api.http.stream("GET", f"/jobs/{job_id}/stream") as response:
        return response.status_code == 200


async def test_a_reader_that_stops_reading_is_cut_off_and_delays_nobody(
    api: Api, rows: Jobs, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its socket fills up; its connection is aborted, with all that the server still held for it."""
    monkeypatch.setattr(clients, "SEND_TIMEOUT", 0.2)
    job_id = await accepted(rows)
    with socket.socket() as stuck:
        stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.connect(api.address)
        stuck.sendall(f"GET /jobs/{job_id}/stream HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await asyncio.to_thread(stuck.recv, 100)
        async with api.stream(job_id) as frames, asyncio.timeout(30):
            await anext(frames)
            change = progress(30, "x" * 100_000).model_copy(update={"event": "rendition"})
            for number in range(2, 100):
                await events.append(job_id, change)
                assert (await anext(frames)).id == number
            while await asyncio.to_thread(_still_connected, api.address, stuck.getsockname()):
                await events.append(job_id, progress(30))
                await anext(frames)


def _still_connected(server: tuple[str, int], client: tuple[str, int]) -> bool:
    import psutil

    return any(
        each.laddr == server and each.raddr == client and each.status == psutil.CONN_ESTABLISHED
        for each in psutil.Process().net_connections("tcp")
    )
