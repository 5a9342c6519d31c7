"""The data folder: uploads, output, databases and logs lie in it."""

import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamforge.errors import DataFolderUnusable

OURS = {"access-secret", "keys-secret", "logs", "postgres", "run", "scratch", "storage", "temporal", "uploads"}
"""What an installation has in its data folder."""

OWNER_ONLY, OTHERS = 0o700, 0o077


def require(folder: Path) -> None:
    """Make it, for this user only, and see that a file can be written there. Raises DataFolderUnusable."""
    if {"\n", "\r"} & set(str(folder)):
        # PostgreSQL finds its way in postmaster.pid by counting lines, and the folder's name is one of them.
        raise DataFolderUnusable(f"The data folder {str(folder)!r} has a line break in its name; name another.")
    with usable(folder):
        _keep_private(folder)
        with tempfile.TemporaryFile(dir=folder):
            pass


def write_for_owner_only() -> None:
    """What this process makes from here on, and what those make that it starts, nobody else reads."""
    os.umask(OTHERS)


def _keep_private(folder: Path) -> None:
    """Also one that an earlier version made. A folder that other things lie in stays as open as it was, and what is ours in it
    does not: it may be a home, or /tmp. Raises OSError."""
    folder.mkdir(mode=OWNER_ONLY, parents=True, exist_ok=True)
    there = {entry.name for entry in folder.iterdir()}
    for place in [*([folder] if there <= OURS else []), *(folder / name for name in there & OURS)]:
        _close_to_others(place)


def _close_to_others(place: Path) -> None:
    """What belongs to somebody else stays theirs."""
    found = place.lstat()
    if found.st_uid == os.geteuid() and found.st_mode & OTHERS and not stat.S_ISLNK(found.st_mode):
        place.chmod(stat.S_IMODE(found.st_mode) & OWNER_ONLY)


@contextmanager
def usable(folder: Path) -> Iterator[None]:
    """What the system refuses in the block as DataFolderUnusable."""
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise DataFolderUnusable(
            f"The data folder {folder} cannot be used ({reason}): make it writable for this user, or name another "
            "with --data-dir or STREAMFORGE_DATA_DIR.",
            debug=repr(error),
        ) from error
