"""The words in which a job is spoken of, and its parts as the world sees them."""

from datetime import datetime

from pydantic import BaseModel, Field

from streamforge.contracts.media.encoded import Loudness
from streamforge.contracts.media.scores import QualityScore
from streamforge.contracts.media.source import AudioRole
from streamforge.contracts.stored import Word


class JobKind(Word):
    """Who works on a job: we do, or somebody outside who reports."""

    VIDEO = "video"
    EXTERNAL = "external"


class JobStatus(Word):
    PENDING = "pending"
    PROCESSING = "processing"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @classmethod
    def _missing_(cls, value: object) -> "JobStatus | None":
        """The database tells apart what nobody else has to: `uploading` is a job whose bytes are still coming."""
        return cls.PENDING if value == "uploading" else super()._missing_(value)

    @property
    def is_over(self) -> bool:
        return self in {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}


class Stage(Word):
    """Where a job is. `failed` and `cancelled` are the last stage of a job that ends there."""

    UPLOADING = "uploading"
    TRANSCODING = "transcoding"
    VALIDATION = "validation"
    PACKAGING = "packaging"
    STORAGE = "storage"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class JobError(BaseModel):
    """Why a job failed. `code` is stable; `message` is one sentence a person can act on."""

    code: str
    message: str
    stage: Stage
    fault: str
    retryable: bool


class RenditionView(BaseModel):
    """One video rendition. `bitrate` is the measured average in bit/s, null until it is known; `fps` and `speed` (1 = as
    fast as it plays) are those of all its encoders together, null while none is at work."""

    name: str
    width: int
    height: int
    codec: str
    bitrate: int | None = None
    progress: int = 0
    frames: int | None = Field(default=None, description="how many there are to encode")
    fps: float | None = None
    speed: float | None = None
    vmaf: QualityScore | None = None


class AudioView(BaseModel):
    """One audio rendition. `bitrate` is the measured average in bit/s; `gain` is in dB, null where no loudness was asked
    for; `loudness` is that of what a listener gets."""

    name: str
    language: str | None = None
    title: str | None = None
    role: AudioRole
    default: bool
    channels: int
    sample_rate: int
    codec: str
    bitrate: int
    loudness: Loudness | None = None
    gain: float | None = None


class TextView(BaseModel):
    """Subtitles or captions as one WebVTT file, for a player without manifests. They are in both manifests, too."""

    label: str
    language: str | None = None
    kind: str = Field(description="captions or subtitles, as `<track kind>` has it")
    generated: bool = False
    src: str


class Playback(BaseModel):
    """What a player opens; paths on this API. No DASH for a stream that only HLS can decrypt. In the store they are plain;
    those of a job that is `signed` get their signature when they are told, and `expires_at` with it."""

    hls: str
    dash: str | None
    poster: str | None = None
    thumbnails: str | None = Field(None, description="WebVTT with a tile of a sprite sheet for every moment")
    captions: list[TextView] = []
    license: str | None = Field(None, description="where a page has the keys of common encryption; null without it")
    expires_at: datetime | None = Field(None, description="of the signatures in these addresses; null: they have none")

    @property
    def manifests(self) -> dict[str, str]:
        """By the name of the protocol, those that are there."""
        return {"HLS": self.hls} | ({"DASH": self.dash} if self.dash else {})


class EventView(BaseModel):
    stage: Stage
    progress: int
    message: str
    created_at: datetime
