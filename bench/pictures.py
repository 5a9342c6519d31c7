"""What a job's poster, thumbnails and sprite sheets cost: with them and without, in turn."""

import asyncio
import tempfile
import time
from pathlib import Path

from bench import clips, report
from bench.cpu import Cost, tree_cpu
from bench.system import System, process, running
from streamforge.local import planned
from streamforge.media.decoding.frames import FrameWindow
from streamforge.media.stills.tiles import TileMaker
from streamforge.settings import Settings

RUNS = 3
"""The cheapest counts, with and without: what else the machine does only ever makes things dearer."""
BAR_PERCENT = 5.0
SETTINGS = {
    "VALIDATION__ON_FAILURE": "warn",
    "PROFILES": '{"default": {}, "without": {"pictures": {"enabled": false}}}',
}
CLIPS = {
    "4 s of 176×144": (clips.small, 10),
    "5 s of 720p": (lambda: clips.BUNNY, 1),
    "40 s of 360p": (lambda: clips.BOTTLES, 1),
    "20 s of 1080p": (clips.full_hd, 1),
}
"""Each with how many jobs are measured as one: CPU time is counted in steps of 10 ms."""


def main() -> None:
    with running(settings=SETTINGS) as system:
        for name, (clip, jobs) in CLIPS.items():
            report.note(f"{name}:")
            report.machine()
            _compare(system, clip(), jobs)


def _compare(system: System, video: Path, jobs: int) -> None:
    asyncio.run(_jobs(system, video, "default", 1))  # The first one warms up what the others find warm.
    both = [
        (asyncio.run(_jobs(system, video, "without", jobs)), asyncio.run(_jobs(system, video, "default", jobs)))
        for _ in range(RUNS)
    ]
    without, with_them = (Cost(min(c.cpu for c in each), min(c.wall for c in each)) for each in zip(*both, strict=True))
    report.number("a job without", without.cpu, "CPU s")
    report.number("a job with them", with_them.cpu, "CPU s")
    report.number("… dearer by", _percent(with_them.cpu, without.cpu), "%", bar=BAR_PERCENT)
    report.number("POST → done without", without.wall, "s")
    report.number("POST → done with them", with_them.wall, "s")
    report.number("… longer by", _percent(with_them.wall, without.wall), "%", bar=BAR_PERCENT)
    kept = _keeping(video)
    report.number("keeping the tiles and posters alone", kept, "CPU s")
    report.number("… of the job without", 100 * kept / without.cpu, "%")


def _percent(after: float, before: float) -> float:
    return 100 * (after / before - 1)


async def _jobs(system: System, video: Path, profile: str, count: int) -> Cost:
    """What one of them costs."""
    pid = system.pid_of("worker")
    before, seconds = tree_cpu(pid), 0.0
    for _ in range(count):
        watched = await process(system.url, video, profile=profile)
        assert watched.job.status == "completed", watched.job.error_message
        assert watched.job.result is not None
        assert (watched.job.result.pictures is not None) == (profile == "default")
        seconds += watched.seconds
    return Cost((tree_cpu(pid) - before) / count, seconds / count)


def _keeping(video: Path) -> float:
    """CPU seconds of this thread in what a chunk's pass does for its pictures, decoding left out."""
    source, plan = asyncio.run(planned(video, Settings()))
    assert plan.pictures
    spent = 0.0
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        for chunk in plan.chunks:
            maker = TileMaker(source.video_required, plan.pictures, Path(scratch) / str(chunk.index))
            with FrameWindow(video, source, chunk, plan.max_frame_rate) as window:
                for frame in window:
                    began = time.thread_time()
                    maker.see(frame)
                    spent += time.thread_time() - began
            began = time.thread_time()
            assert maker.finish().failure is None
            spent += time.thread_time() - began
    return spent
