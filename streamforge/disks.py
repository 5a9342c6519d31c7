"""What the failure of a disk means: it is full, or it is away. Neither is the fault of what was to be written."""

import errno
import os
import shutil
from pathlib import Path

from streamforge.errors import DiskFull, StorageUnavailable

STORE = "the disk of the media store"
WORKER = "the disk of a worker"
SERVER = "the server's disk"

_FULL = {errno.ENOSPC, errno.EDQUOT}
_CLOSED = {errno.EROFS, errno.EACCES, errno.EPERM}
_AWAY = {
    errno.EIO,
    errno.ENXIO,
    errno.ENODEV,
    errno.ESTALE,
    errno.ENOTCONN,
    errno.EMFILE,
    errno.ENFILE,
    errno.ETIMEDOUT,
}

NOTHING_LEFT_BYTES = 2**20
"""What is less than this is no room for media."""


def disk_error(error: OSError, disk: str = STORE) -> DiskFull | StorageUnavailable:
    """`disk` is how the sentence calls it."""
    if is_no_room(error):
        return full(disk, str(error))
    name = disk[0].upper() + disk[1:]
    if error.errno in _CLOSED:
        sentence = f"{name} does not let us write; check its rights, and that it is not mounted read-only."
        return StorageUnavailable(sentence, debug=str(error))
    return StorageUnavailable(f"{name} cannot be read or written right now.", debug=str(error))


def full(disk: str, debug: str | None = None) -> DiskFull:
    return DiskFull(f"{disk[0].upper()}{disk[1:]} is full; free some space.", debug=debug)


def is_of_a_disk(error: OSError) -> bool:
    """Whether it can be nothing else. A file that is missing, for example, may be missed by a defect of ours."""
    return error.errno in _FULL | _CLOSED | _AWAY


def is_no_room(error: OSError) -> bool:
    return error.errno in _FULL


def require_free(folder: Path, least_bytes: int, coming: int = 0) -> None:
    """Raise DiskFull when `coming` more bytes would leave less than `least_bytes` free."""
    existing = next(each for each in (folder, *folder.parents) if each.exists())
    if shutil.disk_usage(existing).free - coming < least_bytes:
        raise DiskFull("The server's disk has no room for this; free some space or try again later.")


def is_full(folder: Path) -> bool:
    """Whether next to nothing can be written there: programs that we call fail in many ways then, and rarely say why."""
    try:
        found = os.statvfs(folder)
    except OSError:
        return False
    has_inodes = found.f_files == 0 or found.f_favail > 0
    return found.f_bavail * found.f_frsize < NOTHING_LEFT_BYTES or not has_inodes
