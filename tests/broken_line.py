"""A line between a client and a server that breaks when it is told to."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

PIECE_BYTES = 64 * 1024


class BrokenLine:
    """`sent` and `received` are bytes, as the client sees it, since the line was made."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._open: set[asyncio.StreamWriter] = set()
        # asyncio forgets a connection whose one end is closed, and with it whoever waits for the other.
        self._carrying: set[asyncio.Task[None]] = set()
        self._limits: dict[str, int] = {}
        self.counted = {"sent": 0, "received": 0}
        self.breaks = 0
        self.url = ""

    def break_after(self, *, sent: int | None = None, received: int | None = None) -> None:
        """Cut every connection, once, when so many more bytes have come; `received=0`: before the next one of an answer."""
        more = {"sent": sent, "received": received}
        self._limits = {way: self.counted[way] + count for way, count in more.items() if count is not None}

    def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._connect(reader, writer))
        self._carrying.add(task)
        task.add_done_callback(self._carrying.discard)

    async def end(self) -> None:
        self._cut()
        await asyncio.gather(*self._carrying)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_server = await asyncio.open_connection(*self._server)
        ends = (writer, to_server)
        self._open |= set(ends)
        try:
            await asyncio.gather(self._carry("sent", reader, to_server), self._carry("received", there, writer))
        finally:
            for end in ends:
                end.close()
                with suppress(OSError):
                    await end.wait_closed()
            self._open -= set(ends)

    async def _carry(self, way: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, RuntimeError):  # The other end may be closed by now.
            while piece := await reader.read(PIECE_BYTES):
                if self._is_too_much(way, len(piece)):
                    self._break()
                    return
                self.counted[way] += len(piece)
                writer.write(piece)
                await writer.drain()
            writer.write_eof()

    def _is_too_much(self, way: str, count: int) -> bool:
        return way in self._limits and self.counted[way] + count > self._limits[way]

    def _break(self) -> None:
        self._limits = {}
        self.breaks += 1
        self._cut()

    def _cut(self) -> None:
        for writer in self._open:
            writer.transport.abort()


@asynccontextmanager
async def broken_line(address: tuple[str, int]) -> AsyncIterator[BrokenLine]:
    line = BrokenLine(*address)
    server = await asyncio.start_server(line.connected, "127.0.0.1", 0)
    async with server:
        line.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield line
        finally:
            await line.end()
