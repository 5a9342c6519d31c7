"""Which pictures of a chunk are measured.

Where a metric looks at the pictures before and behind the one that it scores, as VMAF does for motion, a sampled picture
takes its neighbours along, and its score is exactly the one that it has when all pictures are measured. Leaving them out
would make scores of VMAF 3 to 7 points too high.
"""

from dataclasses import dataclass

from streamforge.quality.registry import METRIC


@dataclass(frozen=True)
class Sampling:
    """Every `step`-th picture is measured; all of them when `step` is 1. Otherwise `step` is at least 3."""

    step: int

    @property
    def lead(self) -> int:
        """Pictures that are needed before and behind a measured one."""
        return 0 if self.step == 1 else METRIC.lead

    def measures(self, number: int) -> bool:
        """Picture `number` of the chunk, from 0. The first one has nothing before it, and is never sampled."""
        return number % self.step == self.step // 2

    def needs(self, number: int) -> list[int]:
        """The measured pictures for which picture `number` is needed, itself included."""
        return [n for n in range(number - self.lead, number + self.lead + 1) if n >= 0 and self.measures(n)]
