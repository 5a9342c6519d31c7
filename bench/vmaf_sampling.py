"""Sampled against full VMAF on five videos of very different kinds: how far apart, and at which share of the cost."""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import clips, report
from bench.cpu import tree_cpu
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.scores import QualityScore
from streamforge.contracts.media.source import Source
from streamforge.local import encoded, planned
from streamforge.media.worker.children import MediaChildren
from streamforge.quality.scoring import ScoreBoard
from streamforge.settings import Settings

BAR_POINTS = 0.5
BAR_COST = 0.25


@dataclass
class Measured:
    """Scores by rendition, and the CPU seconds of encoding and measuring together."""

    scores: dict[str, QualityScore]
    cpu: float


def main() -> None:
    report.machine()
    videos = [clips.BUNNY, clips.BOTTLES, clips.fractal(), clips.cuts(), clips.gradients()]
    results = [asyncio.run(_compare(video)) for video in videos]
    report.number("worst difference of all", max(worst for worst, _ in results), "", bar=BAR_POINTS)
    report.number("dearest share of all", max(share for _, share in results), "", bar=BAR_COST)


async def _compare(video: Path) -> tuple[float, float]:
    """The worst difference of means of any rendition, and the share of full VMAF's CPU that sampling costs: each is what
    encoding with it costs beyond encoding with none."""
    source, plan = await planned(video, Settings())
    none = await _encode(video, source, _with(plan, enabled=False))
    sampled = await _encode(video, source, _with(plan))
    full = await _encode(video, source, _with(plan, sample_every_frames=1))
    return _report(video, sampled, full, (sampled.cpu - none.cpu) / (full.cpu - none.cpu))


def _with(plan: Plan, **quality: object) -> Plan:
    """Without repairs: what is measured must be the same bytes."""
    return plan.model_copy(update={"quality": plan.quality.model_copy(update={"max_repairs": 0} | quality)})


async def _encode(video: Path, source: Source, plan: Plan) -> Measured:
    """As the pipeline does it: chunk by chunk, then put together."""
    settings, board = Settings(), ScoreBoard()
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        async with MediaChildren.of(settings.media) as children:
            before = tree_cpu(os.getpid())
            for chunk in (await encoded(children, video, source, plan, Path(scratch))).chunks:
                if chunk.quality is not None:
                    board.add(chunk.quality)
            cpu = tree_cpu(os.getpid()) - before
    return Measured({score.name: score.vmaf for score in board.scores()}, cpu)


def _report(video: Path, sampled: Measured, full: Measured, share: float) -> tuple[float, float]:
    report.note(f"{video.name}: {share:.0%} of the CPU of full VMAF")
    for name, exact in full.scores.items():
        estimate = sampled.scores[name]
        report.note(
            f"    {name:<6} full {exact.mean:6.2f} ({exact.frames_scored} frames)   "
            f"sampled {estimate.mean:6.2f} ± {estimate.margin:.2f} ({estimate.frames_scored})   "
            f"{estimate.mean - exact.mean:+.2f}   1 %: {estimate.percentile_1 - exact.percentile_1:+.2f}   "
            f"worst 5 s: {estimate.worst_5_seconds.mean - exact.worst_5_seconds.mean:+.2f}"
        )
    return max(abs(sampled.scores[name].mean - exact.mean) for name, exact in full.scores.items()), share
