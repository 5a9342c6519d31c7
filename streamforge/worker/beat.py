"""A worker tells of itself every few seconds, and hears whether it is to stop."""

import asyncio
import os
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from temporalio import activity
from temporalio.worker import ActivityInboundInterceptor, ExecuteActivityInput, Interceptor

from streamforge.contracts.worker_view import AboutWorker, RunningWork
from streamforge.db.workers import Beats
from streamforge.errors import DatabaseUnavailable

BEAT_SECONDS = 5.0

log = structlog.stdlib.get_logger(__name__)


class Work(Interceptor):
    """What runs here now."""

    def __init__(self) -> None:
        self._running: dict[bytes, RunningWork] = {}

    @property
    def running(self) -> list[RunningWork]:
        """The oldest first."""
        return list(self._running.values())

    def intercept_activity(self, next: ActivityInboundInterceptor) -> ActivityInboundInterceptor:
        return _Inbound(super().intercept_activity(next), self._running)


class _Inbound(ActivityInboundInterceptor):
    def __init__(self, next: ActivityInboundInterceptor, running: dict[bytes, RunningWork]) -> None:
        super().__init__(next)
        self._running = running

    async def execute_activity(self, input: ExecuteActivityInput) -> Any:
        info = activity.info()
        work = RunningWork(
            activity=info.activity_type, job_id=_job_id(input.args), attempt=info.attempt, began_at=datetime.now(UTC)
        )
        self._running[info.task_token] = work
        try:
            return await super().execute_activity(input)
        finally:
            del self._running[info.task_token]


def _job_id(args: Any) -> UUID | None:
    found = getattr(args[0], "job_id", None) if args else None
    return found if isinstance(found, UUID) else None


@asynccontextmanager
async def beating(beats: Beats, about: Callable[[], AboutWorker], drain: asyncio.Event) -> AsyncIterator[None]:
    """While the block runs. `drain` is set when somebody has asked for that."""
    task = asyncio.create_task(_beat(beats, about, drain), name="beat")
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        with suppress(DatabaseUnavailable):
            await beats.say_goodbye()


async def _beat(beats: Beats, about: Callable[[], AboutWorker], drain: asyncio.Event) -> None:
    while True:
        try:
            if await beats.tell(await asyncio.to_thread(about)) and not drain.is_set():
                log.info("asked to stop")
                drain.set()
        except DatabaseUnavailable as error:
            log.debug("nobody hears of this worker", reason=error.debug)
        await asyncio.sleep(BEAT_SECONDS)


def memory_used() -> int:
    """Of this process and those below it, in bytes; what goes meanwhile is left out, and all where there is no /proc."""
    waiting, pages = [str(os.getpid())], 0
    while waiting:
        process = Path("/proc") / waiting.pop()
        with suppress(OSError):
            pages += int((process / "statm").read_text(encoding="ascii").split()[1])
            for thread in (process / "task").iterdir():
                waiting += (thread / "children").read_text(encoding="ascii").split()
    return pages * resource.getpagesize()
