"""What can be followed: the log of one job, of all jobs of an owner, of all jobs of a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID

from streamforge.contracts.job import JobStatus
from streamforge.db.jobs import BatchState, JobState, OwnerState, OwnJobs
from streamforge.errors import BatchNotFound, JobNotFound, StreamForgeError
from streamforge.events import frames
from streamforge.events.frames import Frame
from streamforge.events.log import OwnLog


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
        """What it is called where notifications are told apart."""

    @property
    def reader(self) -> str:
        """As whom it is looked at. To others it may not be there, and they must not be told of it together."""

    async def snapshot(self) -> Snapshot | None:
        """None when there is no such thing, or no more."""

    async def after(self, number: int, limit: int) -> Sequence[Frame]:
        """The events beyond `number`, in order."""

    def not_found(self) -> StreamForgeError: ...


@dataclass(frozen=True)
class JobSource:
    """One job. The numbers are its own: 1, 2, 3 …"""

    job_id: UUID
    log: OwnLog
    jobs: OwnJobs

    @property
    def key(self) -> str:
        return f"job:{self.job_id}"

    @property
    def reader(self) -> str:
        return self.jobs.reader

    async def snapshot(self) -> Snapshot | None:
        job = await self.jobs.state(self.job_id)
        return None if job is None else _of_job(job)

    async def after(self, number: int, limit: int) -> Sequence[Frame]:
        return [frames.of_job(event) for event in await self.log.of_job(self.job_id, number, limit)]

    def not_found(self) -> StreamForgeError:
        return JobNotFound("There is no such job.")


@dataclass(frozen=True)
class OwnerSource:
    """All jobs of an owner, also those that are still to come. The numbers are the owner's: 1, 2, 3 …"""

    log: OwnLog
    jobs: OwnJobs

    @property
    def key(self) -> str:
        return f"owner:{self.jobs.owner}"

    @property
    def reader(self) -> str:
        return self.jobs.owner

    async def snapshot(self) -> Snapshot:
        return _of_owner(await self.jobs.owner_state())

    async def after(self, number: int, limit: int) -> Sequence[Frame]:
        return [frames.of_owner(event) for event in await self.log.after(number, limit)]

    def not_found(self) -> StreamForgeError:
        return JobNotFound("There are no jobs of yours.")


@dataclass(frozen=True)
class BatchSource:
    """All jobs of a batch. The numbers are its owner's; those of other jobs are left out."""

    batch_id: UUID
    log: OwnLog
    jobs: OwnJobs

    @property
    def key(self) -> str:
        return f"batch:{self.batch_id}"

    @property
    def reader(self) -> str:
        return self.jobs.reader

    async def snapshot(self) -> Snapshot | None:
        batch = await self.jobs.batch_state(self.batch_id)
        return None if batch is None else _of_batch(batch)

    async def after(self, number: int, limit: int) -> Sequence[Frame]:
        return [frames.of_batch(event) for event in await self.log.of_batch(self.batch_id, number, limit)]

    def not_found(self) -> StreamForgeError:
        return BatchNotFound("There is no such batch.")


def _of_job(job: JobState) -> Snapshot:
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


def _of_owner(owner: OwnerState) -> Snapshot:
    return Snapshot(
        status=owner.model_dump(mode="json", include={"jobs"}),
        identity={},
        latest=owner.event_seq,
        oldest=owner.swept_seq,
        begins_at=owner.event_seq,
        is_over=False,
    )


def _of_batch(batch: BatchState) -> Snapshot:
    return Snapshot(
        status=batch.model_dump(mode="json", exclude={"event_seq", "swept_seq"}),
        identity={"batch_id": str(batch.batch_id)},
        latest=batch.event_seq,
        oldest=min(batch.swept_seq, batch.event_seq),
        begins_at=batch.event_seq,
        is_over=batch.current == batch.total,
    )
