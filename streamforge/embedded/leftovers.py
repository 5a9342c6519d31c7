"""Processes whose owner is gone: found and ended before anything new starts in their place."""

import contextlib
import signal
import time
from collections.abc import Callable, Sequence

import psutil

from streamforge.embedded.endpoints import RunFile

POLL_SECONDS = 0.02
GRACE_SECONDS = 3.0
SAME_START_SECONDS = 1.0


def end_recorded(left: RunFile | None) -> None:
    """End the processes of an `up` that was killed, with all that they started. A later process that got one of
    their pids started at another time, and is left alone."""
    families: list[psutil.Process] = []
    for record in left.processes if left else []:
        with contextlib.suppress(psutil.Error):
            process = psutil.Process(record.pid)
            if abs(process.create_time() - record.started_at) < SAME_START_SECONDS:
                families += [process, *process.children(recursive=True)]
    end_all(families, signal.SIGTERM, GRACE_SECONDS)


def end_all(processes: Sequence[psutil.Process], first_signal: signal.Signals, grace_seconds: float) -> None:
    """Ask every process, wait, then kill those that stay."""
    for number in (first_signal, signal.SIGKILL):
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)
        processes = _wait_gone(processes, grace_seconds)


def _wait_gone(processes: Sequence[psutil.Process], seconds: float) -> list[psutil.Process]:
    """The processes that are still there after `seconds`."""
    deadline = time.monotonic() + seconds
    alive = [process for process in processes if is_alive(process)]
    while alive and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        alive = [process for process in alive if is_alive(process)]
    return alive


def is_alive(process: psutil.Process) -> bool:
    """A zombie is gone: where process 1 does not reap, as in many containers, orphans stay zombies for ever."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def matching(is_ours: Callable[[psutil.Process], bool]) -> list[psutil.Process]:
    """All processes of this machine that `is_ours` recognises; those it may not look at are not."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if is_ours(process):
                found.append(process)
    return found
