"""The status message: how workers outside of this service tell of a video, and how we tell of one in the same words."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self, TypeAlias
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from streamforge.contracts.events import Event, JobChange, LoggedEvent
from streamforge.contracts.job import JobError, JobStatus, Stage
from streamforge.errors import ReportedFailure

ReportStatus: TypeAlias = Literal["started", "processing", "completed", "failed"]

CLOCK_SKEW = timedelta(minutes=5)
"""How far the clock of a reporter may be ahead. What lies further in the future would make all that follows look old."""
MAX_TEXT = 255
MAX_ERROR = 2000
LARGEST_COUNT = 2**53
"""From there on JSON's numbers are not exact everywhere."""

WORKED_IN = frozenset({Stage.UPLOADING, Stage.TRANSCODING, Stage.VALIDATION, Stage.PACKAGING, Stage.STORAGE})


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("has characters that cannot be printed")
    return text


Text = Annotated[str, Field(min_length=1, max_length=MAX_TEXT), AfterValidator(_printable)]
Count = Annotated[int, Field(ge=0, le=LARGEST_COUNT)]


class ReportMetadata(BaseModel):
    model_config = ConfigDict(extra="forbid")

    duration: float | None = Field(None, ge=0, allow_inf_nan=False, description="of the film, in seconds")
    chunkCount: Count | None = Field(None, description="chunks that are done")
    totalChunks: Count | None = Field(None, description="chunks that there are")


class StatusMessage(BaseModel):
    """One status message. What is unknown is null."""

    model_config = ConfigDict(extra="forbid")

    videoId: Text = Field(description="what its sender calls the video")
    jobId: UUID
    status: ReportStatus
    progress: int | None = Field(None, ge=0, le=100)
    stage: Text | None = None
    error: str | None = Field(None, max_length=MAX_ERROR)
    timestamp: AwareDatetime
    metadata: ReportMetadata = ReportMetadata()


class StatusPage(BaseModel):
    videoId: str
    jobId: UUID
    events: list[StatusMessage] = Field(description="the oldest first")
    next: int | None = Field(description="the `after` of the next page; null on the last")


class Report(StatusMessage):
    """A status message as somebody sends it: complete enough to act upon."""

    progress: float | None = Field(None, ge=0, le=100, allow_inf_nan=False)  # type: ignore[assignment]
    error: Annotated[str, AfterValidator(_printable)] | None = Field(None, max_length=MAX_ERROR)

    @model_validator(mode="after")
    def makes_sense(self) -> Self:
        if self.timestamp > datetime.now(UTC) + CLOCK_SKEW:
            raise ValueError("`timestamp` lies in the future: set the clock of its sender")
        if self.status == "failed" and not self.error:
            raise ValueError("`error` says why it failed")
        if self.status == "completed" and self.error:
            raise ValueError("`error` is for what did not complete")
        if self.status == "processing" and self.progress is None:
            raise ValueError("`progress` says how far it is")
        return self

    @property
    def token(self) -> UUID:
        """The same for the same report, wherever it comes from."""
        return UUID(bytes=hashlib.sha256(self._said().encode()).digest()[:16])

    def _said(self) -> str:
        return self.model_copy(update={"timestamp": self.timestamp.astimezone(UTC)}).model_dump_json()

    def told(self) -> dict[str, Any]:
        """As it is kept: what somebody said, word by word, without what says nothing."""
        return self.model_dump(mode="json", exclude_none=True)

    def change(self) -> JobChange:
        """What it means for the job. A stage of their own, for which we have no word, leaves it in its stage."""
        details = {"report": self.told()}
        if self.status == "failed":
            return JobChange(
                stage=Stage.FAILED,
                message=str(self.error),
                status=JobStatus.FAILED,
                error=self._error(),
                details=details,
            )
        if self.status == "completed":
            return JobChange(stage=Stage.COMPLETED, message="Completed", status=JobStatus.COMPLETED, details=details)
        return JobChange(
            stage=self._stage or Stage.TRANSCODING,
            progress=int(self.progress or 0),
            message=self.error or self.stage or self.status.capitalize(),
            status=JobStatus.PROCESSING,
            details=details,
        )

    @property
    def names_our_stage(self) -> bool:
        return self._stage is not None or self.status in {"completed", "failed"}

    @property
    def _stage(self) -> Stage | None:
        return Stage(self.stage) if self.stage in WORKED_IN else None

    def _error(self) -> JobError:
        return JobError(
            code=ReportedFailure.code,
            message=str(self.error),
            stage=self._stage or Stage.TRANSCODING,
            fault=ReportedFailure.fault,
            retryable=ReportedFailure.retryable,
        )


class Recorded(BaseModel):
    """What became of a report. `event` is what those who follow the job see of it."""

    outcome: Literal["recorded", "behind", "repeated"] = Field(
        description="`behind`: an earlier report was newer, or further; it is told as an event, and the job stays where it is. "
        "`repeated`: the same was reported before, and nothing is done"
    )
    status: JobStatus
    progress: int
    event: Event


def message_of(event: LoggedEvent, video_id: str, known: ReportMetadata) -> StatusMessage:
    """An event of any job in these words. Of what somebody reported it is what they said, but for its progress, which never
    goes back here."""
    said = (event.details or {}).get("report", {})
    return StatusMessage(
        videoId=video_id,
        jobId=event.job_id,
        status=_status(event.stage, event.seq, said),
        progress=event.progress,
        stage=said.get("stage") or event.stage,
        error=said.get("error") or _reason(event),
        timestamp=event.created_at,
        metadata=ReportMetadata.model_validate(said["metadata"]) if said.get("metadata") else known,
    )


def _status(stage: Stage, seq: int, said: dict[str, Any]) -> ReportStatus:
    if stage is Stage.COMPLETED:
        return "completed"
    if stage in {Stage.FAILED, Stage.CANCELLED}:
        return "failed"
    return "started" if seq == 1 or said.get("status") == "started" else "processing"


def _reason(event: LoggedEvent) -> str | None:
    return event.message[:MAX_ERROR] if event.stage in {Stage.FAILED, Stage.CANCELLED} else None
