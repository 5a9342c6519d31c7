"""What VMAF scores mean: combining those of chunks, and judging a rendition by them.

VMAF is measured at the source's resolution, so a small rendition is judged for being small, too: a good 360p of a
1080p source scores about 78. `validation.min_score` therefore judges the top rendition; lower ones have floors that
fall with their share of the source's height.
"""

from math import floor

from streamforge.contracts.media import QualityTarget, RenditionScore, VideoRendition, VideoSource
from streamforge.settings import ValidationSettings

FEWEST_SAMPLES = 30
DENSEST = 9
"""Below this, sampling costs about as much as measuring every frame."""

FLOOR_AT_NOTHING = 0.35
"""A rendition of height → 0 would need this share of min_score; in between the floor is linear in the height's share."""


def quality_target(renditions: list[VideoRendition], video: VideoSource, settings: ValidationSettings) -> QualityTarget:
    top = renditions[0]
    return QualityTarget(
        enabled=settings.enabled,
        floors={r.name: _floor(r.height / top.height, settings.min_score) for r in renditions},
        failure_is_fatal=settings.on_failure == "fail",
        sample_every_frames=_sampling_step(video.frame_count, settings.sample_every_frames),
    )


def _sampling_step(frames: int, most: int) -> int:
    """Every how many frames a pair is compared: the setting for long films, more often for short ones, whose few samples
    would say little. Odd, because encoders repeat themselves every two, four or eight frames, and an even step would
    look at one kind of frame only."""
    if most <= DENSEST:
        return most
    step = min(most, max(DENSEST, frames // FEWEST_SAMPLES))
    return step + 1 - step % 2


def _floor(share_of_height: float, min_score: float) -> float:
    return round(min_score * (FLOOR_AT_NOTHING + (1 - FLOOR_AT_NOTHING) * share_of_height), 1)


def combine(chunk_scores: list[list[RenditionScore]]) -> list[RenditionScore]:
    """Scores of whole renditions from those of their chunks, weighted by the frames that were scored."""
    by_name: dict[str, list[RenditionScore]] = {}
    for scores in chunk_scores:
        for score in scores:
            by_name.setdefault(score.name, []).append(score)
    return [_combine_one(name, scores) for name, scores in by_name.items()]


def _combine_one(name: str, scores: list[RenditionScore]) -> RenditionScore:
    frames = sum(score.frames_scored for score in scores)
    worst = min(scores, key=lambda score: score.worst)
    return RenditionScore(
        name=name,
        mean=sum(score.mean * score.frames_scored for score in scores) / frames,
        harmonic_mean=frames / sum(score.frames_scored / (score.harmonic_mean + 1) for score in scores) - 1,
        worst=worst.worst,
        worst_at=worst.worst_at,
        frames_scored=frames,
    )


def harmonic_mean(values: list[float]) -> float:
    """As libvmaf pools it: of the scores plus one, so that a score of 0 does not erase all others."""
    return len(values) / sum(1 / (value + 1) for value in values) - 1


def below_floor(scores: list[RenditionScore], target: QualityTarget) -> list[str]:
    """One phrase for each rendition that is not good enough; empty when all are."""
    return [
        f"{score.name} has VMAF {_rounded_down(score.mean):.1f}, its floor is {target.floors[score.name]:.1f}"
        for score in scores
        if score.mean < target.floors[score.name]
    ]


def _rounded_down(mean: float) -> float:
    """To one digit: a mean of 79.96 must not be told as the 80.0 that it missed."""
    return floor(mean * 10) / 10
