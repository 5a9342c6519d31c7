"""Redis and NATS, each a server of its own."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from programs import program

from streamforge.embedded.ports import free_port


@dataclass
class Broker:
    """It can be stopped, and started again with what it has kept."""

    command: Sequence[str]
    url: str
    port: int
    log: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    async def start(self) -> None:
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(self.command, stdout=log, stderr=log, cwd=self.log.parent)
        async with asyncio.timeout(60):
            while not await self._answers():
                assert self._process.poll() is None, self.log.read_text()
                await asyncio.sleep(0.02)

    async def _answers(self) -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", self.port)
        except OSError:
            return False
        writer.close()
        return True

    async def stop(self) -> None:
        if self._process is not None:
            process, self._process = self._process, None
            process.terminate()
            await asyncio.to_thread(process.wait, 60)


@asynccontextmanager
async def redis_server(folder: Path) -> AsyncIterator[Broker]:
    """It keeps what it has over a restart."""
    port = free_port("127.0.0.1")
    server = program("redis-server", package="redis-server")
    command = [server, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes"]
    async with _running(Broker(command, f"redis://127.0.0.1:{port}/0", port, folder / "redis.log")) as broker:
        yield broker


@asynccontextmanager
async def nats_server(folder: Path) -> AsyncIterator[Broker]:
    port = free_port("127.0.0.1")
    server = program("nats-server", "/usr/sbin/nats-server", package="nats-server")
    command = [server, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(folder / "jetstream")]
    async with _running(Broker(command, f"nats://127.0.0.1:{port}", port, folder / "nats.log")) as broker:
        yield broker


@asynccontextmanager
async def _running(broker: Broker) -> AsyncIterator[Broker]:
    await broker.start()
    try:
        yield broker
    finally:
        await broker.stop()
