"""Heartbeats while an activity works: the sign of life, the checkpoint, and the way a cancel arrives."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from datetime import timedelta
from typing import Any

from temporalio import activity

from streamforge.background import beside
from streamforge.errors import Superseded

LEAST_TIMEOUT = timedelta(seconds=5)
"""A shorter one is not taken at its word: so long a busy machine may keep a process waiting."""

FIRST_ATTEMPT = 1

INTERVAL_SECONDS = 0.3
"""How fast a cancel is heard: the SDK itself sends no more of them than worker.CANCEL_DELIVERY allows."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine is asleep. Linux has another one that stands still then, and calls it the monotonic one."""


class Checkpoint:
    """What the next attempt is told about this one. `previous` is what the last attempt told, or None."""

    def __init__(self) -> None:
        info = activity.info()
        self.previous: Any = info.heartbeat_details[0] if info.heartbeat_details else None
        self.latest: Any = self.previous
        self._patience = max(info.heartbeat_timeout or timedelta.max, LEAST_TIMEOUT).total_seconds()
        self._beat_at = time.clock_gettime(_CLOCK)
        self._is_late = False

    def set(self, value: Any) -> None:
        """Goes out with the next heartbeat. JSON-serialisable."""
        self.latest = value

    def beat(self) -> None:
        self._is_late, self._beat_at = self.is_late, time.clock_gettime(_CLOCK)
        activity.heartbeat(self.latest)

    @property
    def is_late(self) -> bool:
        """This attempt was silent for so long that another one has its work by now: its process, or its whole machine,
        stood still. That it beats again does not bring the work back."""
        return self._is_late or time.clock_gettime(_CLOCK) - self._beat_at > self._patience


_current: ContextVar[Checkpoint | None] = ContextVar("checkpoint", default=None)


def refuse_if_late() -> None:
    """For whatever an activity calls. Raises Superseded; does nothing outside of activities that send heartbeats."""
    if (checkpoint := _current.get()) is not None and checkpoint.is_late:
        raise Superseded("This attempt was taken for dead, and its work was given to another one.")


@asynccontextmanager
async def heartbeats() -> AsyncIterator[Checkpoint]:
    """Beat until the block ends. A cancel of the workflow cancels the block's task."""
    checkpoint = Checkpoint()

    async def beat() -> None:
        while True:
            checkpoint.beat()
            await asyncio.sleep(INTERVAL_SECONDS)

    async with beside({"heartbeats": beat()}):
        outer = _current.set(checkpoint)
        try:
            yield checkpoint
        finally:
            _current.reset(outer)
