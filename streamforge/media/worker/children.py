"""The worker's side of media children: start one, hear its progress, kill it at once."""

import asyncio
import contextlib
import contextvars
import json
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from streamforge.contracts.tasks import In, Out, Progress, Task
from streamforge.errors import MediaChildCrashed, SourceTooExpensive, StreamForgeError, by_code
from streamforge.kernel.environment import without_secrets
from streamforge.media.process.limits import Limits
from streamforge.media.worker.written import quote
from streamforge.observability import metrics
from streamforge.observability.tracing import span
from streamforge.settings import MediaSettings, SandboxMode

MAX_LINE_BYTES = 64 * 2**20
"""A result of a ten-hour film names some ten thousand segments; anything longer is not from our code."""


CLOSING_SECONDS = 2.0

MAX_SAID = 20_000
"""Characters of a line that a child wants in the log: it reads hostile bytes, and may say anything."""

# The standard library's: commands that run children without a log, such as `plan`, print nothing but their answer.
log = logging.getLogger(__name__)

PROGRAM = ("-m", "streamforge.media.process.zygote")

ENVIRONMENT = {"SVT_LOG": "1", "OPENBLAS_NUM_THREADS": "1"}
"""SVT-AV1 otherwise prints thirty lines for every chunk; numpy's linear algebra, of which a child needs next to nothing,
otherwise keeps a thread and its memory for every core."""

PASSED_ON_KINDS = ("CUDA_", "NVIDIA_", "OMP_", "MKL_", "KMP_", "CT2_")
"""Of a worker's environment, beside what everybody needs, by how it begins. Everything else stays with the worker."""


class MediaChildren:
    """Runs tasks, each in a process of its own with limits on memory, files and silence.

    One per worker process; `async with` stops the zygote behind it.
    """

    program = PROGRAM

    def __init__(
        self,
        memory_bytes: int,
        stall_seconds: float,
        cpu_seconds: int = 4 * 3600,
        file_bytes: int = 64 * 2**30,
        sandbox: SandboxMode = "auto",
    ) -> None:
        self._limits = Limits(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds, file_bytes=file_bytes)
        self._stall_seconds = stall_seconds
        self._sandbox = sandbox
        self._zygote: asyncio.subprocess.Process | None = None
        self._requests: socket.socket | None = None
        self._quoting: asyncio.Task[None] | None = None
        self._starting = asyncio.Lock()

    @classmethod
    def of(cls, settings: MediaSettings) -> "MediaChildren":
        return cls(
            settings.memory_limit_bytes,
            settings.stall_timeout_seconds,
            settings.cpu_limit_seconds,
            settings.file_limit_bytes,
            settings.sandbox,
        )

    async def __aenter__(self) -> "MediaChildren":
        await self._ensure_zygote()
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._requests is not None:
            self._requests.close()
        if self._zygote is not None:
            with contextlib.suppress(ProcessLookupError):
                self._zygote.kill()
            await self._zygote.wait()
        if self._quoting is not None:
            # To the end of what was written: its children die with it.
            await asyncio.wait({self._quoting}, timeout=CLOSING_SECONDS)
            self._quoting.cancel()

    async def run(
        self,
        task: Task[In, Out, Progress],
        task_input: In,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> Out:
        """Run one task to its end. Cancelling the caller kills the child and everything it started, at once.

        Raises what the task raised, MediaChildCrashed when it died by a signal, SourceTooExpensive when it stalled.
        """
        with metrics.CHILDREN.labels(task.name).track_inprogress(), _measured(task.name):
            return await self._run(task, task_input, on_progress or (lambda _: None))

    async def _run(self, task: Task[In, Out, Progress], task_input: In, tell: Callable[[Progress], None]) -> Out:
        child = await self._fork()
        try:
            request = {"task": task.name, "input": task_input.model_dump_json(), "limits": self._limits.model_dump()}
            await child.ask(json.dumps(request).encode() + b"\n")
            await child.learn_pid()
            answer = await self._listen(child, lambda told: tell(task.tells.model_validate(told)))
            return task.gives.model_validate_json(answer)
        finally:
            child.end()

    async def _listen(self, child: "_Child", on_progress: Callable[[dict[str, Any]], None]) -> str:
        while True:
            try:
                line = await asyncio.wait_for(child.answers.readline(), self._stall_seconds)
            except TimeoutError:
                raise SourceTooExpensive(
                    f"The video made no progress for {self._stall_seconds:.0f} seconds and was given up."
                ) from None
            match json.loads(line) if line else None:
                case {"log": str(said)}:
                    log.error("media child said", extra={"child": child.pid, "said": said[:MAX_SAID]})
                case {"progress": dict(progress)}:
                    on_progress(progress)
                case {"result": answer}:
                    return str(answer)
                case {"error": dict(error)}:
                    raise _rebuilt(error)
                case None:
                    raise _why_it_died(await child.exit_code(self._stall_seconds))

    async def _fork(self) -> "_Child":
        (answers, task), (reports, report) = socket.socketpair(), socket.socketpair()
        with task, report:
            handles = [task.fileno(), report.fileno()]
            try:
                socket.send_fds(await self._ensure_zygote(), [b"f"], handles)
            except (BrokenPipeError, ConnectionResetError):
                self._zygote = None
                socket.send_fds(await self._ensure_zygote(), [b"f"], handles)
        return await _Child.at(answers, reports)

    async def _ensure_zygote(self) -> socket.socket:
        async with self._starting:
            if self._zygote is None or self._zygote.returncode is not None or self._requests is None:
                if self._requests is not None:
                    self._requests.close()
                self._requests, theirs = socket.socketpair()
                with theirs:
                    self._zygote = await asyncio.create_subprocess_exec(
                        sys.executable,
                        *self.program,
                        self._sandbox,
                        stdin=theirs.fileno(),
                        stdout=asyncio.subprocess.PIPE,
                        stderr=asyncio.subprocess.STDOUT,
                        env=_environment(),
                    )
                assert self._zygote.stdout is not None
                # Out of any context: that of the job which first needs a zygote would be said of what the children of all others
                # write, and its owner may read what is said of it.
                self._quoting = asyncio.create_task(
                    quote(self._zygote.stdout), name="what media children write", context=contextvars.Context()
                )
            return self._requests


@contextlib.contextmanager
def _measured(task: str) -> Iterator[None]:
    """By what became of the child: done, the code of its error, or cancelled."""
    began, outcome = time.perf_counter(), "cancelled"
    try:
        with span(f"child {task}"):
            yield
        outcome = "done"
    except StreamForgeError as error:
        outcome = error.code
        raise
    finally:
        seconds = time.perf_counter() - began
        metrics.CHILD_SECONDS.labels(task, outcome).observe(seconds)
        log.info("media child ended", extra={"task": task, "outcome": outcome, "seconds": round(seconds, 3)})


def _environment() -> dict[str, str]:
    """A child that is taken over can read its own."""
    return without_secrets("IMAGEIO_FFMPEG_EXE", kinds=PASSED_ON_KINDS) | ENVIRONMENT


class _Child:
    """What the child says and what the zygote says of it come by two ways. Only the latter is believed about processes."""

    def __init__(
        self,
        answers: asyncio.StreamReader,
        requests: asyncio.StreamWriter,
        reports: asyncio.StreamReader,
        zygote: asyncio.StreamWriter,
    ) -> None:
        self.answers = answers
        self._requests = requests
        self._reports = reports
        self._zygote = zygote
        self.pid: int | None = None
        """Set while the process is known to live: after its exit the number may belong to somebody else."""

    @classmethod
    async def at(cls, answers: socket.socket, reports: socket.socket) -> "_Child":
        return cls(
            *await asyncio.open_unix_connection(sock=answers, limit=MAX_LINE_BYTES),
            *await asyncio.open_unix_connection(sock=reports),
        )

    async def learn_pid(self) -> None:
        """Raises MediaChildCrashed."""
        line = await self._reports.readline()
        if not line:
            raise MediaChildCrashed("The media process died while working on this video.", debug="no process")
        self.pid = int(json.loads(line)["pid"])

    async def ask(self, request: bytes) -> None:
        self._requests.write(request)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # It is dead, and its exit says why.
            await self._requests.drain()

    async def exit_code(self, timeout_seconds: float) -> int | None:
        """None where nobody saw it, because the zygote is dead, too, or where it closed its socket and lives on."""
        try:
            line = await asyncio.wait_for(self._reports.readline(), timeout_seconds)
        except TimeoutError:
            return None
        self.pid = None
        return int(json.loads(line)["exit"]) if line else None

    def end(self) -> None:
        """Whoever is not known yet the zygote kills, when its socket closes."""
        self._kill()
        self._requests.close()
        self._zygote.close()

    def _kill(self) -> None:
        if self.pid is None:
            return
        for kill in (os.killpg, os.kill):  # The group does not exist in the first instant of the child's life.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)


def _why_it_died(code: int | None) -> StreamForgeError:
    if code == -signal.SIGXCPU:
        return SourceTooExpensive("A piece of the video took more computing time than it may.")
    if code == -signal.SIGXFSZ:
        return SourceTooExpensive("This video makes a file that is larger than one may be.")
    return MediaChildCrashed("The media process died while working on this video.", debug=f"exit {code}")


def _rebuilt(error: dict[str, Any]) -> StreamForgeError:
    return by_code(error["code"])(error["message"], debug=error["debug"])
