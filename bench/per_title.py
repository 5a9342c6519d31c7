"""Per-title encoding against the fixed ladder on five videos of very different kinds: bits at equal VMAF, and what the
search costs. All bits and scores are those of whole encodes, not of samples.

At equal VMAF in two ways. Ladder against ladder: what each spends for the same VMAF, whatever rung it comes from. And
largest rendition against one CRF for all videos that gives none of them a lower VMAF than per-title encoding does: what
a fixed ladder has to be set to.
"""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from bench import clips, report
from bench.cpu import tree_cpu
from streamforge.codecs.registry import CODECS
from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.per_title import LadderSearch, RateAndQuality
from streamforge.contracts.media.plan import EncodePlan, Plan, VideoRendition
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import EncodeTask, SearchTask
from streamforge.local import planned
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging.presentation import average_bitrate, joined
from streamforge.planning.per_title.crf_search import CrfSearch
from streamforge.planning.per_title.search import bits_saved_at_equal_vmaf, searched_plan, with_search_result
from streamforge.quality.scoring import ScoreBoard
from streamforge.settings import Settings

BAR_COST = 0.3
SETTINGS = Settings.model_validate(
    # A rung more than usual, so that the camera's 360p has a ladder, too.
    {"per_title": {"enabled": True}, "transcode": {"heights": [1080, 720, 480, 360, 240]}}
)


@dataclass(frozen=True)
class Encoded:
    """What a ladder came to, by the names of its renditions, and the CPU seconds that it took."""

    rungs: dict[str, RateAndQuality]
    cpu: float

    @property
    def bitrate(self) -> int:
        return sum(rung.bitrate for rung in self.rungs.values())


@dataclass(frozen=True)
class Compared:
    fixed: Encoded
    chosen: Encoded
    search: LadderSearch
    search_cpu: float
    max_bitrate: int

    @property
    def top(self) -> RateAndQuality:
        return self.chosen.rungs[self.search.rungs[0].name]

    def top_at(self, crf: float) -> RateAndQuality:
        """The largest rendition at another CRF, from the two at which it was encoded; at most what its ceiling allows."""
        name = self.search.rungs[0].name
        curve = CrfSearch(0, crf, (crf, crf), self.max_bitrate, CODECS[self.search.codec].crf_scale)
        for point in {point.crf: point for point in (self.fixed.rungs[name], self.top)}.values():
            curve.add(point)
        point = curve.at(crf)
        return point.model_copy(update={"bitrate": min(point.bitrate, max(self.max_bitrate, self.top.bitrate))})

    @property
    def saved_at_equal_vmaf(self) -> float | None:
        return bits_saved_at_equal_vmaf(list(self.fixed.rungs.values()), list(self.chosen.rungs.values()))


def main() -> None:
    report.machine()
    videos = [clips.bunny(), clips.BOTTLES, clips.full_hd(), clips.cuts(), clips.gradients()]
    results = [asyncio.run(_compare(video)) for video in videos]
    saved = [equal for result in results if (equal := result.saved_at_equal_vmaf) is not None]
    fixed, chosen = (
        sum(one.bitrate for one in side) for side in ([r.fixed for r in results], [r.chosen for r in results])
    )
    report.number(f"bits saved at equal VMAF, ladders, mean of {len(saved)}", 100 * mean(saved), "%")
    crf = min(result.top.crf for result in results if result.search.rungs[0].limited_by is None)
    against = [1 - result.top.bitrate / result.top_at(crf).bitrate for result in results]
    report.number(f"bits saved against CRF {crf:g} for all, largest, mean of {len(against)}", 100 * mean(against), "%")
    report.number("bits saved, all ladders together", 100 * (1 - chosen / fixed), "%")
    report.number("farthest of a top rendition from its target", max(_off_target(r) for r in results), "VMAF")
    report.number("dearest search ÷ encode", max(r.search_cpu / r.fixed.cpu for r in results), "", bar=BAR_COST)


def _off_target(result: Compared) -> float:
    """Where a limit kept it from its target, from what the search said of it."""
    top = result.search.rungs[0]
    aim = top.chosen.vmaf if top.limited_by else top.target
    return abs(result.top.vmaf - aim)


async def _compare(video: Path) -> Compared:
    source, plan = await planned(video, SETTINGS)
    async with MediaChildren.of(SETTINGS.media) as children:
        with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
            folder = Path(scratch)
            before = tree_cpu(os.getpid())
            assert plan.per_title is not None
            task = SearchTask(
                path=video,
                source=source,
                plan=EncodePlan.of(plan),
                per_title=plan.per_title,
                target=folder / "search",
            )
            probed = await children.run(tasks.SEARCH, task)
            search_cpu = tree_cpu(os.getpid()) - before
            searched = searched_plan(plan, plan.per_title, probed)
            fixed = await _encode(children, video, source, plan, folder / "fixed")
            chosen = await _encode(children, video, source, with_search_result(plan, searched), folder / "chosen")
    [ladder] = searched.per_title.ladders
    result = Compared(fixed, chosen, ladder, search_cpu, plan.renditions[0].max_bitrate)
    _print(video, result)
    return result


async def _encode(children: MediaChildren, video: Path, source: Source, plan: Plan, folder: Path) -> Encoded:
    """As the pipeline does it, but without repairs: what is measured are the CRFs."""
    plan = plan.model_copy(update={"quality": plan.quality.model_copy(update={"max_repairs": 0})})
    board, parts = ScoreBoard(), list[list[EncodedTrack]]()
    before = tree_cpu(os.getpid())
    for chunk in plan.chunks:
        task = EncodeTask(path=video, source=source, plan=plan, chunk=chunk, target=folder / str(chunk.index))
        part = await children.run(tasks.ENCODE, task)
        assert part.quality is not None
        board.add(part.quality)
        parts.append(part.tracks)
    cpu = tree_cpu(os.getpid()) - before
    scores = {score.name: score.vmaf.mean for score in board.scores()}
    bitrates = {track.name: average_bitrate(track) for track in joined(parts)}
    return Encoded({r.name: _point(r, scores[r.name], bitrates[r.name]) for r in plan.renditions}, cpu)


def _point(rendition: VideoRendition, vmaf: float, bitrate: int) -> RateAndQuality:
    return RateAndQuality(crf=float(rendition.options["crf"]), vmaf=vmaf, bitrate=bitrate)


def _print(video: Path, result: Compared) -> None:
    equal = result.saved_at_equal_vmaf
    report.note(
        f"{video.name}: {1 - result.chosen.bitrate / result.fixed.bitrate:.0%} of the bits saved, "
        f"{'–' if equal is None else f'{equal:.0%}'} at equal VMAF (said {result.search.bits_saved:.0%} and "
        f"{result.search.bits_saved_at_equal_vmaf}); search {result.search_cpu:.1f} CPU s, encode "
        f"{result.fixed.cpu:.1f} fixed, {result.chosen.cpu:.1f} per title: {result.search_cpu / result.fixed.cpu:.0%}"
    )
    for rung in result.search.rungs:
        fixed, chosen = result.fixed.rungs[rung.name], result.chosen.rungs.get(rung.name)
        came_to = (
            f"dropped: {rung.dropped}"
            if chosen is None
            else (
                f"{chosen.crf:4g} {chosen.vmaf:6.2f} (predicted {rung.chosen.vmaf:6.2f}) {chosen.bitrate / 1000:6.0f} kbit/s"
            )
        )
        report.note(
            f"    {rung.name:<6} {fixed.crf:4g} {fixed.vmaf:6.2f} {fixed.bitrate / 1000:6.0f} kbit/s → "
            f"{came_to}   target {rung.target:.2f}, {rung.probes} probes {rung.limited_by or ''}"
        )
