"""What a worker answers to those who ask how it is: Kubernetes' probes."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager

from streamforge.background import beside

BEAT_SECONDS = 1
STILL_SECONDS = 30
"""Garbage collection, a busy machine or a slow disk may hold up an event loop for seconds; a defect does it for good."""


class Pulse:
    """Asked from another thread: an event loop that stands still cannot tell so itself."""

    def __init__(self) -> None:
        self._beat = time.monotonic()
        self._takes_work = False

    def alive(self) -> bool:
        return time.monotonic() - self._beat < STILL_SECONDS

    def ready(self) -> bool:
        return self._takes_work and self.alive()

    def probes(self) -> dict[str, Callable[[], bool]]:
        return {"/health": self.alive, "/ready": self.ready}

    @asynccontextmanager
    async def beating(self) -> AsyncIterator[None]:
        async with beside({"pulse": self._beats()}):
            yield

    @contextmanager
    def taking_work(self) -> Iterator[None]:
        self._takes_work = True
        try:
            yield
        finally:
            self._takes_work = False

    async def _beats(self) -> None:
        while True:
            self._beat = time.monotonic()
            await asyncio.sleep(BEAT_SECONDS)
