"""What there is to say of a quality metric. The one that is measured stands in streamforge.quality.registry; nothing else in
StreamForge asks which it is.

Scores go from 0 to 100, more is better, and compare a rendition with its source at the source's size. In answers of the
API, in work records and receipts they stand in fields called `vmaf`, whose names are a promise.
"""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar


class Metric(ABC):
    """A full-reference metric that a filter of FFmpeg measures. Implementations have no state."""

    name: ClassVar[str]
    label: ClassVar[str]
    """As people are told of it."""

    filter_name: ClassVar[str]
    """Of FFmpeg; takes the rendition, then the source."""

    lead: ClassVar[int]
    """Pictures before and behind a measured one that its score depends on: they go along with a sample."""

    pixels_per_second: ClassVar[float]
    """At the source's size, per CPU second."""

    price_of_lead: ClassVar[float]
    """What a sample with its neighbours costs, as a multiple of one picture."""

    points_per_crf: ClassVar[float]
    """What one step of x264's CRF brings around 70 to 90; less above, more below."""

    just_noticed: ClassVar[float]
    """Scores that are closer than this look the same."""

    @abstractmethod
    def model(self, width: int, height: int) -> str:
        """By what pictures of this size are judged."""

    @abstractmethod
    def filter(self, width: int, height: int, log: str, every: int = 1) -> str:
        """The filter with its options: it measures each `every`-th picture from the first one on, and writes what it found
        to the file `log`, which is quoted for a filter graph already."""

    @abstractmethod
    def scores(self, log: Path) -> list[float]:
        """What the filter has written: one score for each measured picture, in order."""
