"""When will it be ready: how long a job still takes, and how sure that is, by what jobs took on this machine."""

import bisect
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from streamforge.contracts.job import Stage
from streamforge.progress.bands import BANDS

WORKING = (Stage.TRANSCODING, Stage.VALIDATION, Stage.PACKAGING, Stage.STORAGE)
LEAST_SHARE = 0.02
"""Of the work, before which an extrapolation says more about start-up than about the video."""
FEW_JOBS = 5
"""With fewer to learn from, the shares below and a wide interval are more honest."""
USUAL_SHARES: Mapping[Stage, float] = {
    Stage.TRANSCODING: 0.66,
    Stage.VALIDATION: 0.30,
    Stage.PACKAGING: 0.02,
    Stage.STORAGE: 0.02,
}
"""Of the time of a job; docs/performance.md has them. What a machine has measured takes their place."""
UNSURE = 2.0
COVERAGE = 0.8
ASKED = 40
"""Moments of each past job from which is learnt how far off an estimate is."""
NEIGHBOURS = 60
"""Past moments at about the same share of the work, of which the interval is made."""


@dataclass(frozen=True)
class Moment:
    """How far a job was, and when."""

    stage: Stage
    progress: int
    at: datetime


@dataclass(frozen=True)
class PastJob:
    """A completed job, from its first frame; its moments in order."""

    began_at: datetime
    completed_at: datetime
    moments: Sequence[Moment]


@dataclass(frozen=True)
class Eta:
    """Seconds until the job is completed; in four of five cases between `low` and `high`."""

    seconds: float
    low: float
    high: float


@dataclass(frozen=True)
class EtaModel:
    """How the time of a job divides among its stages, and how far past extrapolations with these shares were off.

    An extrapolation is a straight line through what was done so far, in shares of time instead of percent of progress:
    half an hour for two thirds of the work makes a quarter of an hour for the rest. `misses` are the logarithms of what
    really remained ÷ what was extrapolated, of many moments of past jobs, sorted by the share that was done: those around
    the present share tell by how much to correct, and how wide the interval must be to hold as often as it says.
    """

    shares: Mapping[Stage, float]
    jobs: int = 0
    misses: Sequence[tuple[float, float]] = ()

    @classmethod
    def of(cls, past: Sequence[PastJob]) -> "EtaModel":
        if len(past) < FEW_JOBS:
            return cls(USUAL_SHARES)
        line = cls(_shares(past))
        return cls(line.shares, len(past), sorted(miss for job in past for miss in line._misses_of(job)))

    def estimate(self, stage: Stage, progress: int, began_at: datetime, now: datetime) -> Eta | None:
        """None while there is too little to go by."""
        done = self._done(stage, progress)
        if done < LEAST_SHARE:
            return None
        line = self._remaining(done, (now - began_at).total_seconds())
        low, middle, high = self._factors(done)
        # Rounded outwards: for the last seconds of a job a tenth is much.
        return Eta(round(line * middle, 1), math.floor(line * low * 10) / 10, math.ceil(line * high * 10) / 10)

    def _done(self, stage: Stage, progress: int) -> float:
        """The share of the time of a whole job that lies behind one that is so far."""
        if stage is Stage.COMPLETED:
            return 1.0
        if stage not in WORKING:
            return 0.0
        low, high = BANDS[stage]
        within = min(1.0, max(0, progress - low) / (high - low))
        before = sum(self.shares[each] for each in WORKING[: WORKING.index(stage)])
        return before + self.shares[stage] * within

    def _remaining(self, done: float, elapsed: float) -> float:
        return max(0.0, elapsed) * (1 - done) / done

    def _factors(self, done: float) -> tuple[float, float, float]:
        if not self.misses:
            return 1 / UNSURE, 1.0, UNSURE
        middle = bisect.bisect(self.misses, (done, 0.0))
        begin = max(0, min(middle - NEIGHBOURS // 2, len(self.misses) - NEIGHBOURS))
        near = sorted(miss for _, miss in self.misses[begin : begin + NEIGHBOURS])
        tail = self._tail()
        return math.exp(_quantile(near, tail)), math.exp(median(near)), math.exp(_quantile(near, 1 - tail))

    def _tail(self) -> float:
        """The share of past misses beyond each end of the interval. Moments of one job are much alike, so it is jobs that
        count: of few, the farthest of all is no farther than the interval has to reach."""
        beyond = math.floor((1 - COVERAGE) / 2 * (self.jobs + 1))
        return max(0.0, beyond - 0.5) / self.jobs

    def _misses_of(self, job: PastJob) -> list[tuple[float, float]]:
        """As if somebody had asked at even intervals: also between two events, when the latest word is an old one."""
        found, whole = [], (job.completed_at - job.began_at).total_seconds()
        times = [(moment.at - job.began_at).total_seconds() for moment in job.moments]
        for asked in range(1, ASKED):
            elapsed = whole * asked / ASKED
            told = bisect.bisect(times, elapsed)
            if told:
                latest = job.moments[told - 1]
                done = self._done(latest.stage, latest.progress)
                if LEAST_SHARE <= done < 1 and elapsed > 0:
                    found.append((done, math.log((whole - elapsed) / self._remaining(done, elapsed))))
        return found


def _shares(past: Sequence[PastJob]) -> Mapping[Stage, float]:
    """The median over jobs of the share that each stage had; together they are one."""
    each = [_stage_seconds(job) for job in past]
    shares = {stage: median(seconds[stage] / max(sum(seconds.values()), 1e-9) for seconds in each) for stage in WORKING}
    whole = sum(shares.values()) or 1.0
    return {stage: share / whole for stage, share in shares.items()}


def _stage_seconds(job: PastJob) -> dict[Stage, float]:
    """From a stage's first moment to the next one's."""
    begins = {Stage.TRANSCODING: job.began_at}
    for moment in job.moments:
        begins.setdefault(moment.stage, moment.at)
    seconds, end = {}, job.completed_at
    for stage in reversed(WORKING):
        begin = begins.get(stage, end)
        seconds[stage] = max(0.0, (end - begin).total_seconds())
        end = begin
    return seconds


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[round(share * (len(ordered) - 1))]
