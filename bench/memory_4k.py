"""How much memory a worker needs for a 4K film, with the settings that are built in."""

import asyncio
import contextlib
import threading
from pathlib import Path

import psutil

from bench import clips, report
from bench.system import process, running
from streamforge.client import StreamEvent

MIB = 2**20
SAMPLE_SECONDS = 0.1
SETTINGS = {"VALIDATION__ON_FAILURE": "warn"}
OF_4_GB = round(0.7 * 4 * 2**30)
"""What a worker takes for its media children where the machine has 4 GiB; a worker of this machine is told so."""


def main() -> None:
    report.machine()
    film = clips.ultra_hd()
    report.note(f"20 s of 3840×2160 at 24 fps, {film.stat().st_size * 8 / 20e6:.0f} Mbit/s")
    report.note("with all the memory of this machine:")
    _measure(film, SETTINGS)
    report.note("with what a machine of 4 GiB would give:")
    _measure(film, SETTINGS | {"WORKER__MEDIA_MEMORY_BYTES": str(OF_4_GB)})


def _measure(film: Path, settings: dict[str, str]) -> None:
    with running(settings=settings) as system:
        worker = psutil.Process(system.pid_of("worker"))
        idle = _tree(worker)
        with _Watch(worker) as watch:
            watched = asyncio.run(process(system.url, film, watch.entered))
    assert watched.job.status == "completed", watched.job.error_message
    report.number("the worker, its zygote, nothing to do", sum(idle.values()) / MIB, "MiB")
    report.number("worker and all its children at their peak", watch.peak / MIB, "MiB")
    report.number("… the largest of these processes", watch.largest / MIB, "MiB")
    for stage, peak in watch.by_stage.items():
        report.number(f"… in stage {stage}", peak / MIB, "MiB")
    report.number("POST → done", watched.seconds, "s")


class _Watch:
    """The largest sizes seen while the block lasts. Shared pages are shared out (PSS): children are forks."""

    def __init__(self, worker: psutil.Process) -> None:
        self.largest = 0
        self.by_stage: dict[str, int] = {}
        self._stage = "uploading"
        self._worker = worker
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    @property
    def peak(self) -> int:
        return max(self.by_stage.values())

    def entered(self, event: StreamEvent) -> None:
        self._stage = event.stage or self._stage

    def __enter__(self) -> "_Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            sizes = _tree(self._worker).values()
            self.largest = max(self.largest, *sizes)
            self.by_stage[self._stage] = max(self.by_stage.get(self._stage, 0), sum(sizes))


def _tree(root: psutil.Process) -> dict[int, int]:
    """Bytes of each process."""
    sizes = {}
    for each in [root, *root.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
            sizes[each.pid] = each.memory_full_info().pss
    return sizes
