"""Which tests run in which process of pytest-xdist, where there are several: `pytest --numprocesses 2`."""

from pathlib import PurePosixPath
from typing import Any

from xdist.scheduler import LoadScopeScheduling

ONE_AT_A_TIME = "players"
"""Folder of tests that share a browser and what it plays, and need more of a machine than most."""


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a file share what is made for it, so they run in one process; those of one folder, too."""

    def _split_scope(self, nodeid: str) -> Any:
        path = PurePosixPath(nodeid.partition("::")[0])
        return str(path.parent) if path.parent.name == ONE_AT_A_TIME else str(path)
