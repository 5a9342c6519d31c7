"""Whether what was sampled for hours is flat: a line through it, and how much it rises from end to end."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import linear_regression, median

WARM_UP = 1 / 3
"""Of the time: pools fill, caches warm, and what is imported late is imported."""
MEASURES = ("memory_bytes", "descriptors", "threads", "disk_bytes")
MAY_GROW_BY = {"memory_bytes": 8 * 2**20, "descriptors": 4, "threads": 2, "disk_bytes": 8 * 2**20}
"""From the end of the warm-up to the end of the run, or a twentieth of it all: whichever is more."""
SHARE = 1 / 20
GROWS_WITH_JOBS = {("Temporal", "disk_bytes")}
"""Temporal keeps what it knows of a workflow for a day, so its file grows all that day."""


@dataclass(frozen=True)
class Sample:
    """One part of `up` with all its processes. `disk_bytes`: of the database it keeps, 0 for the others."""

    seconds: float
    part: str
    memory_bytes: int
    descriptors: int
    threads: int
    disk_bytes: int


@dataclass(frozen=True)
class Growth:
    """`rise`: of the fitted line, between the end of the warm-up and the end."""

    part: str
    measure: str
    middle: float
    rise: float
    is_bounded: bool = True

    @property
    def is_flat(self) -> bool:
        return not self.is_bounded or self.rise <= max(MAY_GROW_BY[self.measure], SHARE * self.middle)

    def __str__(self) -> str:
        verdict = ("flat" if self.is_flat else "GROWS") if self.is_bounded else "grows with jobs, for a day"
        return f"{self.part:<12} {self.measure:<13} {self.middle:>15,.0f} {self.rise:>+14,.0f}   {verdict}"


def growths(samples: Sequence[Sample]) -> list[Growth]:
    """Of every measure of every part. Raises ValueError where there is too little to draw a line through."""
    warm = max(sample.seconds for sample in samples) * WARM_UP
    settled = [sample for sample in samples if sample.seconds >= warm]
    parts = dict.fromkeys(sample.part for sample in settled)
    return [
        _growth(part, measure, [sample for sample in settled if sample.part == part])
        for part in parts
        for measure in MEASURES
    ]


def _growth(part: str, measure: str, samples: Sequence[Sample]) -> Growth:
    if len(samples) < 2:
        raise ValueError(f"{part} was seen less than twice after the warm-up")
    seconds = [sample.seconds for sample in samples]
    values = [float(getattr(sample, measure)) for sample in samples]
    slope = linear_regression(seconds, values).slope
    rise = slope * (seconds[-1] - seconds[0])
    return Growth(part, measure, median(values), rise, (part, measure) not in GROWS_WITH_JOBS)
