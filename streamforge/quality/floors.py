"""What scores are asked for, and judging a rendition by it. How scores are made from samples: streamforge.quality.scoring.

Scores are measured at the source's resolution, so a small rendition is judged for being small, too: a good 360p of a
1080p source has a VMAF of about 78. `validation.min_score` therefore judges a rendition of
the source's own size; smaller ones have floors that fall with their share of its height.
"""

from math import floor

from streamforge.contracts.media.plan import QualityTarget, VideoRendition
from streamforge.contracts.media.scores import Passage, QualityScore, RenditionScore
from streamforge.contracts.media.source import VideoSource
from streamforge.quality.registry import METRIC
from streamforge.settings import ValidationSettings

USUAL_SAMPLES = 22
DENSEST = 7
"""Of each sample three frames are needed; below this, sampling costs about as much as measuring every frame."""
SHORT = 48
"""A video of no more frames is measured whole: that takes a second."""

FLOOR_AT_NOTHING = 0.35
"""A rendition of height → 0 would need this share of min_score; in between the floor is linear in the height's share."""


def quality_target(renditions: list[VideoRendition], video: VideoSource, settings: ValidationSettings) -> QualityTarget:
    return QualityTarget(
        enabled=settings.enabled,
        floors={r.name: _floor(min(1.0, r.height / video.height), settings.min_score) for r in renditions},
        failure_is_fatal=settings.on_failure == "fail",
        sample_every_frames=_sampling_step(video.frame_count, settings.sample_every_frames),
        max_repairs=settings.max_repairs,
    )


def no_quality() -> QualityTarget:
    """Where there are no pictures to look at."""
    return QualityTarget(enabled=False, floors={}, failure_is_fatal=False, sample_every_frames=1)


def _sampling_step(frames: int, most: int) -> int:
    """Every how many frames one is measured: the setting for long films, more often for short ones, whose few samples
    would say little. Odd, because encoders repeat themselves every two, four or eight frames, and an even step would
    look at one kind of frame only."""
    if most < DENSEST or frames <= SHORT:
        return 1
    step = min(most, max(DENSEST, frames // USUAL_SAMPLES))
    return step + 1 - step % 2


def _floor(share_of_height: float, min_score: float) -> float:
    return round(min_score * (FLOOR_AT_NOTHING + (1 - FLOOR_AT_NOTHING) * share_of_height), 1)


def rounded(score: QualityScore) -> QualityScore:
    """As the world sees it: to two digits, and times to the millisecond."""
    worst = score.worst_5_seconds
    return QualityScore(
        mean=round(score.mean, 2),
        margin=round(score.margin, 2),
        harmonic_mean=round(score.harmonic_mean, 2),
        percentile_1=round(score.percentile_1, 2),
        worst_5_seconds=Passage(mean=round(worst.mean, 2), start=round(worst.start, 3), end=round(worst.end, 3)),
        frames=score.frames,
        frames_scored=score.frames_scored,
    )


def below_floor(scores: list[RenditionScore], target: QualityTarget) -> list[str]:
    """One phrase for each rendition that is not good enough; empty when all are."""
    return [
        f"{score.name} has {METRIC.label} {_rounded_down(score.vmaf.mean):.1f}, its floor is {target.floors[score.name]:.1f}"
        for score in scores
        if score.vmaf.mean < target.floors[score.name]
    ]


def _rounded_down(mean: float) -> float:
    """To one digit: a mean of 79.96 must not be told as the 80.0 that it missed."""
    return floor(mean * 10) / 10
