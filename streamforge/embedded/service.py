"""`streamforge api` and `streamforge worker` as children of `up`."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from streamforge.embedded.child import Child, start_on
from streamforge.embedded.ports import Port

START_SECONDS = 30.0

# It logs every request, and while we wait for the API there are many.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Service:
    """One of our own processes. With a `port` it has started when `/health` answers there; without, when it runs."""

    def __init__(
        self, name: str, arguments: Sequence[str], log: Path, *, stop_seconds: float, port: Port | None = None
    ) -> None:
        self.name = name
        self.child: Child | None = None
        self._command = [sys.executable, "-m", "streamforge", *arguments]
        self._log = log
        self._stop_seconds = stop_seconds
        self._port = port

    async def start(self) -> None:
        """Raises ChildDied."""
        await start_on(self._start, self.stop, *([self._port] if self._port else []))

    async def _start(self) -> None:
        listening = ["--host", self._port.host, "--port", str(self._port.number)] if self._port else []
        self.child = Child(self.name, [*self._command, *listening], self._log)
        self.child.start()
        if self._port is not None:
            async with httpx.AsyncClient(trust_env=False, timeout=2, base_url=url_of(self._port)) as client:
                await self.child.wait_until(lambda: self._answers(client), START_SECONDS)

    async def _answers(self, client: httpx.AsyncClient) -> bool:
        assert self._port is not None
        assert self.child is not None
        try:
            healthy = (await client.get("/health")).is_success
        except httpx.TransportError:
            return False
        return healthy and self.child.listens_on(self._port.number)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(self._stop_seconds)


def url_of(port: Port) -> str:
    """The address under which this machine reaches what listens there."""
    everywhere = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}  # noqa: S104
    return f"http://{everywhere.get(port.host, f'[{port.host}]' if ':' in port.host else port.host)}:{port.number}"
