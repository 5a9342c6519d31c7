"""What can be followed: the log of one job."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from streamforge.contracts.job import JobStatus
from streamforge.db.jobs import Jobs, JobState
from streamforge.events import frames
from streamforge.events.frames import Frame
from streamforge.events.log import EventLog


@dataclass(frozen=True)
class Snapshot:
    """The present of a source, which a client is told first, and where it stands in the log."""

    status: dict[str, Any]
    identity: dict[str, Any]
    """What `reset` says it is about."""
    latest: int
    """The number of the latest event."""
    oldest: int
    """Who has seen everything up to here can resume; what came before is swept."""
    begins_at: int
    """After which event a client without a cursor goes on."""
    is_over: bool

    def position(self, cursor: str | None) -> int | None:
        """The event that a cursor names; None when it means nothing here. A cursor is whatever a client sends."""
        if cursor is None or not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 18:
            return None
        return int(cursor) if self.oldest <= int(cursor) <= self.latest else None


class Source(Protocol):
    """A log that is numbered in the order in which its events can be seen. All methods raise DatabaseUnavailable."""

    @property
    def key(self) -> str:
        """What notifications call it."""

    async def snapshot(self) -> Snapshot | None:
        """None when there is no such thing, or no more."""

    async def after(self, number: int, limit: int) -> Sequence[Frame]:
        """The events beyond `number`, in order."""


@dataclass(frozen=True)
class JobSource:
    """One job. The numbers are its own: 1, 2, 3 …"""

    job_id: UUID
    events: EventLog
    jobs: Jobs

    @property
    def key(self) -> str:
        return f"job:{self.job_id}"

    async def snapshot(self) -> Snapshot | None:
        job = await self.jobs.state(self.job_id)
        return None if job is None else _snapshot(job)

    async def after(self, number: int, limit: int) -> Sequence[Frame]:
        return [frames.logged(event) for event in await self.events.after(self.job_id, number, limit)]


def _snapshot(job: JobState) -> Snapshot:
    """A client without a cursor knows the present from `status`, but not why a job failed: it gets the last event of a
    failed job."""
    return Snapshot(
        status={"job_id": str(job.id), "status": job.status, "stage": job.stage, "progress": job.progress},
        identity={"job_id": str(job.id)},
        latest=job.event_seq,
        oldest=job.swept_seq,
        begins_at=job.event_seq - 1 if job.status is JobStatus.FAILED else job.event_seq,
        is_over=job.status.is_over,
    )
