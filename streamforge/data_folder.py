"""The data folder: uploads, output, databases and logs lie in it."""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamforge.errors import DataFolderUnusable


def require(folder: Path) -> None:
    """Make it, and see that a file can be written there. Raises DataFolderUnusable."""
    if {"\n", "\r"} & set(str(folder)):
        # PostgreSQL finds its way in postmaster.pid by counting lines, and the folder's name is one of them.
        raise DataFolderUnusable(f"The data folder {str(folder)!r} has a line break in its name; name another.")
    with usable(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass


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
