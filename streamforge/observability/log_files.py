"""The log file of a process: JSON lines in DATA/logs, of a size and number that the settings say."""

import fcntl
import os
from contextlib import suppress
from io import TextIOWrapper
from itertools import count
from logging import LogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import IO

from streamforge.observability import metrics

SUFFIX = ".jsonl"


def folder_of(data_dir: Path) -> Path:
    return data_dir / "logs"


class LogFile(RotatingFileHandler):
    """`worker-1.jsonl`, and when it is full `worker-1.jsonl.1` and so on. Of several processes that do the same on one folder
    each has a number of its own, the first that is free: whoever starts again goes on in the same file."""

    def __init__(self, folder: Path, process: str, max_bytes: int, files: int) -> None:
        """Raises OSError."""
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, self._lock_file = _claimed(folder, process)
        super().__init__(
            folder / f"{process}-{number}{SUFFIX}", maxBytes=max_bytes, backupCount=files - 1, encoding="utf-8"
        )

    def _open(self) -> TextIOWrapper:
        descriptor = os.open(self.baseFilename, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        return open(descriptor, "a", encoding="utf-8")

    def handleError(self, record: LogRecord) -> None:
        """A full disk must not end what is being told about; the line is on stderr, too."""
        metrics.LOG_LINES_LOST.inc()

    def close(self) -> None:
        super().close()
        with suppress(ValueError):
            self._lock_file.close()


def _claimed(folder: Path, process: str) -> tuple[int, IO[bytes]]:
    """A number that no living process has; the kernel lets go of it when the process ends, however it ends."""
    for number in count(1):
        lock = (folder / f".{process}-{number}.lock").open("wb")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
        else:
            return number, lock
    raise AssertionError("numbers have no end")
