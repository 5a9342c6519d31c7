"""One typed input and one result for the workflow and each activity. Add fields with defaults; never re-use one."""

from uuid import UUID

from pydantic import BaseModel

from streamforge.contracts.job import JobError, JobStatus, RenditionView, Stage
from streamforge.contracts.media import (
    AudioRendition,
    Chunk,
    EncodedChunk,
    EncodedTrack,
    Plan,
    RenditionScore,
    Source,
)


class ProcessVideo(BaseModel):
    """Input of the workflow. `source_object` names the uploaded bytes in the store."""

    job_id: UUID
    key: str
    source_object: str
    size_bytes: int
    priority: int = 3
    profile: str | None = None


class ProcessVideoResult(BaseModel):
    hls: str
    dash: str
    duration: float
    renditions: list[RenditionView]


class UploadInput(BaseModel):
    job_id: UUID
    source_object: str
    size_bytes: int


class StoredSource(BaseModel):
    """The original in the store, hashed. What every later stage names its work after."""

    job_id: UUID
    source_object: str
    size_bytes: int
    sha256: str


class ProbeInput(BaseModel):
    original: StoredSource
    profile: str | None = None


class ProbedSource(BaseModel):
    source: Source
    plan: Plan


class EncodeChunkInput(BaseModel):
    original: StoredSource
    source: Source
    plan: Plan
    chunk: Chunk


class EncodeAudioInput(BaseModel):
    original: StoredSource
    source: Source
    plan: Plan
    rendition: AudioRendition


class ValidateChunkInput(BaseModel):
    original: StoredSource
    source: Source
    plan: Plan
    chunk: Chunk
    encoded: EncodedChunk


class ChunkScores(BaseModel):
    index: int
    scores: list[RenditionScore]


class PackageInput(BaseModel):
    job_id: UUID
    source: Source
    plan: Plan
    video: list[EncodedTrack]
    audio: list[EncodedTrack]


class PackagedStream(BaseModel):
    """Names of the manifests, relative to the job's output folder, and of every file they mention with its size."""

    hls: str
    dash: str
    files: dict[str, int]


class StoreInput(BaseModel):
    job_id: UUID
    original: StoredSource
    source: Source
    plan: Plan
    packaged: PackagedStream
    video: list[EncodedTrack]
    scores: list[RenditionScore]
    warnings: list[str] = []


class Outcome(BaseModel):
    """How a job ended, for the log. `error` is set when it failed."""

    job_id: UUID
    status: JobStatus
    stage: Stage
    message: str
    error: JobError | None = None


class DiscardInput(BaseModel):
    job_id: UUID


class SweepInput(BaseModel):
    """Empty today; a field can be added without breaking the Schedule that carries it."""


class SweepResult(BaseModel):
    jobs_removed: int
    orphans_removed: int


__all__ = [
    "ChunkScores",
    "DiscardInput",
    "EncodeAudioInput",
    "EncodeChunkInput",
    "EncodedChunk",
    "Outcome",
    "PackageInput",
    "PackagedStream",
    "ProbeInput",
    "ProbedSource",
    "ProcessVideo",
    "ProcessVideoResult",
    "StoreInput",
    "StoredSource",
    "SweepInput",
    "SweepResult",
    "UploadInput",
    "ValidateChunkInput",
]
