"""The event log: every change of a job is one numbered row, written in the same transaction as the change itself."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from pydantic import BaseModel

from streamforge.contracts.events import JobChange, LoggedEvent, PartProgress
from streamforge.contracts.job import Stage
from streamforge.contracts.stored import read_as_far_as_possible
from streamforge.db.pool import Database, Row
from streamforge.errors import DatabaseUnavailable
from streamforge.observability import metrics

STAGES_IN_ORDER = [stage.value for stage in Stage]
MAX_EVENTS_PER_TRANSACTION = 200
"""Entries in one transaction at most: what a batch holds, it locks."""


@dataclass(frozen=True)
class Report:
    """How far one part of a stage is."""

    stage: Stage
    part: PartProgress


@dataclass
class Entry:
    """One event to be written. Written again after its connection died, it is found, not doubled: by its token."""

    job_id: UUID
    change: JobChange
    reports: Sequence[Report] = ()
    token: UUID = field(default_factory=uuid4)
    may_be_there: bool = False


class OwnLog:
    """The log of one owner, to be read. All methods raise DatabaseUnavailable."""

    def __init__(self, owner: str, database: Database) -> None:
        self.owner = owner
        self._own = self._seen = database.as_caller(owner)
        self._whose: str | None = owner
        """Of what can be asked for by its id; None: anybody's."""

    async def after(self, owner_seq: int, limit: int = 500) -> list[LoggedEvent]:
        """Events of all jobs of the owner with a number above `owner_seq`, in order."""
        return events_of(await self._own.look("owner_events_after", self.owner, owner_seq, limit))

    async def of_job(
        self, job_id: UUID, seq: int, limit: int = 500, since: datetime | None = None
    ) -> list[LoggedEvent]:
        """Events of a job with a number above `seq`."""
        return events_of(await self._seen.look("job_events_after", self._whose, job_id, seq, since, limit))

    async def of_batch(self, batch_id: UUID, owner_seq: int, limit: int = 500) -> list[LoggedEvent]:
        """Events of all jobs of a batch, in the numbers of its owner."""
        return events_of(await self._seen.look("batch_events_after", self._whose, batch_id, owner_seq, limit))


class AllLogs(OwnLog):
    """What an administrator may read: the log of any job and any batch, and as a whole their own."""

    def __init__(self, owner: str, database: Database) -> None:
        super().__init__(owner, database)
        self._seen = database.as_admin()
        self._whose = None


class EventLog:
    """Append to the log and read from it.

    Why a reader who remembers the last number it saw misses nothing. An append first takes the lock of its job's row,
    raises the job's `event_seq` under it, then does the same with the row of the job's owner, and holds both until
    commit. So event n is committed before n + 1 can even get its number, in the job's counting (`seq`) as in the owner's
    (`owner_seq`): whoever sees n + 1 sees n, an append that is rolled back leaves no gap, and "everything after n" is
    exact in any snapshot. The events of a batch are some of its owner's, in the owner's order: what holds for all of them
    holds for some. NOTIFY is part of the transaction: by the time a listener hears of n, n can be read. A notification
    that is lost costs nothing but a look into the table.

    What is appended while a transaction is on its way goes into the next one, all together: under load many events share
    one commit, and an event that comes alone waits for nobody. A transaction takes all its locks first, always in the
    same order (jobs, batches, owners, each by id), so writers never wait for each other in a circle.

    All methods raise DatabaseUnavailable. An append whose connection dies may have been committed all the same; to write
    the same Entry again finds it then.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: list[tuple[Entry, asyncio.Future[LoggedEvent | None]]] = []
        self._writer: asyncio.Task[None] | None = None

    async def append(self, job_id: UUID, change: JobChange, reports: Sequence[Report] = ()) -> LoggedEvent | None:
        """Write one event and what it changes. None, and nothing written, when the job is over or gone.

        With reports of parts, `change.progress` is what follows from all parts of their stages together.
        """
        return await self.write(Entry(job_id, change, reports))

    async def write(self, entry: Entry) -> LoggedEvent | None:
        """`append`, which can be repeated."""
        written: asyncio.Future[LoggedEvent | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((entry, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all(), name="event log")
        return await written

    def of(self, owner: str) -> "OwnLog":
        """All that a caller may read."""
        return OwnLog(owner, self._database)

    def of_all(self, owner: str) -> "OwnLog":
        """All that an administrator may read."""
        return AllLogs(owner, self._database)

    async def latest_numbers(self, job_ids: Iterable[UUID], owners: Iterable[str]) -> dict[str, int]:
        """How far these logs are, by the keys of their sources. What is gone is left out."""
        rows = await self._database.fetch("latest_numbers", list(job_ids), list(owners))
        return {row["key"]: row["number"] for row in rows}

    async def _write_all(self) -> None:
        while self._waiting:
            taken, self._waiting = (
                self._waiting[:MAX_EVENTS_PER_TRANSACTION],
                self._waiting[MAX_EVENTS_PER_TRANSACTION:],
            )
            await self._write_some(taken)

    async def _write_some(self, taken: Sequence[tuple[Entry, "asyncio.Future[LoggedEvent | None]"]]) -> None:
        """One that is refused for what it says must not take the others with it."""
        try:
            written = await self._transaction([entry for entry, _ in taken])
        except DatabaseUnavailable as error:
            for entry, future in taken:
                entry.may_be_there = True
                _fail(future, error)
        except Exception as error:
            if len(taken) > 1:
                for each in taken:
                    await self._write_some([each])
            else:
                _fail(taken[0][1], error)
        else:
            for entry, future in taken:
                if (event := written.get(entry.token)) is not None:
                    count(entry.change, event)
                if not future.done():
                    future.set_result(event)

    async def _transaction(self, entries: Sequence[Entry]) -> dict[UUID, LoggedEvent]:
        again = any(entry.may_be_there for entry in entries)
        changes = [change_of(entry) for entry in entries]
        with metrics.timed(metrics.EVENT_WRITE_SECONDS):
            rows = await self._database.fetch("append_events", changes, STAGES_IN_ORDER, again)
        return {UUID(str(row["token"])): event for row, event in zip(rows, events_of(rows), strict=True)}


def count(change: JobChange, event: LoggedEvent) -> None:
    metrics.EVENTS_WRITTEN.inc()
    if change.status is not None and change.status.is_over:
        metrics.JOBS_FINISHED.labels(change.status.value, change.error.fault if change.error else "").inc()
        if change.error is not None:
            metrics.JOB_FAILURES.labels(change.error.stage.value, change.error.code).inc()


def change_of(entry: Entry) -> dict[str, Any]:
    """What the function of the database takes. A key that is not there leaves the job row as it is."""
    change = entry.change
    stage, details = change.stage, change.details
    if change.status is not None and change.status.is_over:
        # A job that ends in a status ends in the stage of the same name: that is how a reader knows the last event.
        stage = Stage(change.status.value)
    if change.error is not None:
        details = {**(details or {}), "error": _json(change.error)}
    given = {
        "job_id": str(entry.job_id),
        "token": str(entry.token),
        "stage": stage,
        "progress": change.progress,
        "event": change.event,
        "message": change.message,
        "status": change.status,
        "error": _json(change.error),
        "result": change.result,
        "source": change.source,
        "renditions": None if change.renditions is None else [_json(rendition) for rendition in change.renditions],
        "playback": _json(change.playback),
        "details": details,
        "parts": [{"stage": report.stage, **report.part.model_dump()} for report in entry.reports],
    }
    return {name: value for name, value in given.items() if value is not None}


def _json(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json")


def events_of(rows: Sequence[Row]) -> list[LoggedEvent]:
    return [read_as_far_as_possible(LoggedEvent, dict(row))[0] for row in rows]


def _fail(future: "asyncio.Future[LoggedEvent | None]", error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
