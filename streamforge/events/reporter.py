"""How a worker's activity tells its progress: cheap to call, coalesced, and never a reason for a job to fail."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Self
from uuid import UUID

import structlog

from streamforge.contracts.events import JobChange, LoggedEvent, PartProgress
from streamforge.db.retry import until_available
from streamforge.errors import DatabaseUnavailable
from streamforge.events.log import EventLog

CLOSING_PATIENCE = 5.0
UNCHANGED_FOR = 1.0

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class _Report:
    change: JobChange
    part: PartProgress | None

    def says_nothing_new(self, before: "_Report") -> bool:
        return self.part == before.part and self.change == before.change


class Reporter:
    """`async with Reporter(log, job_id) as reporter: …`

    `report` keeps only the latest progress (of each part, where there are parts) and returns at once; a background task
    writes it, at most once per `min_interval` seconds. `state` writes a change that must not be lost, after all progress
    that was reported before it. While the database is away both wait for it, and only `state` lets its caller wait.
    """

    def __init__(self, log: EventLog, job_id: UUID, min_interval: float = 0.25) -> None:
        self._log = log
        self._job_id = job_id
        self._min_interval = min_interval
        self._pending: dict[str | None, _Report] = {}
        self._written: dict[str | None, tuple[_Report, float]] = {}
        self._wake = asyncio.Event()
        self._in_order = asyncio.Lock()
        self._writer: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._writer = asyncio.create_task(self._write_progress(), name=f"reporter {self._job_id}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write the last progress, if that takes no longer than CLOSING_PATIENCE."""
        assert self._writer is not None
        self._writer.cancel()
        with suppress(asyncio.CancelledError):
            await self._writer
        try:
            async with asyncio.timeout(CLOSING_PATIENCE):
                await until_available(self._flush)
        except TimeoutError:
            log.warning("progress dropped, the database is away", job_id=str(self._job_id))

    def report(self, change: JobChange, part: PartProgress | None = None) -> None:
        """Progress, latest wins. Call it as often as you like, from the event loop's thread."""
        self._pending[part.part if part else None] = _Report(change, part)
        self._wake.set()

    async def state(self, change: JobChange) -> LoggedEvent | None:
        """A change that must be in the log before the caller goes on. None when the job is already over."""

        async def flush_then_append() -> LoggedEvent | None:
            await self._flush()
            return await self._log.append(self._job_id, change)

        return await until_available(flush_then_append)

    async def _write_progress(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            await until_available(self._flush)
            await asyncio.sleep(self._min_interval)

    async def _flush(self) -> None:
        """Write what is pending. What the database did not take stays pending, unless something newer came."""
        async with self._in_order:
            taken, self._pending = self._pending, {}
            try:
                for key, report in list(taken.items()):
                    await self._write(key, report)
                    del taken[key]
            finally:
                self._pending = {**taken, **self._pending}

    async def _write(self, key: str | None, report: _Report) -> None:
        now = asyncio.get_running_loop().time()
        if key in self._written:
            before, at = self._written[key]
            if report.says_nothing_new(before) and now - at < UNCHANGED_FOR:
                return
        try:
            await self._append(report)
        except DatabaseUnavailable:
            raise
        except Exception:
            # Progress is a courtesy: a defect in telling about the work must not end the work.
            log.exception("progress could not be written", job_id=str(self._job_id))
        self._written[key] = (report, now)

    async def _append(self, report: _Report) -> None:
        if report.part is None:
            await self._log.append(self._job_id, report.change)
        else:
            await self._log.append_part(self._job_id, report.change, report.part)
