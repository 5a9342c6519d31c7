"""What a killed `up` left running is ended by the next one; what merely looks like it is not."""

import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from streamforge.embedded import leftovers
from streamforge.embedded.endpoints import ProcessRecord, RunFile

STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(600)"
)
PARENT = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {STUBBORN!r}])"


def record(pid: int, *, off_by_seconds: float = 0) -> RunFile:
    started_at = psutil.Process(pid).create_time() + off_by_seconds
    return RunFile(
        dsn="", temporal_address="", api_url="",
        processes=[ProcessRecord(name="worker", pid=pid, started_at=started_at)],
    )  # fmt: skip


@pytest.fixture
def orphan() -> Iterator[psutil.Process]:
    """A process with a child that does not listen to SIGTERM."""
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        yield psutil.Process(process.pid)
        for each in [*psutil.Process(process.pid).children(), process]:
            each.kill()


def test_recorded_processes_are_ended_with_their_children_even_when_they_refuse(
    orphan: psutil.Process, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "GRACE_SECONDS", 0.2)
    family = [orphan, *orphan.children()]

    leftovers.end_recorded(record(orphan.pid))

    assert len(family) == 2
    assert not any(leftovers.is_alive(process) for process in family)


def test_a_later_process_with_a_recorded_pid_is_left_alone(orphan: psutil.Process) -> None:
    leftovers.end_recorded(record(orphan.pid, off_by_seconds=-60))
    assert leftovers.is_alive(orphan)


def test_nothing_recorded_is_nothing_to_end() -> None:
    leftovers.end_recorded(None)
