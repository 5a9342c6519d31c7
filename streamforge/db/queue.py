"""How much there is to do, and how quickly it is done."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from streamforge.contracts.job import JobStatus, Stage
from streamforge.db.pool import Database


@dataclass(frozen=True)
class Unfinished:
    """Jobs of one kind that are not over. `oldest` of those that no worker has begun."""

    status: JobStatus
    stage: Stage
    priority: int
    jobs: int
    waiting: int
    paused: int
    oldest: datetime | None


@dataclass(frozen=True)
class Pace:
    """Of the last hour, and the mean time that a worker was at the last jobs, in seconds; None before there was one."""

    completed: int
    failed: int
    seconds_each: float | None


class Queue:
    """Of one owner, or as administrators see it (None). All methods raise DatabaseUnavailable."""

    def __init__(self, owner: str | None, database: Database) -> None:
        self._whose = owner
        self._seen = database.as_admin() if owner is None else database.as_caller(owner)

    async def unfinished(self) -> list[Unfinished]:
        rows = await self._seen.look("queue_counts", self._whose)
        return [Unfinished(**{**row, "status": JobStatus(row["status"]), "stage": Stage(row["stage"])}) for row in rows]

    async def pace(self) -> Pace:
        [row] = await self._seen.look("queue_pace", self._whose)
        fields: dict[str, Any] = dict(row)
        return Pace(**fields)
