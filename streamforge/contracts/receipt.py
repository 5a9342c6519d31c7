"""What a job leaves beside its stream as `result.json`: where it came from, how it was made, and what every file must be."""

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from streamforge.contracts.job import AudioView, RenditionView, Stage
from streamforge.contracts.media.account import Account
from streamforge.contracts.media.encoded import StoredFile
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.scores import Repair
from streamforge.contracts.media.source import Source

RESULT = "result.json"
"""Its name in a job's output folder. The last file that is written, and the only one that it does not list."""


class StageTime(BaseModel):
    stage: Stage
    began_at: datetime
    seconds: float


class SourceReceipt(BaseModel):
    sha256: str
    size_bytes: int
    found: Source = Field(description="by the probe")


class RenditionReceipt(RenditionView):
    encoders: dict[str, int] = Field(description="which encoders were used, by FFmpeg's names, and for how many chunks")
    options: dict[str, str] = Field(description="what the encoder was told; a repaired chunk had a lower crf")
    size_bytes: int
    segments: int


class AudioReceipt(AudioView):
    size_bytes: int
    segments: int


class Receipt(BaseModel):
    """`retries` counts by activity how often one was tried again; what never was is not there."""

    job_id: UUID
    created_at: datetime
    versions: dict[str, str] = Field(description="of the parts on the worker that wrote this")
    source: SourceReceipt
    plan: Plan
    renditions: list[RenditionReceipt]
    audio: list[AudioReceipt]
    stages: list[StageTime]
    retries: dict[str, int]
    repairs: list[Repair]
    repair_count: int
    account: Account = Field(Account(), description="what went in and what came out, as in the result")
    warnings: list[str]
    files: dict[str, StoredFile] = Field(description="every other file of the folder, by its name in it")
