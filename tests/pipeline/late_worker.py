"""A worker in a process of its own, which is stopped in the middle of a put, and goes on when everything is over.

`python late_worker.py SETTINGS PATTERN WRITTEN`: SETTINGS as JSON. The first put under a name that PATTERN matches stops the
process (SIGSTOP, to itself: nobody else could hit the moment). When it goes on, that put is made, or fails, and the file
WRITTEN says so.
"""

import asyncio
import os
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from streamforge.observability.logs import configure_logging
from streamforge.settings import Settings
from streamforge.storage import local
from streamforge.worker.run import run_worker

PATIENCE_SECONDS = 60
LOOK_SECONDS = 0.02
STOPPED_SECONDS = 2
"""At least, before the put goes on."""


@dataclass
class LateWorker:
    """`log` is what it says."""

    process: asyncio.subprocess.Process
    log: Path
    written: Path

    async def has_stopped(self) -> None:
        await self._until(lambda: psutil.Process(self.process.pid).status() == psutil.STATUS_STOPPED)

    async def goes_on_until_it_has_failed(self, activity: str) -> None:
        """It writes what it had begun to write, and wants to write more."""
        self.process.send_signal(signal.SIGCONT)
        await self._until(self.written.exists)
        said = re.compile(rf"^(?=.*fail).*\bactivity\W+{activity}\b", re.IGNORECASE | re.MULTILINE)
        await self._until(lambda: said.search(self.log.read_text()) is not None)

    async def _until(self, happened: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not happened():
                assert self.process.returncode is None, self.log.read_text()
                await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def late_worker(settings: Settings, pattern: str, folder: Path) -> AsyncIterator[LateWorker]:
    written, log = folder / "written", folder / "late.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, __file__, settings.model_dump_json(), pattern, written, stdout=output, stderr=output
        )
    try:
        yield LateWorker(process, log, written)
    finally:
        process.kill()
        await process.wait()


def main(settings: str, pattern: str, written: str) -> None:
    move = local._move

    def stop_and_move(path: Path, target: Path, replace: bool) -> None:
        if not re.search(pattern, str(target)):
            return move(path, target, replace)
        local._move = move
        asked = time.monotonic()
        os.kill(os.getpid(), signal.SIGSTOP)
        while time.monotonic() - asked < STOPPED_SECONDS:  # A thread runs on for a moment before it stands still.
            time.sleep(0.001)
        try:
            return move(path, target, replace)
        finally:
            Path(written).touch()

    local._move = stop_and_move
    known = Settings.model_validate_json(settings)
    configure_logging(known, "worker")
    asyncio.run(run_worker(known))


if __name__ == "__main__":
    main(*sys.argv[1:])
