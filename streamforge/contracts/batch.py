"""Many videos sent as one, as the world sees them: `GET /batches/<id>`, and the `status` of a batch's stream."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, computed_field

from streamforge.contracts.job import JobStatus, Stage


class BatchStatus(StrEnum):
    """`partial`: all jobs are over, some completed and some not."""

    PROCESSING = "processing"
    COMPLETED = "completed"
    PARTIAL = "partial"
    FAILED = "failed"


class JobSummary(BaseModel):
    """What the `status` of a stream says about a job."""

    job_id: UUID
    status: JobStatus
    stage: Stage
    progress: int


class OwnerStatus(BaseModel):
    """What the `status` of the stream of everything says: the jobs that are not over."""

    jobs: list[JobSummary]


class BatchView(BaseModel):
    """`current` of `total` jobs are over, however they ended."""

    batch_id: UUID
    created_at: datetime
    total: int
    completed: int
    failed: int
    cancelled: int
    jobs: list[JobSummary]

    @computed_field  # type: ignore[prop-decorator]
    @property
    def current(self) -> int:
        return self.completed + self.failed + self.cancelled

    @computed_field  # type: ignore[prop-decorator]
    @property
    def status(self) -> BatchStatus:
        if self.current < self.total:
            return BatchStatus.PROCESSING
        if self.completed == self.total:
            return BatchStatus.COMPLETED
        return BatchStatus.PARTIAL if self.completed else BatchStatus.FAILED

    @computed_field  # type: ignore[prop-decorator]
    @property
    def progress(self) -> int:
        """Of all jobs together; one that is over has nothing left to do."""
        done = [100 if job.status.is_over else job.progress for job in self.jobs]
        return sum(done) // len(done) if done else 100
