"""A real HTTP server as strangers run them: it answers what a test says, and keeps what it was sent."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Received:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


Answer = tuple[int, Mapping[str, str]]
Behaviour = Callable[[Received], Awaitable[Answer]]


@dataclass
class Receiver:
    """`behaviour` can be changed while it runs."""

    behaviour: Behaviour
    port: int = 0
    requests: list[Received] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def answers(self, status: int, headers: Mapping[str, str] | None = None) -> None:
        self.behaviour = always(status, headers)

    def answers_in_turn(self, *statuses: int) -> None:
        """The last one from then on."""

        async def answer(_: Received) -> Answer:
            return statuses[min(len(self.requests), len(statuses)) - 1], {}

        self.behaviour = answer

    async def until(self, enough: Callable[[list[Received]], bool], seconds: float = 60) -> list[Received]:
        """What has come when it is enough."""
        async with asyncio.timeout(seconds), self.arrived:
            await self.arrived.wait_for(lambda: enough(self.requests))
            return list(self.requests)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            async with self.arrived:
                self.requests.append(request)
                self.arrived.notify_all()
            status, headers = await self.behaviour(request)
            lines = [f"HTTP/1.1 {status} Said", "Content-Length: 0", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            writer.write("\r\n".join([*lines, "", ""]).encode())
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


def always(status: int, headers: Mapping[str, str] | None = None) -> Behaviour:
    async def answer(_: Received) -> Answer:
        return status, headers or {}

    return answer


async def never(_: Received) -> Answer:
    """Takes the request, and says nothing."""
    await asyncio.Event().wait()
    raise AssertionError


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)


@asynccontextmanager
async def answering(
    status: int = 200, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Receiver]:
    async with receiving(always(status, headers), tls) as receiver:
        yield receiver


@asynccontextmanager
async def receiving(behaviour: Behaviour, tls: ssl.SSLContext | None = None) -> AsyncIterator[Receiver]:
    receiver = Receiver(behaviour)
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0, ssl=tls)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
