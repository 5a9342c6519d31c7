"""Per-title encoding: what to look for in which pieces of a film, and which ladder follows from what was found.

A smaller rendition on the screen of its viewer is blown up to the source's size, and no number of bits brings back what
scaling took. So a target is a share of the best that its size can reach: 85 asks a 360p for 85 % of the VMAF that its
pictures have before they are encoded.
"""

from math import exp
from statistics import mean

import numpy as np

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.per_title import (
    LadderSearch,
    PerTitleResult,
    Probed,
    ProbedRendition,
    RateAndQuality,
    Rung,
    SearchedPlan,
)
from streamforge.contracts.media.plan import EncodePlan, PerTitleTarget, Plan, VideoRendition
from streamforge.contracts.media.source import VideoSource
from streamforge.planning.ladder import by_codec
from streamforge.planning.per_title.crf_search import CrfSearch
from streamforge.planning.per_title.samples import samples_of
from streamforge.quality.registry import METRIC
from streamforge.settings import CrfRanges, PerTitleSettings

BELOW_TARGET = 5.0
"""Points that a floor lies at least below what is aimed at: a film is not one scene."""

AS_MANY_BITS = 0.85
"""A rendition that needs more than this share of the bits of the next larger one helps nobody who cannot have that."""
FEW_BITS = 150_000
"""bit/s, what Apple's authoring specification has for the smallest rendition: nobody needs one below."""


# ── what to look for ────────────────────────────────────────────────────────────────────────────────────────────────
def per_title_target(
    video: VideoSource, renditions: list[VideoRendition], settings: PerTitleSettings
) -> PerTitleTarget | None:
    """None where nobody asked for it. Without samples where the film is too short for them to pay."""
    if not settings.enabled or not renditions:
        return None
    samples = samples_of(video, renditions, settings.max_cost)
    return PerTitleTarget(
        targets=_targets(renditions, settings.targets),
        crf=_ranges(renditions, settings.crf),
        drop_rungs=settings.drop_rungs,
        samples=samples.pieces,
        sample_seconds=samples.length,
        sample_every_frames=samples.step,
        cpu_seconds=samples.cpu_seconds,
    )


def _targets(renditions: list[VideoRendition], targets: list[float]) -> dict[str, float]:
    return {
        rendition.name: targets[min(position, len(targets) - 1)]
        for ladder in by_codec(renditions)
        for position, rendition in enumerate(ladder)
    }


def _ranges(renditions: list[VideoRendition], allowed: CrfRanges) -> dict[str, tuple[float, float]]:
    """Smaller renditions get no more bits than the fixed ladder gives them: for what a film full of detail would need to
    look good in a few lines, its viewers can have more lines that look better."""
    ranges = {}
    for ladder in by_codec(renditions):
        lowest, highest = getattr(allowed, ladder[0].codec)
        ranges[ladder[0].name] = (lowest, highest)
        for smaller in ladder[1:]:
            ranges[smaller.name] = (min(highest, max(lowest, float(smaller.options["crf"]))), highest)
    return ranges


def next_crf(rendition: VideoRendition, target: PerTitleTarget, probed: ProbedRendition) -> float | None:
    """Which CRF to probe; None when enough is known."""
    return _search(rendition, target, probed).next()


def _search(rendition: VideoRendition, target: PerTitleTarget, probed: ProbedRendition) -> CrfSearch:
    search = CrfSearch(
        target=target.targets[rendition.name],
        first=float(rendition.options["crf"]),
        bounds=target.crf[rendition.name],
        max_bitrate=rendition.max_bitrate,
        scale=CODECS[rendition.codec].crf_scale,
    )
    for probe in probed.probes:
        search.add(probe.model_copy(update={"vmaf": 100 * probe.vmaf / max(probed.best, 1.0)}))
    return search


def with_crf(rendition: VideoRendition, crf: float) -> VideoRendition:
    return rendition.model_copy(update={"options": rendition.options | {"crf": f"{crf:g}"}})


def sampled_bitrate(samples: EncodedTrack, gop_seconds: float) -> int:
    """bit/s of a film that is like its samples. A sample is shorter than a GOP, and its key frame would count for too
    much."""
    keys = [key.size_bytes for segment in samples.segments for key in segment.key_frames]
    others = sum(segment.size_bytes for segment in samples.segments) - sum(keys)
    seconds = sum(segment.duration_ticks for segment in samples.segments) / samples.timescale
    return round(8 * (mean(keys) / gop_seconds + others / seconds)) if keys else 0


# ── what follows from it ────────────────────────────────────────────────────────────────────────────────────────────
def searched_plan(plan: EncodePlan, target: PerTitleTarget, probed: Probed) -> SearchedPlan:
    """The ladder at the CRFs that were found, without the rungs that gain nothing, and what is to be told about it."""
    found = {rendition.name: rendition for rendition in probed.renditions}
    ladders = [
        _ladder(ladder[0].codec, [_rung(r, target, found[r.name]) for r in ladder], target.drop_rungs)
        for ladder in by_codec(plan.renditions)
    ]
    rungs = {rung.name: rung for ladder in ladders for rung in ladder.rungs if rung.dropped is None}
    return SearchedPlan(
        renditions=[with_crf(r, rungs[r.name].chosen.crf) for r in plan.renditions if r.name in rungs],
        floors={name: _floor(plan.quality.floors[name], rung.target) for name, rung in rungs.items()},
        per_title=PerTitleResult(sample_seconds=round(probed.sample_seconds, 2), ladders=ladders),
    )


def with_search_result(plan: Plan, searched: SearchedPlan) -> Plan:
    quality = plan.quality.model_copy(update={"floors": searched.floors})
    return plan.model_copy(update={"renditions": searched.renditions, "quality": quality})


def _floor(floor: float, target: float) -> float:
    """What is aimed at must not fail for being hit."""
    return round(max(0.0, min(floor, target - BELOW_TARGET)), 1)


def _rung(rendition: VideoRendition, target: PerTitleTarget, probed: ProbedRendition) -> Rung:
    search = _search(rendition, target, probed)
    chosen = search.at(search.crf)
    return Rung(
        name=rendition.name,
        target=round(target.targets[rendition.name] * probed.best / 100, 2),
        best=round(probed.best, 2),
        fixed=_rounded(probed.probes[0]),
        chosen=_rounded(chosen.model_copy(update={"vmaf": chosen.vmaf * probed.best / 100})),
        probes=len(probed.probes),
        limited_by=search.limited_by,
    )


def _rounded(probe: RateAndQuality) -> RateAndQuality:
    return probe.model_copy(update={"vmaf": round(probe.vmaf, 2)})


def _ladder(codec: str, rungs: list[Rung], drop_rungs: bool) -> LadderSearch:
    reasons = _gaining_nothing(rungs) if drop_rungs else {}
    kept = [rung for rung in rungs if rung.name not in reasons]
    return LadderSearch(
        codec=codec,
        rungs=[rung.model_copy(update={"dropped": reasons.get(rung.name)}) for rung in rungs],
        bits_saved=round(1 - sum(r.chosen.bitrate for r in kept) / max(1, sum(r.fixed.bitrate for r in rungs)), 3),
        bits_saved_at_equal_vmaf=bits_saved_at_equal_vmaf([r.fixed for r in rungs], [r.chosen for r in kept]),
    )


def _gaining_nothing(rungs: list[Rung]) -> dict[str, str]:
    """Why, by name. The largest stays: it is what the source is."""
    reasons: dict[str, str] = {}
    kept = rungs[:1]
    for rung in rungs[1:]:
        above = kept[-1]
        if above.chosen.bitrate <= FEW_BITS:
            reasons[rung.name] = f"{above.name} takes no more than {above.chosen.bitrate // 1000} kbit/s"
        elif rung.chosen.bitrate > AS_MANY_BITS * above.chosen.bitrate:
            share = rung.chosen.bitrate / above.chosen.bitrate
            reasons[rung.name] = f"it takes {share:.0%} of the bits of {above.name}, and shows less"
        else:
            if len(kept) > 1 and above.chosen.vmaf - rung.chosen.vmaf < METRIC.just_noticed:
                reasons[kept.pop().name] = f"{rung.name} looks the same, for fewer bits"
            kept.append(rung)
    return reasons


def with_final_scores(result: PerTitleResult | None, vmaf: dict[str, float]) -> PerTitleResult | None:
    """Beside what was predicted, what came out."""
    if result is None:
        return None
    ladders = [
        ladder.model_copy(
            update={"rungs": [rung.model_copy(update={"vmaf": vmaf.get(rung.name)}) for rung in ladder.rungs]}
        )
        for ladder in result.ladders
    ]
    return result.model_copy(update={"ladders": ladders})


def bits_saved_at_equal_vmaf(fixed: list[RateAndQuality], chosen: list[RateAndQuality]) -> float | None:
    """How many bits fewer the second ladder needs for the same VMAF, as a share of the first one's: Bjøntegaard's measure
    (ITU-T VCEG-M33) with straight lines between the rungs, which cannot overshoot. None where no VMAF is in both."""
    one, other = _frontier(fixed), _frontier(chosen)
    lowest = max(one[0].vmaf, other[0].vmaf)
    highest = min(one[-1].vmaf, other[-1].vmaf)
    if highest <= lowest:
        return None
    scores = np.linspace(lowest, highest, 200)
    logs = [
        np.interp(scores, [p.vmaf for p in points], np.log([max(1, p.bitrate) for p in points]))
        for points in (one, other)
    ]
    return round(1 - exp(float(np.mean(logs[1] - logs[0]))), 3)


def _frontier(points: list[RateAndQuality]) -> list[RateAndQuality]:
    """In order of quality, without those that others beat with fewer bits."""
    kept: list[RateAndQuality] = []
    for point in sorted(points, key=lambda point: (point.bitrate, -point.vmaf)):
        if not kept or point.vmaf > kept[-1].vmaf:
            kept.append(point)
    return kept
