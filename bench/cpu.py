"""CPU seconds of whole process trees, and of one command."""

import contextlib
import resource
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass

import psutil


@dataclass(frozen=True)
class Cost:
    """CPU seconds (user and system) and wall-clock seconds."""

    cpu: float
    wall: float


def tree_cpu(pid: int) -> float:
    """CPU seconds of everything that ever ran below and including `pid`.

    A live process counts for itself and for all the children it has waited for, and those for theirs: nothing that
    exits between two samples is lost, as long as its parent reaps it. Media children are reaped by their zygote, and
    ffmpeg by the media child that started it. What has exited and is not reaped yet is still listed, with its times.
    """
    process = psutil.Process(pid)
    total = 0.0
    for each in [process, *process.children(recursive=True)]:
        with contextlib.suppress(psutil.NoSuchProcess):
            times = each.cpu_times()
            total += times.user + times.system + times.children_user + times.children_system
    return total


def run(command: Sequence[str], log: int | None = None) -> Cost:
    """Run to the end, as nice as media children are; what it cost. What it says goes to `log`, as in subprocess."""
    before, began = _waited_for(), time.monotonic()
    subprocess.run(["nice", "-n", "5", *command], check=True, stdout=log, stderr=log)
    return Cost(_waited_for() - before, time.monotonic() - began)


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
