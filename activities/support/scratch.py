"""Temporary folders of one worker. They go with the activity; those of a killed worker go when the next one starts."""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

LOCK = "in-use"
DOOR = "door"
"""Locked by whoever looks for folders that nobody uses, or makes one: a folder that is not locked yet looks abandoned."""


class Scratch:
    """A folder under `root` that belongs to this process, told by a lock that the kernel drops with it."""

    def __init__(self, root: Path) -> None:
        root.mkdir(parents=True, exist_ok=True)
        with (root / DOOR).open("wb") as door:
            fcntl.flock(door, fcntl.LOCK_EX)
            abandoned = _abandoned(root)
            self.folder = Path(tempfile.mkdtemp(prefix="worker-", dir=root)).resolve()
            self._lock = _locked(self.folder)
        _remove(abandoned)

    def close(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()

    @contextmanager
    def folder_for(self, purpose: str) -> Iterator[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)  # Somebody may have cleaned up.
        folder = Path(tempfile.mkdtemp(prefix=f"{purpose}-", dir=self.folder))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def _abandoned(root: Path) -> dict[Path, IO[bytes]]:
    """Folders of processes that are gone, each with its lock, which is ours now: nobody else removes it, too."""
    locks = {folder: _locked(folder) for folder in root.glob("worker-*")}
    return {folder: lock for folder, lock in locks.items() if lock is not None}


def _remove(folders: dict[Path, IO[bytes]]) -> None:
    for folder, lock in folders.items():
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def _locked(folder: Path) -> IO[bytes] | None:
    """The open lock file, or None when another process holds it, or has just removed the folder."""
    try:
        file = (folder / LOCK).open("wb")
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
