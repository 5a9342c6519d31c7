"""What any user of a machine can read of others' processes: their command lines, as /proc has them."""

import os
import threading
import time
from pathlib import Path
from typing import Self

LOOK_EVERY_SECONDS = 0.004
YOUNG_SECONDS = 0.5
"""A fork has the command line of its parent until it runs something else."""


class CommandLines:
    """While the block runs, all that there are on this machine, those of short-lived processes among them."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self._young: dict[str, float] = {}
        self._over = threading.Event()
        self._looking = threading.Thread(target=self._look_all_the_time, name="command lines")

    def __enter__(self) -> Self:
        self._looking.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._looking.join()

    def has_run(self, program: str) -> bool:
        return any(Path(line.split("\0")[0]).name == program for line in list(self.seen))

    def _look_all_the_time(self) -> None:
        known: set[str] = set()
        while not self._over.wait(LOOK_EVERY_SECONDS):
            now = time.monotonic()
            there = {name for name in os.listdir("/proc") if name.isdigit()}
            self._young = {pid: since for pid, since in self._young.items() if now - since < YOUNG_SECONDS}
            self._young |= dict.fromkeys(there - known, now)
            known = there
            for pid in self._young:
                self.seen.add(command_line(pid))


def command_line(pid: str) -> str:
    """Arguments with a NUL behind each; empty for what is gone."""
    try:
        return Path("/proc", pid, "cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return ""
