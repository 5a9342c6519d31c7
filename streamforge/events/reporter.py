"""How a worker's activity tells its progress: cheap to call, coalesced, and never a reason for a job to fail."""

import asyncio
from types import TracebackType
from typing import Self
from uuid import UUID
from weakref import WeakKeyDictionary, WeakValueDictionary

import structlog

from streamforge.background import stop
from streamforge.contracts.events import JobChange, LoggedEvent, PartProgress
from streamforge.contracts.job import Stage
from streamforge.errors import DatabaseUnavailable
from streamforge.events.log import Entry, EventLog, Report
from streamforge.retry import until_available

LAST_PROGRESS_TIMEOUT_SECONDS = 5.0
UNCHANGED_FOR = 1.0
MIN_INTERVAL = 0.25

log = structlog.stdlib.get_logger(__name__)

_Part = tuple[Stage, str] | None


class Reporter:
    """`async with Reporter(log, job_id) as reporter: …`

    `report` keeps only the latest progress (of each part, where there are parts) and returns at once. `state` writes a
    change that must not be lost, after all progress that was reported before it. While the database is away both wait for
    it, and only `state` lets its caller wait.

    However many activities of a worker report on one job at the same time, their progress shares one row in
    `min_interval` seconds: the row tells the latest message, and counts what all of them have done.
    """

    def __init__(self, log: EventLog, job_id: UUID, min_interval: float = MIN_INTERVAL) -> None:
        self._progress = _progress_of(log, job_id, min_interval)
        self._log = log
        self._job_id = job_id

    async def __aenter__(self) -> Self:
        self._progress.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the last progress, if that takes no longer than LAST_PROGRESS_TIMEOUT_SECONDS."""
        await self._progress.close()

    def report(self, change: JobChange, part: PartProgress | None = None) -> None:
        """Progress, latest wins. Call it as often as you like, from the event loop's thread."""
        self._progress.put(change, part)

    async def state(self, change: JobChange) -> LoggedEvent | None:
        """A change that must be in the log before the caller goes on. None when the job is already over."""
        entry = Entry(self._job_id, change)

        async def flush_then_write() -> LoggedEvent | None:
            await self._progress.flush()
            return await self._log.write(entry)

        return await until_available(flush_then_write)


class _Progress:
    """What this worker has to tell about one job: the latest of each part, and the message that came last."""

    def __init__(self, log: EventLog, job_id: UUID, min_interval: float) -> None:
        self._log = log
        self._job_id = job_id
        self._min_interval = min_interval
        self._users = 0
        self._pending: dict[_Part, tuple[JobChange, PartProgress | None]] = {}
        self._written: dict[_Part, tuple[JobChange, PartProgress | None, float]] = {}
        self._unsure: Entry | None = None
        """Written or not: the connection died. What comes next says the same or more, and takes its place."""
        self._wake = asyncio.Event()
        self._in_order = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    def open(self) -> None:
        self._users += 1
        if self._writer is None:
            self._writer = asyncio.create_task(self._write_now_and_then(), name=f"progress {self._job_id}")

    async def close(self) -> None:
        self._users -= 1
        if self._users == 0 and self._writer is not None:
            writer, self._writer = self._writer, None
            await stop(writer)
        try:
            async with asyncio.timeout(LAST_PROGRESS_TIMEOUT_SECONDS):
                await until_available(self.flush)
        except TimeoutError:
            log.warning("progress dropped, the database is away", job_id=str(self._job_id))

    def put(self, change: JobChange, part: PartProgress | None) -> None:
        key = None if part is None else (change.stage, part.part)
        self._pending.pop(key, None)  # The latest comes last.
        self._pending[key] = (change, part)
        self._wake.set()

    async def flush(self) -> None:
        """Write what is pending, as one row. What the database did not take stays pending, unless something newer came."""
        async with self._in_order:
            self._forget_repetitions()
            taken = list(self._pending.items())
            if not taken:
                return
            await self._write(self._entry(taken))
            now = asyncio.get_running_loop().time()
            for key, told in taken:
                self._written[key] = (*told, now)
                if self._pending.get(key) is told:
                    del self._pending[key]

    async def _write_now_and_then(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await until_available(self.flush)
            await asyncio.sleep(self._min_interval)

    def _entry(self, taken: list[tuple[_Part, tuple[JobChange, PartProgress | None]]]) -> Entry:
        change = taken[-1][1][0]
        reports = [Report(told.stage, part) for _, (told, part) in taken if part is not None]
        if self._unsure is not None and (self._unsure.change, self._unsure.reports) == (change, reports):
            return self._unsure
        return Entry(self._job_id, change, reports)

    async def _write(self, entry: Entry) -> None:
        self._unsure = entry
        try:
            await self._log.write(entry)
        except (DatabaseUnavailable, asyncio.CancelledError):
            entry.may_be_there = True
            raise
        except Exception:
            # Progress is a courtesy: a defect in telling about the work must not end the work.
            log.exception("progress could not be written", job_id=str(self._job_id))
        self._unsure = None

    def _forget_repetitions(self) -> None:
        """What was told a moment ago."""
        now = asyncio.get_running_loop().time()
        for key, told in list(self._pending.items()):
            *before, at = self._written.get(key, (None, None, 0.0))
            if tuple(before) == told and now - at < UNCHANGED_FOR:
                del self._pending[key]


_shared: WeakKeyDictionary[EventLog, WeakValueDictionary[UUID, _Progress]] = WeakKeyDictionary()


def _progress_of(log: EventLog, job_id: UUID, min_interval: float) -> _Progress:
    """The one that all reporters of this job in this process share."""
    jobs = _shared.setdefault(log, WeakValueDictionary())
    progress = jobs.get(job_id)
    if progress is None:
        progress = jobs[job_id] = _Progress(log, job_id, min_interval)
    return progress
