"""The worker's side of media children: start one, hear its progress, kill it at once."""

import asyncio
import contextlib
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
from streamforge.media.process.limits import Limits
from streamforge.observability import metrics
from streamforge.observability.tracing import span
from streamforge.settings import MediaSettings

MAX_LINE_BYTES = 64 * 2**20
"""A result of a ten-hour film names some ten thousand segments; anything longer is not from our code."""


MAX_SAID = 20_000
"""Characters of a line that a child wants in the log: it reads hostile bytes, and may say anything."""

# The standard library's: commands that run children without a log, such as `plan`, print nothing but their answer.
log = logging.getLogger(__name__)

ENVIRONMENT = {"SVT_LOG": "1", "OPENBLAS_NUM_THREADS": "1"}
"""SVT-AV1 otherwise prints thirty lines for every chunk; numpy's linear algebra, of which a child needs next to nothing,
otherwise keeps a thread and its memory for every core."""


class MediaChildren:
    """Runs tasks, each in a process of its own with limits on memory, files and silence.

    One per worker process; `async with` stops the zygote behind it.
    """

    def __init__(self, memory_bytes: int, stall_seconds: float, cpu_seconds: int = 4 * 3600) -> None:
        self._limits = Limits(memory_bytes=memory_bytes, cpu_seconds=cpu_seconds)
        self._stall_seconds = stall_seconds
        self._zygote: asyncio.subprocess.Process | None = None
        self._requests: socket.socket | None = None
        self._starting = asyncio.Lock()

    @classmethod
    def of(cls, settings: MediaSettings) -> "MediaChildren":
        return cls(settings.memory_limit_bytes, settings.stall_timeout_seconds, settings.cpu_limit_seconds)

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
        reader, writer = await self._fork()
        child = _Child()
        try:
            request = {"task": task.name, "input": task_input.model_dump_json(), "limits": self._limits.model_dump()}
            writer.write(json.dumps(request).encode() + b"\n")
            await writer.drain()
            answer = await self._listen(reader, child, lambda told: tell(task.tells.model_validate(told)))
            return task.gives.model_validate_json(answer)
        finally:
            child.kill()
            writer.close()

    async def _listen(
        self, reader: asyncio.StreamReader, child: "_Child", on_progress: Callable[[dict[str, Any]], None]
    ) -> str:
        while True:
            try:
                line = await asyncio.wait_for(reader.readline(), self._stall_seconds)
            except TimeoutError:
                raise SourceTooExpensive(
                    f"The video made no progress for {self._stall_seconds:.0f} seconds and was given up."
                ) from None
            message: dict[str, Any] = json.loads(line) if line else {"exit": None}
            match message:
                case {"pid": pid}:
                    child.pid = pid
                case {"log": str(said)}:
                    log.error("media child said", extra={"child": child.pid, "said": said[:MAX_SAID]})
                case {"progress": dict(progress)}:
                    on_progress(progress)
                case {"result": answer}:
                    return str(answer)
                case {"error": dict(error)}:
                    raise _rebuilt(error)
                case {"exit": code}:
                    child.pid = None
                    if code == -signal.SIGXCPU:
                        raise SourceTooExpensive("A piece of the video took more computing time than it may.")
                    raise MediaChildCrashed("The media process died while working on this video.", debug=f"exit {code}")

    async def _fork(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                socket.send_fds(await self._ensure_zygote(), [b"f"], [theirs.fileno()])
            except (BrokenPipeError, ConnectionResetError):
                self._zygote = None
                socket.send_fds(await self._ensure_zygote(), [b"f"], [theirs.fileno()])
        return await asyncio.open_unix_connection(sock=ours, limit=MAX_LINE_BYTES)

    async def _ensure_zygote(self) -> socket.socket:
        async with self._starting:
            if self._zygote is None or self._zygote.returncode is not None or self._requests is None:
                if self._requests is not None:
                    self._requests.close()
                self._requests, theirs = socket.socketpair()
                with theirs:
                    self._zygote = await asyncio.create_subprocess_exec(
                        sys.executable,
                        "-m",
                        "streamforge.media.process.zygote",
                        stdin=theirs.fileno(),
                        env=os.environ | ENVIRONMENT,
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


class _Child:
    """`pid` is set while the process is known to live: after its exit the number may belong to somebody else."""

    pid: int | None = None

    def kill(self) -> None:
        if self.pid is None:
            return
        for kill in (os.killpg, os.kill):  # The group does not exist in the first instant of the child's life.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                kill(self.pid, signal.SIGKILL)


def _rebuilt(error: dict[str, Any]) -> StreamForgeError:
    return by_code(error["code"])(error["message"], debug=error["debug"])
