"""What parts print is set aside when it is much, while they go on printing."""

import os
import signal
import sys
from pathlib import Path

import pytest

from streamforge.embedded.child import Child
from streamforge.embedded.printed import set_aside_when_full

PRINT_AND_GO_ON_WHEN_TOLD = """
import signal
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
for round in ("first", "second", "third", "fourth"):
    for number in range(100):
        print(round, number, flush=True)
    signal.sigwait([signal.SIGUSR1])
"""


def lines(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


async def until_printed(child: Child, last: str) -> None:
    async def printed() -> bool:
        return child.last_words() == last

    await child.wait_until(printed, 20)


async def test_it_goes_on_at_the_beginning_of_an_emptied_file_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    child = Child("part", [sys.executable, "-c", PRINT_AND_GO_ON_WHEN_TOLD], log)
    child.start()
    try:
        for word in ("first", "second", "third"):
            await until_printed(child, f"{word} 99")
            set_aside_when_full(log, most_bytes=500, count=3)
            assert log.stat().st_size == 0
            os.kill(child.pid, signal.SIGUSR1)
        await until_printed(child, "fourth 99")
    finally:
        await child.stop(5)
    for name, word in (("part.log", "fourth"), ("part.log.1", "third"), ("part.log.2", "second")):
        assert lines(tmp_path / name) == [f"{word} {number}" for number in range(100)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["part.log", "part.log.1", "part.log.2"]


@pytest.mark.parametrize("count", [0, 1])
def test_where_one_is_enough_it_is_only_emptied(tmp_path: Path, count: int) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * 1000)
    set_aside_when_full(log, most_bytes=1000, count=count)
    assert [(path.name, path.stat().st_size) for path in tmp_path.iterdir()] == [("part.log", 0)]


def test_what_is_little_stays(tmp_path: Path) -> None:
    log = tmp_path / "part.log"
    log.write_bytes(b"x" * 999)
    set_aside_when_full(log, most_bytes=1000, count=3)
    set_aside_when_full(tmp_path / "not there yet.log", most_bytes=1000, count=3)
    assert [path.name for path in tmp_path.iterdir()] == ["part.log"]
