"""What the server answers, where no contract has it already. Fields of newer servers stay readable as attributes."""

from typing import Any
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, ConfigDict, field_validator

from streamforge.contracts.batch import BatchStatus
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.job_view import JobView


class Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class SubmittedBatch(BaseModel):
    """What became of several videos: a job each, or why not."""

    class Job(BaseModel):
        job_id: UUID
        key: str

    class Rejected(BaseModel):
        key: str
        code: str
        message: str

    batch_id: UUID
    jobs: list[Job]
    rejected: list[Rejected]


class FoundJobs(BaseModel):
    """A page; `next_cursor` is None on the last."""

    jobs: list[JobView]
    next_cursor: str | None


class ChangedJob(Answer):
    """One of many: `status` is what a request for it alone would have been answered with, `made` another job of its video."""

    job_id: UUID
    status: int
    code: str | None = None
    detail: str | None = None
    made: UUID | None = None


class ChangedJobs(Answer):
    """`more`: the filter may find others; ask again."""

    results: list[ChangedJob]
    more: bool


class UploadProgress(Answer):
    """How far an upload is that can be resumed. `job_id` is None for a part of another one, `expires_at` for one that is
    complete."""

    id: UUID
    job_id: UUID | None
    received_bytes: int
    size_bytes: int | None
    expires_at: AwareDatetime | None


class UploadLimits(BaseModel):
    """What the server has of tus."""

    versions: list[str]
    extensions: list[str]
    max_size_bytes: int | None


class Ticket(Answer):
    """`url`, a path on the server, opens until then without a key, and once."""

    ticket: str
    url: str
    expires_at: AwareDatetime


class Caller(Answer):
    """Who asks, as the server knows them."""

    owner: str
    scopes: list[str]
    credential: str
    expires_at: AwareDatetime | None


class ContentKey(Answer):
    """Of Clear Key: id and key in base64url without padding."""

    kid: str
    k: str


class Readiness(Answer):
    class Part(Answer):
        ok: bool
        message: str

    status: str
    checks: dict[str, Part]

    @property
    def is_ready(self) -> bool:
        return self.status == "ready"


class AuditPage(Answer):
    entries: list[dict[str, Any]]
    next_cursor: str | None


class ReportedStatus(Answer):
    """A status message, as workers elsewhere send them."""

    videoId: str
    jobId: UUID
    status: str
    progress: float | None = None
    stage: str | None = None
    error: str | None = None
    timestamp: AwareDatetime
    metadata: dict[str, Any] = {}


class StatusHistory(Answer):
    events: list[ReportedStatus]
    next: int | None


class RecordedReport(Answer):
    """`outcome`: `recorded`, `behind` an earlier one, or `repeated`; then how the job is."""

    outcome: str
    status: JobStatus
    progress: int


class Webhook(Answer):
    """`events` is None for all but `job.progress`; `disabled_reason` for one that its owner switched off."""

    id: UUID
    url: str
    description: str
    events: list[str] | None
    format: str
    enabled: bool
    disabled_reason: str | None
    created_at: AwareDatetime
    updated_at: AwareDatetime


class WebhookSecret(Answer):
    """After a rotation both sign until `previous_until`."""

    secret: str
    previous: str | None = None
    previous_until: AwareDatetime | None = None


class DeliveryAttempt(Answer):
    at: AwareDatetime
    milliseconds: int
    status_code: int | None = None
    failure: str | None = None


class Delivery(Answer):
    """Of one event to one address; `job_id` is None for a test."""

    id: UUID
    webhook_id: str
    job_id: UUID | None
    type: str
    url: str
    status: str
    attempts: list[DeliveryAttempt]
    next_try_at: AwareDatetime | None
    created_at: AwareDatetime
    completed_at: AwareDatetime | None


class DeliveryPage(Answer):
    deliveries: list[Delivery]
    next_cursor: str | None


class StreamEvent(Answer):
    """One frame of an event stream."""

    event: str
    id: str | None = None
    job_id: UUID | None = None
    status: JobStatus | BatchStatus | None = None
    stage: Stage | None = None
    progress: int | None = None
    message: str | None = None

    @field_validator("status", mode="before")
    @classmethod
    def only_a_batch_is_partial(cls, value: object) -> object:
        """All else can be the status of a job, also a word of a later version."""
        return BatchStatus.PARTIAL if value == BatchStatus.PARTIAL else value
