"""`streamforge api` and `streamforge worker` as children of `up`."""

import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import httpx

from streamforge.embedded.child import Child

START_SECONDS = 30.0

# It logs every request, and while we wait for the API there are many.
logging.getLogger("httpx").setLevel(logging.WARNING)


class Service:
    """One of our own processes. With a `health_url` it has started when that answers; without, when it runs."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        log: Path,
        *,
        stop_seconds: float,
        health_url: str | None = None,
    ) -> None:
        self.name = name
        self.child: Child | None = None
        self._command = [sys.executable, "-m", "streamforge", *arguments]
        self._log = log
        self._stop_seconds = stop_seconds
        self._health_url = health_url

    async def start(self) -> None:
        """Raises ChildDied."""
        self.child = Child(self.name, self._command, self._log)
        self.child.start()
        if (url := self._health_url) is not None:
            async with httpx.AsyncClient(trust_env=False, timeout=2) as client:
                await self.child.wait_until(lambda: _answers(client, url), START_SECONDS)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(self._stop_seconds)


async def _answers(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(url)).is_success
    except httpx.TransportError:
        return False
