"""The event log's own shapes: what a writer appends, what a reader gets."""

from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from streamforge.contracts.job import JobError, JobStatus, Playback, RenditionView, Stage
from streamforge.contracts.stored import JsonObject
from streamforge.errors import StreamForgeError


class JobChange(BaseModel):
    """One append to the log: the event, and what it changes in the job row, in the same transaction.

    Fields left None leave the job row as it is. `progress` never lowers what the row already has.
    """

    stage: Stage
    message: str
    progress: int | None = None
    event: str = "progress"
    details: dict[str, Any] | None = None
    status: JobStatus | None = None
    error: JobError | None = None
    result: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    renditions: list[RenditionView] | None = None
    playback: Playback | None = None


def waiting(error: StreamForgeError, attempt: int, stage: Stage) -> JobChange:
    """The job goes on, and this is why it does not move: `attempt` has failed, and another one will be made."""
    return JobChange(
        stage=stage,
        message=f"Waiting to try again: {error.message}",
        details={"code": error.code, "attempt": attempt},
    )


class RenditionProgress(BaseModel):
    """How far one rendition of one part is. `fps` is null when its encoder is not at work."""

    frames: int
    fps: float | None = None


class PartProgress(BaseModel):
    """How far one concurrently encoded part of a stage is: a chunk of video or a track of audio.

    Workers on several machines each report their own parts; the log adds them up under the job row's lock, which is
    what makes the overall progress right without any of them knowing the others. `done` and `whole` share a unit
    (frames); `whole` is the work of all parts together, also of those that have not begun. The stage's progress is
    low + (high − low) × Σ done ÷ whole.
    """

    part: str
    done: float
    whole: float
    low: int
    high: int
    renditions: dict[str, RenditionProgress] = {}


class EventData(BaseModel):
    """What one event says: `data` wherever events are told. What is null is left out."""

    model_config = ConfigDict(json_schema_mode_override="validation")

    job_id: UUID
    stage: Stage
    progress: int = Field(ge=0, le=100)
    message: str
    timestamp: datetime
    error: JobError | None = Field(None, description="of the last event of a job that failed")
    batch_id: UUID | None = None
    details: JsonObject | None = None


class Event(BaseModel):
    """One event of a log: what `/events` lists and a WebSocket sends. A name that a client does not know is for newer
    ones."""

    id: int | None = Field(
        description="its number in the log that is followed; null for what no client can resume from"
    )
    event: str = Field(description="`progress`, `playable`, …; on a stream `status`, `reset` and `done`, too")
    data: dict[str, Any] = Field(description="EventData, or what the stream says of itself")
    created_at: datetime


class EventPage(BaseModel):
    events: list[Event]
    next: int | None = Field(description="the `after` of the next page; null on the last")


class LoggedEvent(BaseModel):
    """One row of the log. `seq` counts 1, 2, 3 … per job without gaps, `owner_seq` per owner; where a log is followed,
    the one that counts in it is the SSE id and the replay cursor."""

    job_id: UUID
    seq: int
    owner: str
    owner_seq: int
    batch_id: UUID | None = None
    event: str
    stage: Stage
    progress: int
    message: str
    details: JsonObject | None = None
    created_at: datetime
