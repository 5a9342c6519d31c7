"""Per-title encoding: what to look for in which pieces of a film, and which ladder follows from what was found.

A smaller rendition on the screen of its viewer is blown up to the source's size, and no number of bits brings back what
scaling took. So a target is a share of the best that its size can reach: 85 asks a 360p for 85 % of the VMAF that its
pictures have before they are encoded.
"""

from collections.abc import Sequence
from itertools import groupby
from math import exp, log

import numpy as np

from streamforge.contracts.media import Chunk, PerTitleTarget, Plan, VideoRendition, VideoSource
from streamforge.contracts.per_title import (
    LadderSearch,
    PerTitleResult,
    Probed,
    ProbedRendition,
    RateAndQuality,
    Rung,
    SearchedPlan,
)
from streamforge.planning.crf_search import SCALES, CrfSearch
from streamforge.settings import PerTitleSettings

COST_OF_SAMPLES = 3.4
"""CPU of the search for each second of samples ÷ that of the encode for each second of film: two probes, more pictures
measured in each, and decoding and starting for little."""
MOST_SECONDS = 8.0
"""Of samples, however long the film: viewers wait for the search."""
FEWEST_PICTURES = 20
"""In all samples together; from fewer nothing can be learnt."""
MOST_SAMPLES = 5
USUAL_SECONDS = 0.6
"""Of a sample, until there are MOST_SAMPLES; then they grow."""
MEASURED_IN_A_SAMPLE = 4

BELOW_TARGET = 5.0
"""VMAF that a floor lies at least below what is aimed at: a film is not one scene."""

JUST_NOTICED = 2.0
"""VMAF; a third of what viewers are said to notice. Closer ones look the same."""
AS_MANY_BITS = 0.85
"""A rendition that needs more than this share of the bits of the next larger one helps nobody who cannot have that."""
FEW_BITS = 150_000
"""bit/s, what Apple's authoring specification has for the smallest rendition: nobody needs one below."""


# ── what to look for ────────────────────────────────────────────────────────────────────────────────────────────────
def per_title_target(
    video: VideoSource, renditions: list[VideoRendition], settings: PerTitleSettings
) -> PerTitleTarget | None:
    """None where nobody asked for it. Without samples where the film is too short for them to pay."""
    if not settings.enabled:
        return None
    samples = _samples(video, settings.max_cost)
    return PerTitleTarget(
        targets=_targets(renditions, settings.targets),
        crf=dict(settings.crf),
        drop_rungs=settings.drop_rungs,
        samples=samples,
        sample_every_frames=_sampling_step(samples),
    )


def _targets(renditions: list[VideoRendition], targets: list[float]) -> dict[str, float]:
    return {
        rendition.name: targets[min(position, len(targets) - 1)]
        for _, ladder in ladders(renditions)
        for position, rendition in enumerate(ladder)
    }


def ladders(renditions: list[VideoRendition]) -> list[tuple[str, list[VideoRendition]]]:
    """The renditions of each codec, in the order of the plan."""
    codecs = dict.fromkeys(rendition.codec for rendition in renditions)
    return [(codec, [r for r in renditions if r.codec == codec]) for codec in codecs]


def _samples(video: VideoSource, max_cost: float) -> list[Chunk]:
    total = min(MOST_SECONDS, video.duration * max_cost / COST_OF_SAMPLES)
    if not video.seekable or total * video.frame_rate < FEWEST_PICTURES:
        return []
    count = min(MOST_SAMPLES, max(2, int(total / USUAL_SECONDS)))
    length = total / count
    starts = sorted({_start(video, position / count, 1 / count) for position in _middles(count)})
    return [_sample(index, start, length, video) for index, start in enumerate(starts)]


def _middles(count: int) -> list[float]:
    return [position + 0.5 for position in range(count)]


def _sample(index: int, start: float, length: float, video: VideoSource) -> Chunk:
    return Chunk(index=index, start=start, end=start + length, expected_frames=max(1, round(length * video.frame_rate)))


def _start(video: VideoSource, share: float, apart: float) -> float:
    """The key frame closest to a share of the film, within its neighbourhood: behind one nothing is decoded in vain."""
    wanted, reach = video.duration * share, video.duration * apart / 2
    keys = (ticks / VIDEO_TIMESCALE for ticks in video.key_frame_ticks)
    nearest = min(keys, key=lambda key: abs(key - wanted), default=wanted)
    return nearest if abs(nearest - wanted) <= reach else wanted


def _sampling_step(samples: list[Chunk]) -> int:
    """Odd, and at least 3, as in streamforge.planning.quality."""
    pictures = min((sample.expected_frames for sample in samples), default=0)
    step = max(3, pictures // MEASURED_IN_A_SAMPLE)
    return step - 1 + step % 2


def search_of(rendition: VideoRendition, target: PerTitleTarget) -> CrfSearch:
    return CrfSearch(
        target=target.targets[rendition.name],
        first=float(rendition.options["crf"]),
        bounds=target.crf[rendition.codec],
        max_bitrate=rendition.max_bitrate,
        scale=SCALES[rendition.codec],
    )


def with_crf(rendition: VideoRendition, crf: float) -> VideoRendition:
    return rendition.model_copy(update={"options": rendition.options | {"crf": f"{crf:g}"}})
