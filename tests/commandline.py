"""Runs the real `streamforge` command, away from this checkout's settings."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
from forked_command import ForkedCommands

from streamforge.embedded import endpoints, leftovers
from streamforge.embedded.endpoints import RunFile

ANY_PORTS = ["--port", "0", "--temporal-port", "0", "--ui-port", "0"]


def environment(**settings: str) -> dict[str, str]:
    """Ours, without the StreamForge settings of whoever runs the tests."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STREAMFORGE_")}
    return inherited | settings


FORKED = ForkedCommands()


def streamforge(*arguments: str, cwd: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """In a fork of a process that has loaded it already: a fifth of the work."""
    return FORKED.run(list(arguments), cwd, environment(**settings))


def fresh_streamforge(*arguments: str, cwd: Path, **settings: str) -> "subprocess.CompletedProcess[str]":
    """In a process of its own, as a shell starts it."""
    command = [sys.executable, "-m", "streamforge", *arguments]
    return subprocess.run(command, cwd=cwd, env=environment(**settings), capture_output=True, text=True, check=False)


def processes_of(data_dir: Path) -> list[psutil.Process]:
    """Everything that runs for `data_dir`: it names the folder, or works in it."""
    return leftovers.matching(
        lambda process: (
            leftovers.is_alive(process)
            and process.pid != os.getpid()
            and (str(data_dir) in " ".join(process.cmdline()) or process.cwd().startswith(str(data_dir)))
        )
    )


@dataclass
class Up:
    """A running `streamforge up`, ready."""

    process: "subprocess.Popen[str]"
    data_dir: Path

    @property
    def parts(self) -> RunFile:
        parts = endpoints.read(self.data_dir)
        assert parts is not None
        return parts

    def pid_of(self, name: str) -> int:
        return next(record.pid for record in self.parts.processes if record.name == name)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=30)


StartUp = Callable[..., Up]


def start(data_dir: Path, *arguments: str, **settings: str) -> Up:
    """Returns when it says that it is ready."""
    command = [sys.executable, "-m", "streamforge", "up", *ANY_PORTS, "--data-dir", str(data_dir), *arguments]
    with (data_dir.parent / "up.stderr").open("a") as stderr:
        process = subprocess.Popen(
            command,
            cwd=data_dir.parent,
            env=environment(**settings),
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("Try it:"):
            return Up(process, data_dir)
    process.wait()
    process.stdout.close()
    raise AssertionError((data_dir.parent / "up.stderr").read_text())


def clean_up(data_dir: Path, *started: Up) -> None:
    """Whatever a failed test has left running."""
    leftovers.end_all(processes_of(data_dir), signal.SIGKILL, grace_seconds=5)
    for each in started:
        each.process.wait()
        assert each.process.stdout is not None
        each.process.stdout.close()
