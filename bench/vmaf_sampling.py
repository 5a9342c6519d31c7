"""Sampled against full VMAF on five videos of very different kinds: how far apart, and at which share of the cost."""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import clips, report
from bench.bare import planned
from bench.cpu import tree_cpu
from streamforge.contracts.media import Chunk, EncodedTracks, Plan, RenditionScore, Source
from streamforge.media.child import MediaChildren
from streamforge.media.encode import EncodeTask
from streamforge.media.vmaf import VmafResult, VmafTask
from streamforge.planning.manifests import INIT_SEGMENT
from streamforge.planning.quality import combine
from streamforge.settings import Settings

BAR_POINTS = 0.5
BAR_COST = 0.25
EVERY_FRAME = 1


@dataclass
class Measured:
    scores: dict[str, RenditionScore]
    cpu: float


def main() -> None:
    report.machine()
    videos = [clips.BUNNY, clips.BOTTLES, clips.fractal(), clips.cuts(), clips.gradients()]
    results = [asyncio.run(_compare(video)) for video in videos]
    report.number("worst difference of all", max(worst for worst, _ in results), "", bar=BAR_POINTS)
    report.number("dearest share of all", max(share for _, share in results), "", bar=BAR_COST)


async def _compare(video: Path) -> tuple[float, float]:
    """The worst difference of means of any rendition, and the sampled run's share of the full run's CPU."""
    source, plan = await planned(video)
    settings = Settings()
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        async with MediaChildren(settings.media.memory_limit_bytes, settings.media.stall_timeout_seconds) as children:
            files = [await _encode(children, video, source, plan, chunk, Path(scratch)) for chunk in plan.chunks]
            sampled = await _score(children, video, source, plan, files)
            full = await _score(children, video, source, _every_frame(plan), files)
    return _report(video, sampled, full)


async def _encode(
    children: MediaChildren, video: Path, source: Source, plan: Plan, chunk: Chunk, scratch: Path
) -> dict[str, Path]:
    """A playable file of each rendition of the chunk."""
    folder = scratch / str(chunk.index)
    task = EncodeTask(path=video, source=source, plan=plan, chunk=chunk, target=folder)
    encoded = await children.run("encode", task, EncodedTracks)
    files = {}
    for track in encoded.tracks:
        files[track.name] = folder / f"{track.name}.mp4"
        parts = [INIT_SEGMENT, *(segment.file_name for segment in track.segments)]
        files[track.name].write_bytes(b"".join((folder / track.name / part).read_bytes() for part in parts))
    return files


async def _score(
    children: MediaChildren, video: Path, source: Source, plan: Plan, files: list[dict[str, Path]]
) -> Measured:
    """As the pipeline does it: chunk by chunk, then combined."""
    before = tree_cpu(os.getpid())
    scores = []
    for chunk, renditions in zip(plan.chunks, files, strict=True):
        with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
            task = VmafTask(
                path=video, source=source, plan=plan, chunk=chunk, renditions=renditions, scratch=Path(scratch)
            )
            scores.append((await children.run("vmaf", task, VmafResult)).scores)
    return Measured({score.name: score for score in combine(scores)}, tree_cpu(os.getpid()) - before)


def _every_frame(plan: Plan) -> Plan:
    quality = plan.quality.model_copy(update={"sample_every_frames": EVERY_FRAME})
    return plan.model_copy(update={"quality": quality})


def _report(video: Path, sampled: Measured, full: Measured) -> tuple[float, float]:
    share = sampled.cpu / full.cpu
    report.note(f"{video.name}: {sampled.cpu:.1f} of {full.cpu:.1f} CPU s = {share:.0%}")
    differences = []
    for name, exact in full.scores.items():
        estimate = sampled.scores[name]
        differences.append(abs(estimate.mean - exact.mean))
        report.note(
            f"    {name:<6} full {exact.mean:6.2f} ({exact.frames_scored} frames)   "
            f"sampled {estimate.mean:6.2f} ({estimate.frames_scored})   {estimate.mean - exact.mean:+.2f}"
        )
    return max(differences), share
