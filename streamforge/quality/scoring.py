"""VMAF of a whole rendition from that of a few of its pictures.

Measuring every picture costs twice as much as encoding it. But most of what makes one picture score lower than the next
can be seen for next to nothing in all of them: how far the rendition is from the source, how much the picture moves, how
much detail it has. So the few measured scores are explained by these four with a straight line, and the line says what
the others have: a regression estimator (Cochran, Sampling Techniques, 3rd ed., ch. 7). On the films in
docs/performance.md it is three to five times as exact as the mean of the measured ones.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media.scores import (
    PartQuality,
    Passage,
    PictureLog,
    QualityScore,
    RenditionLog,
    RenditionScore,
)
from streamforge.contracts.media.source import VIDEO_TIMESCALE

Array: TypeAlias = NDArray[np.float64]

RIDGE = 1.0
"""Keeps a line through few points from following each of them."""
MOST_DEVIATIONS = 3.0
"""How far outside of what was measured the line is believed."""
SAMPLES_PER_FEATURE = 4
WORST_SECONDS = 5.0
NINETEEN_IN_TWENTY = 1.96


class ScoreBoard:
    """Takes what was measured in each part, in the order of the film, and knows the scores of all renditions."""

    def __init__(self) -> None:
        self._pieces: dict[str, list[_Pictures]] = {}

    def add(self, part: PartQuality) -> None:
        for log in part.renditions:
            self._pieces.setdefault(log.name, []).append(_pictures(part.pictures, log))

    def scores(self) -> list[RenditionScore]:
        """A rendition of which nothing was measured has none."""
        whole = {name: _joined(pieces) for name, pieces in self._pieces.items()}
        return [RenditionScore(name=name, vmaf=_pooled(all_)) for name, all_ in whole.items() if len(all_.measured)]


def mean_of(part: PartQuality, name: str) -> float | None:
    """The mean of one rendition in one part, by what was measured there alone. None when nothing was."""
    [pictures] = [_pictures(part.pictures, log) for log in part.renditions if log.name == name]
    return _pooled(pictures).mean if len(pictures.measured) else None


@dataclass(frozen=True)
class _Pictures:
    """Pictures of one rendition. `features` has a row for each; `measured` are the numbers of those with `scores`."""

    ticks: NDArray[np.int64]
    features: Array
    measured: NDArray[np.intp]
    scores: Array


def _pictures(seen: PictureLog, log: RenditionLog) -> _Pictures:
    measured = sorted(log.scores)
    columns = [
        np.log(np.asarray(log.error) + 0.1),
        np.log1p(_steady_motion(np.asarray(seen.motion))),
        np.asarray(seen.across),
        np.asarray(seen.down),
    ]
    return _Pictures(
        ticks=np.asarray(seen.ticks, dtype=np.int64),
        features=np.column_stack(columns),
        measured=np.array(measured, dtype=np.intp),
        scores=np.array([log.scores[number] for number in measured]),
    )


def _joined(pieces: list[_Pictures]) -> _Pictures:
    firsts = np.cumsum([0, *(len(piece.ticks) for piece in pieces)])
    return _Pictures(
        ticks=np.concatenate([piece.ticks for piece in pieces]),
        features=np.concatenate([piece.features for piece in pieces]),
        measured=np.concatenate([first + piece.measured for first, piece in zip(firsts, pieces, strict=False)]),
        scores=np.concatenate([piece.scores for piece in pieces]),
    )


def _steady_motion(motion: Array) -> Array:
    """VMAF's own motion is the smaller one of what leads to a picture and what leads away from it, so that a cut is no
    motion. What leads to a part's first picture is not known."""
    if len(motion) < 2:
        return np.zeros_like(motion)
    leads_to = np.concatenate([motion[1:2], motion[1:]])
    leads_away = np.append(leads_to[1:], leads_to[-1])
    smaller: Array = np.minimum(leads_to, leads_away)
    return smaller


def _pooled(pictures: _Pictures) -> QualityScore:
    values, margin = _completed(pictures)
    return QualityScore(
        mean=float(values.mean()),
        margin=margin,
        harmonic_mean=harmonic_mean(values),
        percentile_1=float(np.percentile(values, 1)),
        worst_5_seconds=_worst_passage(values, pictures.ticks / VIDEO_TIMESCALE),
        frames=len(values),
        frames_scored=len(pictures.measured),
    )


def _completed(pictures: _Pictures) -> tuple[Array, float]:
    """A score for every picture, and how far their mean may be off."""
    count, measured = len(pictures.ticks), pictures.measured
    if len(measured) == count:
        return pictures.scores, 0.0
    line, degrees = _line(pictures)
    off = pictures.scores - line[measured]
    # What the line does not explain stays with the pictures around: a scene is easier or harder than it looks.
    values = np.clip(line + off[_nearest(measured, count)], 0, 100)
    values[measured] = pictures.scores
    variance = float(off @ off) / max(1, len(measured) - degrees)
    return values, NINETEEN_IN_TWENTY * (variance / len(measured)) ** 0.5


def _line(pictures: _Pictures) -> tuple[Array, int]:
    """What the features say about each picture, and how many numbers were fitted for it. Few samples can only bear few
    features; the first one says the most."""
    bearable = min(pictures.features.shape[1], len(pictures.measured) // SAMPLES_PER_FEATURE)
    features = pictures.features[:, :bearable]
    known = features[pictures.measured]
    spread = known.std(axis=0) + 1e-9
    scaled = np.clip((features - known.mean(axis=0)) / spread, -MOST_DEVIATIONS, MOST_DEVIATIONS)
    level = pictures.scores.mean()
    sampled: Any = scaled[pictures.measured]
    slopes = np.linalg.solve(sampled.T @ sampled + RIDGE * np.eye(bearable), sampled.T @ (pictures.scores - level))
    line: Array = level + scaled @ slopes
    return line, 1 + bearable


def _nearest(measured: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """For each picture, which of the measured ones is the nearest."""
    borders = (measured[1:] + measured[:-1] + 1) // 2
    nearest: NDArray[np.intp] = np.searchsorted(borders, np.arange(count), side="right")
    return nearest


def _worst_passage(values: Array, seconds: Array) -> Passage:
    """The lowest mean of any WORST_SECONDS, or of the whole film when it is shorter."""
    begins = np.searchsorted(seconds, seconds[-1] - WORST_SECONDS, side="right")
    firsts = np.arange(max(1, begins))
    ends = np.searchsorted(seconds, seconds[firsts] + WORST_SECONDS) if begins else np.array([len(values)])
    sums = np.concatenate([[0.0], np.cumsum(values)])
    means = (sums[ends] - sums[firsts]) / (ends - firsts)
    worst = int(np.argmin(means))
    return Passage(mean=float(means[worst]), start=float(seconds[worst]), end=float(seconds[ends[worst] - 1]))


def harmonic_mean(values: Array) -> float:
    """As libvmaf pools it: of the scores plus one, so that a score of 0 does not erase all others."""
    return float(len(values) / np.sum(1 / (values + 1)) - 1)
