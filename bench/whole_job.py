"""CPU and wall clock of a whole job ÷ those of one bare ffmpeg that encodes the same ladder in one pass."""

import asyncio
import itertools
import tempfile
from dataclasses import dataclass
from pathlib import Path

import av
import psutil

from bench import bare, clips, report
from bench.cpu import Cost, tree_cpu
from bench.system import System, process, running
from streamforge.client import StreamEvent
from streamforge.contracts.job import Stage
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.local import planned
from streamforge.settings import Settings

RUNS = 2
"""The cheapest counts, on both sides of the division: what else the machine does only ever makes things dearer."""
BARS = {"sampled": 1.35, "full": 2.5}
SETTINGS = {
    # Grain is hard to keep at a low bit rate, and a score is not what is measured here.
    "sampled": {"VALIDATION__ON_FAILURE": "warn"},
    "full": {"VALIDATION__ON_FAILURE": "warn", "VALIDATION__SAMPLE_EVERY_FRAMES": "1"},
}


@dataclass(frozen=True)
class JobCost:
    """`worker`: its process tree. `system`: everything that `up` runs, the API and both servers included."""

    worker: Cost
    system: Cost
    stages: dict[Stage, float]


def main() -> None:
    video = clips.full_hd()
    source, plan = asyncio.run(planned(video, Settings()))
    _describe(video, source, plan)
    for kind, settings in SETTINGS.items():
        _compare(kind, settings, video, plan)
    _compare_encoders(video, source, plan)


def _compare(kind: str, settings: dict[str, str], video: Path, plan: Plan) -> None:
    """Bare and whole in turn, so that a machine that gets busy slows both."""
    report.note(f"a whole job with {kind} VMAF:")
    report.machine()
    floors, jobs = [], []
    with running(settings=settings) as system, tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        for _ in range(RUNS):
            floors.append(bare.ffmpeg(video, plan, Path(scratch)))
            jobs.append(asyncio.run(_job(system, video)))
    floor = Cost(min(cost.cpu for cost in floors), min(cost.wall for cost in floors))
    _report(kind, min(jobs, key=lambda job: job.worker.cpu), floor)


def _compare_encoders(video: Path, source: Source, plan: Plan) -> None:
    """Is ffmpeg's encoder the same as the pipeline's? Then its cost is a fair floor."""
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        folder = Path(scratch)
        ways = {"ffmpeg": bare.ffmpeg(video, plan, folder), "pyav": bare.pyav(video, source, plan, folder)}
        for way, cost in ways.items():
            report.number(f"bare encode by {way}, {bare.x264_version(folder, plan, way)}", cost.cpu, "CPU s")


async def _job(system: System, video: Path) -> JobCost:
    stages: dict[Stage, float] = {}
    pid = system.pid_of("worker")
    everything = system.process.pid
    before, before_all = tree_cpu(pid), tree_cpu(everything)

    def entered(event: StreamEvent) -> None:
        if event.stage is not None:
            stages.setdefault(event.stage, tree_cpu(pid))

    watched = await process(system.url, video, entered)
    assert watched.job.status == "completed", watched.job.error_message
    _all_reaped(pid)
    return JobCost(
        worker=Cost(tree_cpu(pid) - before, watched.seconds),
        system=Cost(tree_cpu(everything) - before_all, watched.seconds),
        stages=_differences(stages),
    )


def _all_reaped(worker: int) -> None:
    """The zygote is the worker's only child that stays."""
    children = psutil.Process(worker).children(recursive=True)
    assert len(children) == 1, children


def _differences(at_entry: dict[Stage, float]) -> dict[Stage, float]:
    entered = list(at_entry.items())
    return {stage: after - before for (stage, before), (_, after) in itertools.pairwise(entered)}


def _report(kind: str, job: JobCost, floor: Cost) -> None:
    report.number("bare ffmpeg, one pass", floor.cpu, "CPU s")
    report.number("bare ffmpeg, one pass", floor.wall, "s")
    report.number("worker and its children", job.worker.cpu, "CPU s")
    report.number("… ÷ bare ffmpeg", job.worker.cpu / floor.cpu, "", bar=BARS[kind])
    report.number("API, PostgreSQL and Temporal on top", job.system.cpu - job.worker.cpu, "CPU s")
    report.number("… everything ÷ bare ffmpeg", job.system.cpu / floor.cpu)
    report.number("POST → done", job.worker.wall, "s")
    report.number("… ÷ bare ffmpeg", job.worker.wall / floor.wall)
    for stage, cpu in job.stages.items():
        report.number(f"in stage {stage}", cpu, "CPU s")


def _describe(video: Path, source: Source, plan: Plan) -> None:
    ladder = ", ".join(rendition.name for rendition in plan.renditions)
    bitrate = video.stat().st_size * 8 / source.duration / 1e6
    report.note(
        f"{source.duration:.0f} s of {source.video.width}×{source.video.height}, {bitrate:.1f} Mbit/s → {ladder}"
    )
    report.note(f"{plan.renditions[0].options}, av {av.__version__}")
