"""One typed input and one result for the workflow and each activity. Add fields with defaults; never re-use one."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from streamforge.contracts.job import AudioView, JobError, JobStatus, Playback, RenditionView, Stage
from streamforge.contracts.job_options import WorkOptions
from streamforge.contracts.media.account import Account
from streamforge.contracts.media.encoded import StoredFile, TextTrack
from streamforge.contracts.media.per_title import PerTitleResult
from streamforge.contracts.media.plan import (
    AudioRendition,
    Chunk,
    EncodePlan,
    Plan,
    SearchPlan,
    StreamPlan,
    SubtitleRendition,
    Transcription,
)
from streamforge.contracts.media.scores import RenditionScore, Repair
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.stills import Pictures, StillsView, Storyboard


class ProcessVideo(WorkOptions):
    """Input of the workflow. `source_object` names the uploaded bytes in the store, hashed while they came in."""

    job_id: UUID
    key: str
    source_object: str
    size_bytes: int
    sha256: str
    to_be_fetched: bool = Field(
        default=False, description="it is not in the store yet, or was not: where it is, its row says"
    )


class StoredSource(BaseModel):
    """The original in the store. What every later stage names its work after."""

    job_id: UUID
    source_object: str
    size_bytes: int
    sha256: str


class JobInput(BaseModel):
    """Work for a job, on its original."""

    original: StoredSource

    @property
    def job_id(self) -> UUID:
        return self.original.job_id


class SourceInput(JobInput):
    """… of which it is known what is in it."""

    source: Source


class FetchInput(JobInput):
    """What is known of the original before it is there: `size_bytes` and `sha256` say nothing yet."""


class UploadInput(JobInput):
    pass


class ProbeInput(JobInput, WorkOptions):
    """`copy_failed` is why a source that seemed fit to be copied was not: it is to be encoded."""

    copy_failed: str | None = None


class ProbedSource(BaseModel):
    source: Source
    plan: Plan
    attempt: int = 1


class SearchInput(SourceInput):
    plan: SearchPlan
    total_frames: int


class PlanVideo(WorkOptions):
    """Input of the dry run and of its one activity: stored bytes that no job owns."""

    source_object: str
    size_bytes: int


BEGINNING_BYTES = 2**20
"""By these it is seen whether something can be a video. What is not twice as long is probed soon enough."""


class IdentifyVideo(BaseModel):
    """Input of the look at the first bytes of an upload, and of its one activity."""

    beginning: str = Field(description="the object that has them")


class EncodeChunkInput(SourceInput):
    """One part of a chunk: those renditions that `plan` holds here, which stand for `weight` (0–1) of the chunk's work."""

    plan: EncodePlan
    chunk: Chunk
    weight: float
    chunk_count: int
    total_frames: int
    encoded_before: int = Field(default=0, description="how often all was encoded before, and did not fit together")


def _tracks_counted(value: Any) -> Any:
    """Before it was told, the plan held all renditions of sound."""
    if isinstance(value, dict) and "track_count" not in value and isinstance(plan := value.get("plan"), dict):
        return value | {"track_count": len(plan.get("audio", []))}
    return value


class EncodeAudioInput(SourceInput):
    """`source` comes without all that is told of other tracks: there may be 64 of those, and half as many of these inputs
    in one message."""

    plan: EncodePlan
    rendition: AudioRendition
    encoded_before: int = 0
    track_count: int = Field(description="of all renditions of sound")

    _with_track_count = model_validator(mode="before")(_tracks_counted)


class KeepSubtitlesInput(SourceInput):
    renditions: list[SubtitleRendition]


class TranscribeInput(SourceInput):
    transcription: Transcription


class EncodedPart(BaseModel):
    """A part of a chunk, or an audio track, whose segments are in the store.

    What it holds in detail lies in the store, too, as `receipt`: it would not fit Temporal's history for long films.
    """

    receipt: str
    frames: int
    size_bytes: int
    quality: str | None = Field(default=None, description="where its PartQuality lies; null for sound")
    attempt: int = Field(default=1, description="the one that came to its end")
    pictures: str | None = Field(default=None, description="where its TileSet lies; null where it kept none")


class EncodedStream(BaseModel):
    """Everything that was made for a job, by records: the parts of each chunk, in order, and the audio tracks. Text
    tracks are few and told whole."""

    chunks: list[list[EncodedPart]]
    audio: list[EncodedPart]
    text: list[TextTrack] = []

    @property
    def tile_sets(self) -> list[str]:
        """Where the TileSet of each chunk lies, in the order of the film."""
        return [part.pictures for parts in self.chunks for part in parts if part.pictures]


class ValidateInput(JobInput):
    """`qualities` names the PartQuality of every part, in the order of the film."""

    plan: EncodePlan
    qualities: list[str]


class ValidatedStream(BaseModel):
    """`repairs` holds the first of `repair_count` of them."""

    scores: list[RenditionScore]
    repairs: list[Repair]
    repair_count: int
    attempt: int = 1


class StillsInput(SourceInput):
    plan: StreamPlan
    encoded: EncodedStream


class PublishInput(SourceInput):
    """What is encoded so far is found in the store: a growing list of it would fill the history of a long film."""

    plan: StreamPlan
    began_at: datetime
    encoded_before: int = 0
    number: int = Field(default=0, description="how often it was asked for before: what is shown is the last")


class PublishedSoFar(BaseModel):
    """`seconds` can be played; `renditions` names the video renditions among it."""

    seconds: float
    renditions: list[str]


class PackageInput(SourceInput):
    plan: Plan
    encoded: EncodedStream
    storyboard: Storyboard | None = None


def _size_alone(value: Any) -> Any:
    """All that was told before there were records."""
    return {"size_bytes": value} if isinstance(value, int) else value


class PackagedStream(BaseModel):
    """The manifests that were written, by their names in the job's output folder."""

    manifests: dict[str, Annotated[StoredFile, BeforeValidator(_size_alone)]]
    account: Account = Account()
    attempt: int = 1


class DownloadsInput(SourceInput):
    plan: StreamPlan
    encoded: EncodedStream


class Download(BaseModel):
    """`name` in the job's output folder."""

    rendition: str
    name: str
    size_bytes: int


class Downloads(BaseModel):
    """One for each rendition."""

    files: list[Download]


class StoreInput(SourceInput):
    plan: Plan
    encoded: EncodedStream
    packaged: PackagedStream
    validated: ValidatedStream | None = None
    pictures: Pictures | None = None
    downloads: list[Download] = []
    per_title: PerTitleResult | None = None
    extras: dict[str, int] = Field(default={}, description="files beside those of the manifests, with their sizes")
    began: dict[Stage, datetime] = Field(default={}, description="when each stage was entered, this one the last")
    probe_attempt: int = 1
    warnings: list[str] = []


class DownloadView(BaseModel):
    """`path` on this API; with `?download=1` browsers save it under a name of its own."""

    rendition: str
    path: str
    size_bytes: int


def _without_other_scores(value: Any) -> Any:
    """VMAF was told otherwise before it was sampled: without a margin. A workflow that still carries such a result ends."""
    if isinstance(value, dict) and "margin" not in (value.get("vmaf") or {}):
        return value | {"vmaf": None}
    return value


class ProcessVideoResult(BaseModel):
    """Result of the workflow, and of the job: `GET /jobs/<id>` shows it as `result`."""

    duration: float
    size_bytes: int
    file_count: int
    source_sha256: str
    renditions: list[Annotated[RenditionView, BeforeValidator(_without_other_scores)]]
    audio: list[AudioView] = []
    playback: Playback
    text: list[TextTrack] = Field(default=[], description="subtitles and captions")
    repairs: list[Repair] = Field(default=[], description="the first of repair_count chunks that were encoded again")
    repair_count: int = 0
    pictures: StillsView | None = None
    downloads: list[DownloadView] = []
    per_title: PerTitleResult | None = Field(default=None, description="null where no per-title search was asked for")
    account: Account = Field(default=Account(), description="what went in and what came out, and why they differ")
    warnings: list[str] = []


CANCELLED = "Cancelled on request"
"""What the last event of a cancelled job says, whoever ends it."""


class Outcome(BaseModel):
    """How a job ended, for the log. `result` comes with completed, `error` with failed."""

    job_id: UUID
    status: JobStatus
    stage: Stage
    message: str
    result: ProcessVideoResult | None = None
    error: JobError | None = None

    @classmethod
    def cancelled(cls, job_id: UUID, stage: Stage) -> Self:
        return cls(job_id=job_id, status=JobStatus.CANCELLED, stage=stage, message=CANCELLED)

    @classmethod
    def failed(cls, job_id: UUID, error: JobError) -> Self:
        return cls(job_id=job_id, status=JobStatus.FAILED, stage=error.stage, message=error.message, error=error)

    @classmethod
    def completed(cls, job_id: UUID, result: ProcessVideoResult) -> Self:
        return cls(
            job_id=job_id,
            status=JobStatus.COMPLETED,
            stage=Stage.COMPLETED,
            message="The stream is ready",
            result=result,
        )


class DiscardInput(BaseModel):
    """What to remove from the store. Work files always go; the original stays where another try could succeed. Where
    `renditions` are named, only what was encoded of these goes."""

    job_id: UUID
    output: bool
    original: bool
    renditions: list[str] = []
    keep_parts: bool = Field(default=False, description="for another try: what was encoded stays, and is not shown")


class SweepInput(BaseModel):
    """Empty today; a field can be added without breaking the Schedule that carries it."""


class SweepResult(BaseModel):
    jobs_removed: int
    orphans_removed: int


class ReconcileInput(BaseModel):
    """Empty today; a field can be added without breaking the Schedule that carries it."""


class ReconcileResult(BaseModel):
    jobs_ended: int
    workflows_cancelled: int
    workflows_unpinned: int = 0
    workflows_of_no_job: int = 0
