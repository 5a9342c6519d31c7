"""What `GET /queue/stats` says: counted now and then, however many ask."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime

from pydantic import BaseModel, Field

from streamforge.db.pool import Database
from streamforge.db.queue import Pace, Queue, Unfinished

FRESH_SECONDS = 2.0
"""To count ten thousand jobs takes milliseconds; to count them for each of a thousand pages would take a core."""
KEPT_OWNERS = 1000
SECONDS_OF_A_JOB = 60.0
"""Before any has completed: something has to be told to whoever scales workers by it, or the first would never come."""


class QueueStats(BaseModel):
    """Of the caller's jobs; administrators have those of all."""

    unfinished: int
    waiting: int = Field(description="that no worker has begun")
    paused: int
    by_status: dict[str, int]
    by_stage: dict[str, int]
    by_priority: dict[str, int]
    oldest_waiting_seconds: float = Field(description="0 when none waits")
    completed_last_hour: int
    failed_last_hour: int
    seconds_each: float | None = Field(description="that workers were at a job, the mean of the last hundred")
    queue_seconds: float = Field(
        description="what waits, in seconds of work: `waiting` by `seconds_each`, or by a minute before any job has completed; "
        "what to scale workers by"
    )
    drained_in_seconds: float | None = Field(
        description="if it goes on as in the last hour; null when nothing ended in it"
    )


class QueueWatch:
    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[str | None, tuple[float, QueueStats]] = {}
        self._counting: dict[str | None, asyncio.Task[QueueStats]] = {}

    async def stats(self, owner: str | None) -> QueueStats:
        """Two seconds old at most. Who asks while it is being counted waits for that. Raises DatabaseUnavailable."""
        if (known := self._known.get(owner)) is not None and time.monotonic() - known[0] < FRESH_SECONDS:
            return known[1]
        if owner not in self._counting:
            self._counting[owner] = counting = asyncio.create_task(self._count(owner), name="count the queue")
            counting.add_done_callback(lambda _: self._counting.pop(owner))
        # It goes on for the others when one who waits goes away.
        return await asyncio.shield(self._counting[owner])

    async def _count(self, owner: str | None) -> QueueStats:
        queue = Queue(owner, self._database)
        stats = _stats(await queue.unfinished(), await queue.pace(), datetime.now(UTC))
        if len(self._known) >= KEPT_OWNERS:
            self._known.clear()
        self._known[owner] = (time.monotonic(), stats)
        return stats


def _stats(rows: Sequence[Unfinished], pace: Pace, now: datetime) -> QueueStats:
    by_status, by_stage, by_priority = Counter[str](), Counter[str](), Counter[str]()
    for row in rows:
        by_status[row.status.value] += row.jobs
        by_stage[row.stage.value] += row.jobs
        by_priority[str(row.priority)] += row.jobs
    unfinished, waiting = sum(row.jobs for row in rows), sum(row.waiting for row in rows)
    oldest = min((row.oldest for row in rows if row.oldest is not None), default=None)
    ended = pace.completed + pace.failed
    return QueueStats(
        unfinished=unfinished,
        waiting=waiting,
        paused=sum(row.paused for row in rows),
        by_status=dict(by_status),
        by_stage=dict(by_stage),
        by_priority=dict(by_priority),
        oldest_waiting_seconds=max(0.0, (now - oldest).total_seconds()) if oldest else 0.0,
        completed_last_hour=pace.completed,
        failed_last_hour=pace.failed,
        seconds_each=pace.seconds_each,
        queue_seconds=waiting * (SECONDS_OF_A_JOB if pace.seconds_each is None else pace.seconds_each),
        drained_in_seconds=0.0 if not unfinished else unfinished * 3600 / ended if ended else None,
    )
