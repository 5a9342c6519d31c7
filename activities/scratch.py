"""Temporary folders of one worker. They go with the activity; those of a killed worker go when the next one starts."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = "in-use"


class Scratch:
    """A folder under `root` that belongs to this process, told by a lock that the kernel drops with it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        _remove_abandoned(root)
        self.folder = Path(tempfile.mkdtemp(prefix="worker-", dir=root)).resolve()
        self._lock = _locked(self.folder)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def folder_for(self, purpose: str) -> Iterator[Path]:
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _remove_abandoned(root: Path) -> None:
    for folder in root.glob("worker-*"):
        lock = _locked(folder)
        if lock is not None:
            shutil.rmtree(folder, ignore_errors=True)
            lock.close()


def _locked(folder: Path) -> IO[bytes] | None:
    """The open lock file, or None when another process holds it."""
    file = (folder / LOCK).open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
