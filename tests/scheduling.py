"""Which tests run in which process of pytest-xdist, where there are several: `pytest --numprocesses 2`."""

from pathlib import PurePosixPath
from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from streamforge.media.worker.capabilities import cores

PLAYERS = "players"
"""Tests that share a browser, and need a core for it all the time: what is played does not wait."""

MANY_CORES = ("chaos", "activities", "cli", "law", "streams", "pipeline", "media")
"""Tests that encode, decode, or start the whole system. They come when the players are done, or nearly."""


AT_MOST = 9
"""Processes: each has a database server and a Temporal server of its own."""


def processes() -> int:
    """One more than cores: players, outages and restarts spend most of their time waiting, and are a third of all tests."""
    return min(cores() + 1, AT_MOST)


def folder(nodeid: str) -> PurePosixPath:
    return PurePosixPath(nodeid.partition("::")[0]).parent


def in_order(items: list[pytest.Item]) -> list[pytest.Item]:
    """Players, beside them what needs one core, then the rest."""

    def rank(item: pytest.Item) -> int:
        name = folder(item.nodeid).name
        return -1 if name == PLAYERS else MANY_CORES.index(name) + 1 if name in MANY_CORES else 0

    return sorted(items, key=rank)


class ByFile(LoadScopeScheduling):  # type: ignore[misc]
    """The tests of a file share what is made for it, so they run in one process; so do all players. First come, first
    served."""

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> Any:
        return PLAYERS if folder(nodeid).name == PLAYERS else nodeid.partition("::")[0]

    def remove_node(self, node: Any) -> str | None:
        """The test in which a process ended. It counts as done: xdist would give it to the next process, which would end, too."""
        units = self.assigned_work[node].values()
        unit, crashed = next(((unit, name) for unit in units for name, done in unit.items() if not done), (None, None))
        if unit is not None and crashed is not None:
            unit[crashed] = True
        super().remove_node(node)
        return crashed
