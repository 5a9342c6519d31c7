"""A job as the world sees it: the body of `GET /jobs/<id>`."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from streamforge.contracts.job import EventView, JobError, JobKind, JobStatus, Playback, RenditionView, Stage
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.pipeline import ProcessVideoResult
from streamforge.contracts.stored import JsonObject


class JobView(BaseModel):
    """`GET /jobs/<id>`. Times are UTC."""

    id: UUID
    key: str
    bucket: str
    owner: str = Field("everyone", description="whose it is; everybody's, as long as nobody has to say who they are")
    kind: JobKind = Field(JobKind.VIDEO, description="of `external` ones we know what their workers report")
    status: JobStatus
    stage: Stage
    progress: int
    workflow_id: str
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None = None
    error_message: str | None = None
    error: JobError | None = None
    result: ProcessVideoResult | None = Field(None, description="of a completed job")
    external_id: str | None = None
    metadata: JsonObject | None = None
    priority: int = 3
    profile: str | None = None
    options: JobOptions = Field(JobOptions(), description="what was asked for; of the webhook only its host")
    size_bytes: int | None = None
    source_url: str | None = Field(
        None, description="where the video is fetched from, without passwords and signatures; null: it was sent"
    )
    eta_seconds: float | None = None
    eta_interval: tuple[float, float] | None = Field(None, description="four of five jobs end within; in seconds")
    queue_position: int | None = None
    stalled_since: datetime | None = None
    retries: int = Field(0, description="how often it was tried again on request")
    paused_at: datetime | None = Field(None, description="since when no part of it is begun")
    retain_until: datetime | None = Field(None, description="when it may be removed; null: when the settings say")
    legal_hold: bool = Field(False, description="nothing of it is removed")
    playback: Playback | None = None
    renditions: list[RenditionView] = []
    latest_events: list[EventView] = []
    unreadable: list[str] = Field([], description="what another version of this service wrote and this one cannot show")
