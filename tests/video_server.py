"""A real HTTP server that has one video, as strangers run them: with ranges or without, and in all kinds of trouble."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

PIECE = 64 * 1024


@dataclass
class Trouble:
    """What is other than it should be in one answer. `cut_after`: so many bytes come, then the connection is gone; `hang_after`:
    then nothing more comes."""

    status: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_after: int | None = None
    hang_after: int | None = None


@dataclass
class VideoServer:
    """`troubles` are for the next requests, one each; `always` for all others. Without `etag` and `ranges` it is as simple as a
    server can be; without `tells_length` the end of the connection is that of the video."""

    content: bytes
    etag: str | None = '"one"'
    ranges: bool = True
    tells_length: bool = True
    content_type: str = "video/mp4"
    troubles: deque[Trouble] = field(default_factory=deque)
    always: Trouble = field(default_factory=Trouble)
    requests: list[dict[str, str]] = field(default_factory=list)
    port: int = 0
    sent_bytes: int = 0
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/films/holiday.mp4"

    @property
    def ranges_asked(self) -> list[str | None]:
        return [request.get("range") for request in self.requests]

    async def until_asked(self, times: int) -> None:
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.requests) >= times)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await _read(reader)
            async with self.arrived:
                self.requests.append(request)
                self.arrived.notify_all()
            await self._answer(request, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, request: Mapping[str, str], writer: asyncio.StreamWriter) -> None:
        trouble = self.troubles.popleft() if self.troubles else self.always
        start = self._start(request)
        status = trouble.status or (206 if start else 200)
        body = self.content[start:] if status in {200, 206} else b"in trouble"
        headers = {"Content-Type": self.content_type, "Connection": "close"}
        if self.tells_length:
            headers["Content-Length"] = str(len(body))
        if self.etag:
            headers["ETag"] = self.etag
        if status == 206:
            headers["Content-Range"] = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        headers |= trouble.headers
        lines = [f"HTTP/1.1 {status} Said", *(f"{name}: {value}" for name, value in headers.items())]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await self._send(body, trouble, writer)

    async def _send(self, body: bytes, trouble: Trouble, writer: asyncio.StreamWriter) -> None:
        most = min(each for each in (trouble.cut_after, trouble.hang_after, len(body)) if each is not None)
        for begin in range(0, most, PIECE):
            writer.write(body[begin : min(most, begin + PIECE)])
            await writer.drain()
            self.sent_bytes += min(most, begin + PIECE) - begin
        if trouble.hang_after is not None:
            await asyncio.Event().wait()

    def _start(self, request: Mapping[str, str]) -> int:
        if not self.ranges or "range" not in request:
            return 0
        if request.get("if-range", self.etag) != self.etag:
            return 0
        return int(request["range"].removeprefix("bytes=").partition("-")[0])


async def _read(reader: asyncio.StreamReader) -> dict[str, str]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    return headers | {":path": head[0].split(" ")[1]}


@asynccontextmanager
async def having(content: bytes, **how: object) -> AsyncIterator[VideoServer]:
    server = VideoServer(content, **how)  # type: ignore[arg-type]
    listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
