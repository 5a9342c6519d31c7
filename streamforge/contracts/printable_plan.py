"""The plan of a job as a person reads it: what `streamforge plan` and `POST /process?dry_run=true` show."""

from pydantic import BaseModel, Field

from streamforge.contracts.media.plan import PerTitleTarget, QualityTarget
from streamforge.contracts.media.source import Source


class PlannedRendition(BaseModel):
    name: str
    width: int
    height: int
    codec: str
    max_bitrate: int = Field(description="bit/s, the ceiling; quality decides how much of it is used")
    encoder: str
    options: dict[str, str] = Field(description="exactly what the encoder is told, by FFmpeg's names")


class PlannedAudio(BaseModel):
    name: str
    codec: str
    bitrate: int
    sample_rate: int
    channels: int
    language: str | None = None


class PlannedChunks(BaseModel):
    count: int
    first_seconds: float
    longest_seconds: float
    starts: list[float] = Field(description="seconds from the first picture")


class Prediction(BaseModel):
    """Orders of magnitude: nearly all videos lie between each number divided and multiplied by `uncertainty`."""

    cpu_seconds: float
    wall_seconds: float = Field(description="on `cores` cores with nothing else to do")
    output_bytes: int
    cores: int
    uncertainty: float


class PrintablePlan(BaseModel):
    source: Source
    renditions: list[PlannedRendition]
    audio: list[PlannedAudio]
    chunks: PlannedChunks
    quality: QualityTarget
    per_title: PerTitleTarget | None = Field(None, description="null where the ladder is a fixed one")
    prediction: Prediction
    warnings: list[str] = []
