"""Memory for media children: no more of them at once than this machine can bear. All renditions of 4K side by side take
gigabytes, and how many depends on codec and preset; so it is measured, not guessed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import Source
from streamforge.observability import metrics
from streamforge.planning.memory import FIRST_GUESS, Footprint, expected_bytes, measured_footprint

log = structlog.stdlib.get_logger(__name__)


class MemoryBudget:
    """`async with room.hold(source, renditions) as held: …` waits until there is room, first come, first served.

    What is larger than everything there is runs alone: its own limit and the kernel have the last word then.
    """

    def __init__(self, memory_bytes: int) -> None:
        self._memory_bytes = memory_bytes
        metrics.MEMORY.set(memory_bytes)
        self._held = 0
        self._left = asyncio.Condition()
        self._in_line = asyncio.Lock()
        self._footprint: Footprint | None = None

    @asynccontextmanager
    async def hold(self, source: Source, renditions: list[VideoRendition]) -> AsyncIterator[None]:
        needed = expected_bytes(source.video_required, renditions, self._footprint or FIRST_GUESS)
        with metrics.MEMORY_WAITING.track_inprogress(), metrics.timed(metrics.MEMORY_WAIT):
            await self._take(needed)
        try:
            yield
        finally:
            # Shielded from a cancel in the middle: what is not given back is lost for good.
            self._held -= needed
            metrics.MEMORY_HELD.dec(needed)
            await asyncio.shield(self._tell())

    async def _take(self, needed: int) -> None:
        async with self._in_line, self._left:
            if not self._fits(needed):
                log.info("waiting for memory", needed=needed, held=self._held, memory=self._memory_bytes)
            await self._left.wait_for(lambda: self._fits(needed))
            self._held += needed
            metrics.MEMORY_HELD.inc(needed)

    async def _tell(self) -> None:
        async with self._left:
            self._left.notify_all()

    def _fits(self, needed: int) -> bool:
        return self._held == 0 or self._held + needed <= self._memory_bytes

    def learn(self, source: Source, renditions: list[VideoRendition], peak_bytes: int) -> None:
        """What such a child really took; the next ones are expected to take as much. A copy takes next to nothing, which
        says nothing about encoders."""
        if any(rendition.is_copy for rendition in renditions):
            return
        self._footprint = measured_footprint(source.video_required, renditions, peak_bytes, self._footprint)
