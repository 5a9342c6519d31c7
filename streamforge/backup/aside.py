"""A folder that is built beside its place: whoever looks there finds all of it, or nothing."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamforge.errors import BackupFailed


def is_empty(folder: Path) -> bool:
    """Whether there is nothing in it, or no such folder yet."""
    if not folder.exists():
        return not folder.is_symlink()
    return folder.is_dir() and not any(folder.iterdir())


@contextmanager
def built_aside(target: Path, ending: str) -> Iterator[Path]:
    """A folder on the target's disk, which takes its place when the block has ended well, and is gone otherwise. What a
    killed process has left of it is removed. Raises BackupFailed while another process builds there."""
    building = target.with_name(target.name + ending)
    building.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(building, os.O_RDONLY)
    try:
        _lock(descriptor, building)
        _clear(building)
        try:
            yield building
            building.replace(target)
        except BaseException:
            shutil.rmtree(building, ignore_errors=True)
            raise
    finally:
        os.close(descriptor)
    _sync(target.parent)


def _lock(descriptor: int, building: Path) -> None:
    """The kernel lets go when the process ends, however it ends."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise BackupFailed(f"Another process is at work in {building}; wait for it, and try again.") from error


def _clear(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
