"""One child process: where its output goes, how it is told to stop, and that it never outlives us."""

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import psutil

from streamforge.embedded.ports import Port
from streamforge.errors import ServiceError

POLL_SECONDS = 0.03
"""To ask a part whether it listens takes milliseconds, of which it has need itself while it starts."""
PORT_TRIES = 3
LOG_TAIL_BYTES = 4096


class ChildDied(ServiceError):
    """A child process ended while it was needed."""

    code = "setup.part_died"


class EndedAtStart(ChildDied):
    """By itself, as it does when another program has its port."""


class Child:
    """A child process with a log file, in a session of its own: Ctrl-C in a terminal reaches only us, and we decide
    the order in which children stop. Bound to no event loop, so that it can be stopped from another one.

    On Linux `stop_signal` is also what the kernel sends when we are gone, even by kill -9. That is tied to the
    *thread* that called `start`: call it from one that lives as long as the child should.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        *,
        privileges: Sequence[str] = (),
        stop_signal: signal.Signals = signal.SIGTERM,
        env: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        """`folder` is where it works; ours when None."""
        self.name = name
        self.log = log
        self._command = [*_die_with_parent(stop_signal, privileges), *command]
        self._stop_signal = stop_signal
        self._env = env
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(  # noqa: S603 - a list, no shell; programs and options of ours
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env=self._env,
                cwd=self._folder,
            )

    @property
    def pid(self) -> int:
        return self._started().pid

    @property
    def has_started(self) -> bool:
        return self._process is not None

    @property
    def is_alive(self) -> bool:
        return self.has_started and self.exit_code is None

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative when a signal ended it."""
        return self._started().poll()

    async def wait(self) -> int:
        # Polled: waiting in a thread would keep a pool's thread for the life of every child.
        while (code := self.exit_code) is None:  # noqa: ASYNC110
            await asyncio.sleep(POLL_SECONDS)
        return code

    def listens_on(self, port: int) -> bool:
        """Whether it is really this process that answers there, and not somebody who was quicker."""
        with contextlib.suppress(psutil.Error):
            found = psutil.Process(self.pid).net_connections("tcp")
            return any(each.status == psutil.CONN_LISTEN and each.laddr.port == port for each in found)
        return False

    async def wait_until(self, is_ready: Callable[[], Awaitable[bool]], timeout_seconds: float) -> None:
        """Raises ChildDied, with the last line of its log, when it ends or is not ready in time."""
        deadline = time.monotonic() + timeout_seconds
        while not await is_ready():
            if (code := self.exit_code) is not None:
                raise EndedAtStart(f"{self.name} ended with code {code} at its start: {self.last_words()}")
            if time.monotonic() > deadline:
                raise ChildDied(f"{self.name} was not ready after {timeout_seconds:.0f} s; see {self.log}.")
            await asyncio.sleep(POLL_SECONDS)

    async def stop(self, grace_seconds: float) -> None:
        """Ask, wait, insist."""
        if self._process is None:
            return
        if self.exit_code is None:
            self._process.send_signal(self._stop_signal)
        try:
            await asyncio.wait_for(self.wait(), grace_seconds)
        except TimeoutError:
            # The whole session: a worker's media children must not go on encoding for nobody.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            await self.wait()

    def last_words(self) -> str:
        with self.log.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LOG_TAIL_BYTES))
            lines = log.read().decode(errors="replace").strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def _started(self) -> "subprocess.Popen[bytes]":
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process


async def start_on(start: Callable[[], Awaitable[None]], stop: Callable[[], Awaitable[None]], *chosen: Port) -> None:
    """`start`, again while it may fail because somebody else has one of these ports, and others can be chosen. Whoever had
    it for a moment only, as the near end of a connection, is gone when we look: a part that ends by itself gets other ports
    in any case.

    Raises ChildDied.
    """
    for _ in range(PORT_TRIES):
        try:
            await start()
            return
        except ChildDied as died:
            await stop()
            ended = isinstance(died, EndedAtStart)
            moved = [port.choose_again(even_if_free=ended) for port in chosen]
            if not any(moved):
                raise
    await start()


def _die_with_parent(stop_signal: signal.Signals, privileges: Sequence[str]) -> list[str]:
    """setpriv rather than preexec_fn: Python code between fork and exec can deadlock in a program with threads, and
    setpriv sets the death signal after the change of user, which would clear it. Where there is no setpriv (macOS),
    the next `up` cleans up instead."""
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        return []
    return [setpriv, "--pdeathsig", stop_signal.name.removeprefix("SIG"), *privileges]
