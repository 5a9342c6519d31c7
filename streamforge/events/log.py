"""The event log: every change of a job is one numbered row, written in the same transaction as the change itself."""

import math
from typing import Any
from uuid import UUID

from pydantic import BaseModel

from streamforge.contracts.events import JobChange, LoggedEvent, PartProgress
from streamforge.contracts.job import JobStatus, Stage
from streamforge.db.pool import Database, Row, Session

STAGES_IN_ORDER = [stage.value for stage in Stage]


class EventLog:
    """Append to the log and read from it.

    Why a reader who remembers the last `seq` it saw misses nothing. An append first takes the lock of the job's row (by
    updating it, or by SELECT … FOR UPDATE), raises `event_seq` under it, and holds it until commit. So event n is
    committed before n + 1 can even get its number: whoever sees n + 1 sees n, an append that is rolled back leaves no
    gap, and "everything after n" is exact in any snapshot. NOTIFY is part of the transaction: by the time a listener
    hears of n, n can be read. A notification that is lost with a connection costs nothing but a look into the table.

    All methods raise DatabaseUnavailable. An append whose connection dies may have been committed all the same; to
    repeat it can write the event twice (with two numbers), never lose it.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, job_id: UUID, change: JobChange) -> LoggedEvent | None:
        """Write one event and what it changes. None, and nothing written, when the job is over or gone."""
        return _logged(await self._database.fetch_one("append_event", job_id, *_arguments(change)))

    async def append_part(self, job_id: UUID, change: JobChange, part: PartProgress) -> LoggedEvent | None:
        """Like `append`, with the progress that follows from all parts of the stage together."""
        async with self._database.transaction() as session:
            # Lock first: under READ COMMITTED only a statement that begins after the lock was granted sees what the
            # holders before us wrote about their parts.
            if await session.fetch_one("lock_running_job", job_id) is None:
                return None
            progress = await _record_part(session, job_id, change.stage, part)
            summed = change.model_copy(update={"progress": progress})
            return _logged(await session.fetch_one("append_event", job_id, *_arguments(summed)))

    async def after(self, job_id: UUID, seq: int, limit: int = 500) -> list[LoggedEvent]:
        """Events with a number above `seq`, in order."""
        rows = await self._database.fetch("events_after", job_id, seq, limit)
        return [LoggedEvent.model_validate(dict(row)) for row in rows]


async def _record_part(session: Session, job_id: UUID, stage: Stage, part: PartProgress) -> int:
    row = await session.fetch_one("record_part", job_id, stage, part.part, part.done)
    assert row is not None
    share = min(1.0, row["done"] / part.whole) if part.whole > 0 else 1.0
    return part.low + math.floor((part.high - part.low) * share)


def _arguments(change: JobChange) -> tuple[object, ...]:
    """The parameters of `append_event` after the job's id."""
    stage, status = _ending(change)
    return (
        stage,
        change.progress,
        change.event,
        change.message,
        status,
        _json(change.error),
        change.result,
        STAGES_IN_ORDER,
        change.source,
        None if change.renditions is None else [_json(rendition) for rendition in change.renditions],
        _json(change.playback),
        _details(change),
    )


def _ending(change: JobChange) -> tuple[Stage, JobStatus | None]:
    """A job that ends in a status ends in the stage of the same name: that is how a reader knows the last event."""
    if change.status is not None and change.status.is_over:
        return Stage(change.status.value), change.status
    return change.stage, change.status


def _details(change: JobChange) -> dict[str, Any] | None:
    """The error travels with the event, so that the last frame of a failed job can say why."""
    if change.error is None:
        return change.details
    return {**(change.details or {}), "error": _json(change.error)}


def _json(model: BaseModel | None) -> dict[str, Any] | None:
    return None if model is None else model.model_dump(mode="json")


def _logged(row: Row | None) -> LoggedEvent | None:
    return None if row is None else LoggedEvent.model_validate(dict(row))
