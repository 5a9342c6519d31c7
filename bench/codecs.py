"""HEVC and AV1 against H.264 with each one's usual preset: bits at equal VMAF over four CRFs, and CPU."""

import asyncio
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from bench import clips, report
from bench.cpu import tree_cpu
from streamforge.contracts import tasks
from streamforge.contracts.media.per_title import RateAndQuality
from streamforge.contracts.media.plan import Chunk, Plan
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import EncodeTask
from streamforge.local import planned
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging.presentation import average_bitrate
from streamforge.planning.per_title.search import bits_saved_at_equal_vmaf, with_crf
from streamforge.quality.scoring import ScoreBoard
from streamforge.settings import Settings

CRFS = {"h264": (19, 23, 27, 31), "hevc": (22, 26, 30, 34), "av1": (24, 32, 40, 48)}
SECONDS = 8.0
"""Of each video."""
NO_CEILING = 100_000_000


@dataclass(frozen=True)
class Curve:
    points: list[RateAndQuality]
    cpu: float


def main() -> None:
    report.machine()
    for video in (clips.BUNNY, clips.BOTTLES, clips.cuts()):
        curves = {codec: asyncio.run(_curve(video, codec)) for codec in CRFS}
        report.note(f"{video.name}, the largest rendition")
        for codec, curve in curves.items():
            report.note(f"    {codec:<5} {curve.cpu:5.1f} CPU s   {'   '.join(_told(point) for point in curve.points)}")
        for codec in ("hevc", "av1"):
            _compare(codec, curves[codec], curves["h264"])


def _told(point: RateAndQuality) -> str:
    return f"{point.crf:g}: {point.vmaf:.1f}, {point.bitrate / 1000:.0f} kbit/s"


def _compare(codec: str, curve: Curve, h264: Curve) -> None:
    saved = bits_saved_at_equal_vmaf(h264.points, curve.points)
    if saved is not None:
        report.number(f"{codec}: bits saved at equal VMAF", 100 * saved, "%")
    report.number(f"{codec}: CPU ÷ that of H.264", curve.cpu / h264.cpu)


async def _curve(video: Path, codec: str) -> Curve:
    settings = Settings.model_validate({"transcode": {"codecs": [codec], "max_bitrate_1080p": NO_CEILING}})
    source, plan = await planned(video, settings)
    return await _encode(video, source, _at_all_crfs(plan, codec))


def _at_all_crfs(plan: Plan, codec: str) -> Plan:
    largest = plan.renditions[0]
    renditions = [with_crf(largest, crf).model_copy(update={"name": f"crf{crf}"}) for crf in CRFS[codec]]
    return plan.model_copy(
        update={"renditions": renditions, "quality": plan.quality.model_copy(update={"max_repairs": 0})}
    )


async def _encode(video: Path, source: Source, plan: Plan) -> Curve:
    board = ScoreBoard()
    chunk = Chunk(index=0, start=0, end=SECONDS, expected_frames=round(SECONDS * source.video_required.frame_rate))
    async with MediaChildren(8 * 2**30, 600) as children:
        with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
            before = tree_cpu(os.getpid())
            task = EncodeTask(path=video, source=source, plan=plan, chunk=chunk, target=Path(scratch) / "encoded")
            encoded = await children.run(tasks.ENCODE, task)
            cpu = tree_cpu(os.getpid()) - before
    assert encoded.quality is not None
    board.add(encoded.quality)
    scores = {score.name: score.vmaf.mean for score in board.scores()}
    points = [
        RateAndQuality(crf=float(r.options["crf"]), vmaf=scores[r.name], bitrate=average_bitrate(track))
        for r, track in zip(plan.renditions, encoded.tracks, strict=True)
    ]
    return Curve(points, cpu)
