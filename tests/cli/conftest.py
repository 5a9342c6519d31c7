"""A `streamforge up` for a test."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from commandline import StartUp, Up, clean_up, start

ODD_NAME = "d\u00e4ta #1?x=%20%d 'a'"


@pytest.fixture
def up(tmp_path: Path) -> Iterator[StartUp]:
    """Starts `up` on a data folder of this test."""
    data_dir = tmp_path / ODD_NAME
    started: list[Up] = []

    def begin(*arguments: str, **settings: str) -> Up:
        started.append(start(data_dir, *arguments, **settings))
        return started[-1]

    yield begin
    clean_up(data_dir, *started)


@pytest.fixture(scope="module")
def shared_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One `up` without a worker, for tests that only look at it."""
    running = start(tmp_path_factory.mktemp("shared") / "data", "--no-worker")
    yield running
    clean_up(running.data_dir, running)
