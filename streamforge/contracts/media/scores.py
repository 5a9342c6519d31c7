"""What is seen of pictures while they are encoded, and the VMAF scores that follow from it.

Series hold one number for each picture and travel as base64 of 32-bit floats: a film of twelve hours has a million
pictures in each of six renditions.
"""

from array import array
from base64 import b64decode, b64encode
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, PlainSerializer

FLOATS, INTEGERS = "f", "q"


def _packed(typecode: str) -> PlainSerializer:
    return PlainSerializer(lambda values: b64encode(array(typecode, values).tobytes()).decode(), return_type=str)


def _unpacked(typecode: str) -> BeforeValidator:
    def unpack(value: Any) -> Any:
        return array(typecode, b64decode(value, validate=True)).tolist() if isinstance(value, str) else value

    return BeforeValidator(unpack)


Series = Annotated[list[float], _unpacked(FLOATS), _packed(FLOATS)]
Ticks = Annotated[list[int], _unpacked(INTEGERS), _packed(INTEGERS)]


class PictureLog(BaseModel):
    """What the source's pictures of one part look like, in the order of their presentation. All but `ticks` are mean
    absolute differences of luma, in steps of 8 bits: between neighbours in a row, neighbours in a column, and to the
    picture before."""

    ticks: Ticks
    across: Series
    down: Series
    motion: Series


class RenditionLog(BaseModel):
    """What became of the same pictures in one rendition. `error` is the mean squared error of luma at the rendition's
    own size; `scores` holds the VMAF of those pictures that were measured, by their number in the part."""

    name: str
    error: Series
    scores: dict[int, float]


class Repair(BaseModel):
    """A chunk of one rendition that was below its floor and was encoded again. `vmaf_before` and `vmaf_after` are the
    chunk's means; the better one was kept."""

    rendition: str
    start: float
    end: float | None
    crf: float
    vmaf_before: float
    vmaf_after: float


class PartQuality(BaseModel):
    """Everything that is known about the quality of one part of a chunk."""

    pictures: PictureLog
    renditions: list[RenditionLog]
    repairs: list[Repair] = []


class Passage(BaseModel):
    """A stretch of the film, in seconds from its start."""

    mean: float
    start: float
    end: float


class QualityScore(BaseModel):
    """VMAF of one rendition against the source, at the source's resolution, 0–100."""

    mean: float
    margin: float = Field(
        description="The mean of all pictures lies within ± this, 19 times out of 20; 0 when all were measured"
    )
    harmonic_mean: float
    percentile_1: float = Field(description="One picture in a hundred is worse")
    worst_5_seconds: Passage
    frames: int
    frames_scored: int


class RenditionScore(BaseModel):
    name: str
    vmaf: QualityScore
