"""Heartbeats while an activity works: the sign of life, the checkpoint, and the way a cancel arrives."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from temporalio import activity

INTERVAL_SECONDS = 0.3
"""How fast a cancel is heard: the SDK itself sends no more of them than worker.CANCEL_DELIVERY allows."""


class Checkpoint:
    """What the next attempt is told about this one. `previous` is what the last attempt told, or None."""

    def __init__(self) -> None:
        details = activity.info().heartbeat_details
        self.previous: Any = details[0] if details else None
        self.latest: Any = self.previous

    def set(self, value: Any) -> None:
        """Goes out with the next heartbeat. JSON-serialisable."""
        self.latest = value

    def beat(self) -> None:
        activity.heartbeat(self.latest)


@asynccontextmanager
async def heartbeats() -> AsyncIterator[Checkpoint]:
    """Beat until the block ends. A cancel of the workflow cancels the block's task."""
    checkpoint = Checkpoint()

    async def beat() -> None:
        while True:
            checkpoint.beat()
            await asyncio.sleep(INTERVAL_SECONDS)

    beating = asyncio.create_task(beat())
    try:
        yield checkpoint
    finally:
        beating.cancel()
        with suppress(asyncio.CancelledError):
            await beating
