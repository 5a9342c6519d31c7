"""Per-title encoding: what is searched for, what the probes said, and what came of it.

VMAF is that of the whole pipeline, at the source's resolution. Bit rates are in bit/s, estimated from the samples.
"""

from pydantic import BaseModel, Field

from streamforge.contracts.media.plan import VideoRendition


class RateAndQuality(BaseModel):
    """One CRF of one rendition, over all samples."""

    crf: float
    vmaf: float
    bitrate: int


class ProbedRendition(BaseModel):
    """What was measured of one rendition, in the order of the probes: the first is the CRF of the fixed ladder.

    `best` is the VMAF of its pictures before they are encoded: what scaling alone leaves, 100 where nothing is scaled.
    """

    name: str
    best: float
    probes: list[RateAndQuality]


class Probed(BaseModel):
    """Everything that a search measured; kept in the store under the hash of the source."""

    renditions: list[ProbedRendition]
    sample_seconds: float


class Rung(BaseModel):
    """One rendition as the search left it. `dropped` says why it is not encoded; null when it is."""

    name: str
    target: float = Field(description="VMAF that was asked of it, at the source's resolution")
    best: float = Field(description="VMAF that its size can reach with any number of bits")
    fixed: RateAndQuality = Field(description="as the fixed ladder would have it, measured")
    chosen: RateAndQuality = Field(description="predicted from the probes around it")
    probes: int = Field(description="how many CRFs were tried")
    limited_by: str | None = Field(
        None, description="`bitrate`, its ceiling, or `crf`, the range allowed, where that keeps it from its target"
    )
    dropped: str | None = None
    vmaf: float | None = Field(None, description="of what was encoded in the end; null without validation")


class LadderSearch(BaseModel):
    """The renditions of one codec, largest first.

    `bits_saved` is the share of the fixed ladder's bits that is not spent. `bits_saved_at_equal_vmaf` compares like
    with like: how many bits fewer this ladder needs for the VMAF that the fixed one has, on average over the range that
    both have (Bjøntegaard's measure, between ladders); null where they have none in common.
    """

    codec: str
    rungs: list[Rung]
    bits_saved: float
    bits_saved_at_equal_vmaf: float | None


class PerTitleResult(BaseModel):
    """In the job's result. Bits are estimates over `sample_seconds` of the film."""

    sample_seconds: float
    ladders: list[LadderSearch]


class SearchedPlan(BaseModel):
    """What a search changes in the plan, and what it tells."""

    renditions: list[VideoRendition]
    floors: dict[str, float]
    per_title: PerTitleResult
