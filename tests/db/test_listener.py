"""The listener: hears every notification, and says when it may have missed some."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from factories import run_sql

from streamforge.db.listener import EVENTS_CHANNEL, Listener


class Ear:
    """Collects what a listener says."""

    def __init__(self) -> None:
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.connected: asyncio.Queue[None] = asyncio.Queue()

    def listener(self, dsn: str, **options: float) -> Listener:
        return Listener(
            dsn, {EVENTS_CHANNEL: self.heard.put_nowait}, [lambda: self.connected.put_nowait(None)], **options
        )


@pytest.fixture
async def ear(database_dsn: str) -> AsyncIterator[Ear]:
    ear = Ear()
    async with ear.listener(database_dsn):
        await ear.connected.get()
        yield ear


async def notify(dsn: str, payload: str) -> None:
    await run_sql(dsn, "SELECT pg_notify($1, $2)", EVENTS_CHANNEL, payload)


async def kill_listeners(dsn: str) -> None:
    await run_sql(
        dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND query LIKE 'LISTEN%'",
    )


async def test_it_passes_payloads_on_in_order(ear: Ear, database_dsn: str) -> None:
    await notify(database_dsn, "a:1")
    await notify(database_dsn, "a:2")
    assert [await ear.heard.get(), await ear.heard.get()] == ["a:1", "a:2"]


async def test_after_its_connection_was_killed_it_listens_again_and_says_so(ear: Ear, database_dsn: str) -> None:
    await kill_listeners(database_dsn)
    await ear.connected.get()
    await notify(database_dsn, "after")
    assert await ear.heard.get() == "after"


async def test_it_keeps_trying_while_nobody_answers(database_dsn: str, unused_tcp_port: int) -> None:
    """The server comes up later than the listener."""
    ear = Ear()
    host_and_port = database_dsn.rpartition("@")[2].partition("/")[0]
    host, _, port = host_and_port.partition(":")
    async with ear.listener(database_dsn.replace(host_and_port, f"127.0.0.1:{unused_tcp_port}")):
        proxy = await Proxy(host, int(port)).listen(unused_tcp_port)
        await ear.connected.get()
        await proxy.close()


async def test_a_connection_that_died_silently_is_noticed(database_dsn: str, unused_tcp_port: int) -> None:
    """A cut cable, a firewall that forgot us: nothing is closed, and nothing comes any more."""
    ear = Ear()
    host_and_port = database_dsn.rpartition("@")[2].partition("/")[0]
    host, _, port = host_and_port.partition(":")
    proxy = await Proxy(host, int(port)).listen(unused_tcp_port)
    dsn = database_dsn.replace(host_and_port, f"127.0.0.1:{unused_tcp_port}")
    async with ear.listener(dsn, liveness_interval=0.05, liveness_timeout=0.2):
        await ear.connected.get()
        proxy.swallow()
        await ear.connected.get()
        await notify(database_dsn, "heard on the new connection")
        assert await ear.heard.get() == "heard on the new connection"
    await proxy.close()


class Proxy:
    """TCP in the middle that can stop passing anything on without closing anything."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._passing: list[asyncio.Event] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def listen(self, port: int) -> "Proxy":
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        return self

    def swallow(self) -> None:
        """Connections of now stay open and mute; later ones work."""
        for passing in self._passing:
            passing.clear()

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        passing = asyncio.Event()
        passing.set()
        self._passing.append(passing)
        there_reader, there_writer = await asyncio.open_connection(*self._target)
        for source, sink in ((reader, there_writer), (there_reader, writer)):
            task = asyncio.create_task(_pump(source, sink, passing))
            self._tasks.add(task)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    try:
        while data := await source.read(65536):
            await passing.wait()
            sink.write(data)
            await sink.drain()
    except ConnectionError:
        pass
    finally:
        sink.close()
