"""The rows of `jobs`: what the API, the launcher and retention ask about them. Changes go through the event log."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from typing import TypeVar
from uuid import UUID, uuid4

from pydantic import BaseModel

from streamforge.contracts.batch import BatchView, OwnerStatus
from streamforge.contracts.events import RenditionProgress
from streamforge.contracts.job import EventView, JobError, JobKind, JobStatus, Playback, RenditionView, Stage
from streamforge.contracts.job_control import JobPatch
from streamforge.contracts.job_filter import JobFilter
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.origin import Origin
from streamforge.contracts.stored import JsonObject, read_as_far_as_possible
from streamforge.db.chunks import ChunkRow
from streamforge.db.fetches import Fetches
from streamforge.db.pool import Database, Row
from streamforge.db.snapshot import removal
from streamforge.event_loop import in_turns
from streamforge.observability import metrics
from streamforge.progress.eta import Moment, PastJob

R = TypeVar("R", bound="JobRow")

REMOVALS_AT_ONCE = 2
"""Of one process: each has a connection of its own."""

ANYTHING = JobFilter()

EVERYONE = "everyone"
"""Whose jobs are, as long as nobody has to say who they are."""


class NewJob(BaseModel):
    """A job as it is accepted: its bytes are in the store under `source_object`."""

    id: UUID
    key: str
    workflow_id: str
    source_object: str
    size_bytes: int
    source_sha256: str
    options: JobOptions = JobOptions()
    batch_id: UUID | None = None
    origin: Origin | None = None


class Film(BaseModel):
    """What those who watch a job's stream are served by, whosever it is. It never changes."""

    key: str
    profile: str | None
    playback: str | None


class JobProgress(BaseModel):
    """`event_seq` is the number of the job's latest event."""

    id: UUID
    status: JobStatus
    stage: Stage
    progress: int
    event_seq: int


class JobState(JobProgress):
    """What a stream begins with. Events up to the number `swept_seq` are not there any more."""

    swept_seq: int


class OwnerState(OwnerStatus):
    """Somebody's jobs that are not over, and where the log of all of them stands. Events up to the number `swept_seq` may
    have gone with their jobs."""

    event_seq: int
    swept_seq: int


class Usage(BaseModel):
    """What an owner has in hand, has sent today (UTC), which lasts `seconds_left` more, and has had processed this month."""

    unfinished_jobs: int
    bytes_today: int
    seconds_left: float
    film_seconds: float
    month_seconds_left: float


class BatchState(BatchView):
    """The same for a batch; its numbers are its owner's."""

    event_seq: int
    swept_seq: int


class JobRow(JobProgress, NewJob):
    """One row of `jobs`, as far as this version can read it. What other versions wrote into its documents may not fit:
    `unreadable` names what was left out."""

    owner: str
    bucket: str
    kind: JobKind = JobKind.VIDEO
    report: JsonObject | None = None
    error_message: str | None
    result: JsonObject | None = None
    created_at: datetime
    updated_at: datetime
    completed_at: datetime | None
    started_at: datetime | None
    launched_at: datetime | None
    cancel_requested_at: datetime | None = None
    retain_until: datetime | None = None
    legal_hold: bool = False
    paused_at: datetime | None = None
    control_number: int = 0
    retries: int = 0
    source_url: str | None = None
    work_began_at: datetime | None
    moved_at: datetime
    source: JsonObject | None = None
    renditions: list[RenditionView] | None = None
    playback: Playback | None = None
    error: JobError | None = None
    unreadable: list[str] = []


class JobOverview(JobRow):
    """A row, its ten latest events (newest first), how many jobs go before it (None unless it waits), and how far its
    renditions are while they are encoded."""

    latest_events: list[EventView] = []
    queue_position: int | None
    rendition_progress: dict[str, RenditionProgress] = {}


class OwnJobs:
    """The jobs and batches of one owner. Those of others are not there, whatever is asked for and whoever asks.

    All methods raise DatabaseUnavailable.
    """

    def __init__(self, owner: str, database: Database) -> None:
        self.owner = owner
        self._own = self._seen = database.as_caller(owner)
        self._whose: str | None = owner
        """Of what can be asked for by its id; None: anybody's."""

    @property
    def reader(self) -> str:
        """As whom it looks at what has an id: who looks as the same sees the same. No owner is called `*`."""
        return self._whose or "*"

    async def create(self, job: NewJob, *, progress: int, message: str) -> None:
        """Insert the row together with its first event. Calling it again with the same id changes nothing."""
        await self._own.fetch("create_job", self.owner, *job_columns(job), progress, message)
        metrics.JOBS_ACCEPTED.inc()

    async def create_external(self, job: NewJob, *, silence: timedelta, message: str) -> None:
        """One that is worked on elsewhere; it fails when nobody reports on it for `silence`. Calling it again with the same id
        changes nothing."""
        await self._own.fetch("create_external_job", self.owner, *job_columns(job), silence, message)
        metrics.JOBS_ACCEPTED.inc()

    async def create_fetched(self, job: NewJob, url: str, shown: str, message: str) -> None:
        """The same of a video that is at `url` still, which nobody but who fetches it gets to read; `shown` is what may be
        seen of it."""
        async with self._own.transaction() as session:
            await session.fetch("create_fetched_job", self.owner, *job_columns(job), 0, message, shown)
            await session.fetch("create_fetch", self.owner, job.id, url)
        metrics.JOBS_ACCEPTED.inc()

    async def create_batch(self, batch_id: UUID, jobs: Sequence[NewJob], *, progress: int, message: str) -> None:
        """All of them or none. Calling it again with the same ids changes nothing."""
        async with self._own.transaction() as session:
            await session.fetch("create_batch", self.owner, batch_id, len(jobs))
            for job in jobs:
                await session.fetch("create_job", self.owner, *job_columns(job), progress, message)
        metrics.JOBS_ACCEPTED.inc(len(jobs))

    async def usage(self) -> Usage:
        row = await self._own.fetch_one("usage", self.owner)
        assert row is not None  # It has no condition.
        return Usage.model_validate(dict(row))

    async def get(self, job_id: UUID) -> JobOverview | None:
        row = await self._seen.look_at_one("get_job", self._whose, job_id)
        return None if row is None else _read(JobOverview, row)

    async def by_id(self, ids: Sequence[UUID]) -> list[JobOverview]:
        """In the order asked for; unknown ones are left out."""
        rows = await self._seen.look("jobs_by_id", self._whose, list(ids))
        found = {job.id: job for job in await in_turns(partial(_read, JobOverview), rows)}
        return [found[job_id] for job_id in dict.fromkeys(ids) if job_id in found]

    async def newest(
        self, limit: int, wanted: JobFilter = ANYTHING, *, after: tuple[datetime, UUID] | None = None
    ) -> list[JobOverview]:
        """A page of jobs, newest first. `after` is (created_at, id) of the last job on the page before."""
        asked = wanted.model_dump(mode="json", exclude_none=True)
        if after is not None:
            asked["before"] = [after[0].isoformat(), str(after[1])]
        rows = await self._seen.look("list_jobs", self._whose, asked, limit)
        return await in_turns(partial(_read, JobOverview), rows)

    async def state(self, job_id: UUID) -> JobState | None:
        row = await self._seen.look_at_one("job_state", self._whose, job_id)
        return None if row is None else JobState.model_validate(dict(row))

    async def batch_state(self, batch_id: UUID) -> BatchState | None:
        row = await self._seen.look_at_one("batch_state", self._whose, batch_id)
        return None if row is None else BatchState.model_validate(dict(row))

    async def owner_state(self) -> OwnerState:
        """Of somebody who never had a job: nothing yet."""
        row = await self._own.look_at_one("owner_state", self.owner)
        return OwnerState(jobs=[], event_seq=0, swept_seq=0) if row is None else OwnerState.model_validate(dict(row))

    async def request_cancel(self, job_id: UUID) -> bool:
        """Mark the job: from now on `cancelled` is the only way it can end. False when it is over or gone."""
        return await self._seen.fetch_one("request_cancel", self._whose, job_id) is not None

    async def chunks(self, job_id: UUID, after: int, limit: int) -> list[ChunkRow]:
        """Of the chunks behind that number, in the order of the film: each with all its parts."""
        rows = await self._seen.look("list_chunks", self._whose, job_id, after, limit)
        return [ChunkRow.model_validate(dict(row)) for row in rows]

    async def chunk_counts(self, job_id: UUID) -> tuple[int, int]:
        """How many chunks are done in all renditions, and how many there are."""
        row = await self._seen.look_at_one("chunk_counts", self._whose, job_id)
        return (0, 0) if row is None else (row["done"], row["total"])

    async def request_purge(self, job_id: UUID) -> bool:
        """Mark the job: it goes with its media, as soon as it is over. False when it is held, or gone."""
        return await self._seen.fetch_one("request_purge", self._whose, job_id) is not None

    async def change(self, job_id: UUID, change: JobPatch) -> bool:
        """False when it is gone, or over and the priority was to change."""
        told = change.model_fields_set
        options = change.model_dump(mode="json", include=told & {"priority", "metadata"}) or None
        hold = change.legal_hold if "legal_hold" in told else None
        row = await self._seen.fetch_one(
            "change_job", self._whose, job_id, options, "retain_until" in told, change.retain_until, hold
        )
        return row is not None

    async def set_paused(self, job_id: UUID, paused: bool) -> bool:
        """False when it is over, gone, or about to be cancelled."""
        return await self._seen.fetch_one("set_paused", self._whose, job_id, paused) is not None


class AllJobs(OwnJobs):
    """What an administrator has: what is anybody's by its id, and the list of all. What they send in is their own, as
    `owner_state` is."""

    def __init__(self, owner: str, database: Database) -> None:
        super().__init__(owner, database)
        self._seen = database.as_admin()
        self._whose = None


class Jobs:
    """What the service itself does with jobs, whosever they are. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._removals = asyncio.Semaphore(REMOVALS_AT_ONCE)

    def of(self, owner: str) -> OwnJobs:
        """All that a caller may ask for goes through this."""
        return OwnJobs(owner, self._database)

    def of_all(self, owner: str) -> OwnJobs:
        """The same for an administrator, who sees what is anybody's, and sends in what is `owner`'s."""
        return AllJobs(owner, self._database)

    async def check(self) -> None:
        """Raise DatabaseUnavailable unless a job could be accepted now. Tried with one that is taken back: a database
        that can only be read, or has no room left, still answers every question well."""
        probe = uuid4()
        # Of its own: the row of an owner is locked by whoever writes to their log.
        name = f"readiness-{probe}"
        job = NewJob(id=probe, key="readiness", workflow_id=name, source_object="", size_bytes=0, source_sha256="")
        async with self._database.rehearsal() as session:
            await session.fetch("create_job", name, *job_columns(job), 0, "")

    async def unfinished(self) -> dict[tuple[JobStatus, Stage], int]:
        """How many jobs that are not over are where. From an index of these alone, however many jobs were ever there."""
        rows = await self._database.fetch("unfinished_jobs")
        return {(JobStatus(row["status"]), Stage(row["stage"])): row["jobs"] for row in rows}

    async def queue(self) -> tuple[int, datetime | None]:
        """How many jobs wait for their first frame, and since when the oldest of them does. From an index of these."""
        [row] = await self._database.fetch("queue")
        return row["jobs"], row["oldest"]

    async def status(self, job_id: UUID) -> JobStatus | None:
        row = await self._database.fetch_one("job_status", job_id)
        return None if row is None else JobStatus(row["status"])

    async def film(self, job_id: UUID) -> Film | None:
        row = await self._database.fetch_one("film", job_id)
        return None if row is None else Film.model_validate(dict(row))

    async def unlaunched(self, limit: int = 100) -> list[JobRow]:
        """Jobs that Temporal has not taken, or may not have: those from a backup. The most urgent first, and of
        the same priority each owner in their turn."""
        rows = await self._database.fetch("unlaunched_jobs", limit)
        return [_read(JobRow, row) for row in rows]

    async def admit_film(self, job_id: UUID, seconds: float, most: float | None) -> float | None:
        """Count a film before it is encoded, once however often this is called. None, unless its owner's month (UTC) would come
        to more than `most` seconds: then how many it has come to without it, and nothing is counted."""
        [row] = await self._database.fetch("admit_film", job_id, seconds, most)
        so_far: float | None = row["so_far"]
        return so_far

    async def mark_launched(self, job_id: UUID) -> JobStatus | None:
        """Record that Temporal has the workflow. The job's status now, for it may have been cancelled meanwhile;
        None when the job is gone."""
        row = await self._database.fetch_one("mark_launched", job_id)
        return None if row is None else JobStatus(row["status"])

    async def mark_cancel_told(self, job_id: UUID) -> None:
        """Record that the workflow knows."""
        await self._database.fetch("mark_cancel_told", job_id)

    async def to_cancel(self, limit: int, after: JobRow | None = None) -> list[JobRow]:
        """A page of the jobs that are marked and not over, and whose workflow was not told, the oldest mark first."""
        last = (after.cancel_requested_at, after.id) if after else (None, None)
        rows = await self._database.fetch("jobs_to_cancel", *last, limit)
        return [_read(JobRow, row) for row in rows]

    async def retry(self, job_id: UUID, *, progress: int, message: str) -> bool:
        """Make a job that failed begin again, with another workflow. False where it is not failed, or is to go."""
        return await self._database.fetch_one("retry_job", job_id, progress, message) is not None

    async def give_up_fetch(self, job_id: UUID) -> None:
        """What had come of a video that was fetched is deleted; nothing, where that was whole or the video was sent."""
        await Fetches(self._database).give_up(job_id)

    async def mark_parts_kept(self, job_id: UUID) -> None:
        """Record that what was encoded of a job that failed is still there."""
        await self._database.fetch("mark_parts_kept", job_id)

    async def with_parts_kept_before(self, moment: datetime) -> list[UUID]:
        return _ids(await self._database.fetch("jobs_with_parts_kept_before", moment))

    async def forget_kept_parts(self, job_id: UUID) -> None:
        await self._database.fetch("forget_kept_parts", job_id)

    async def to_purge(self, limit: int) -> list[JobRow]:
        """Jobs that were promised to go, whether they are over or not."""
        rows = await self._database.fetch("jobs_to_purge", limit)
        return [_read(JobRow, row) for row in rows]

    async def to_control(self, limit: int, after: JobRow | None = None) -> list[JobRow]:
        """A page of the jobs whose workflow was not told of all changes."""
        rows = await self._database.fetch("jobs_to_control", after.id if after else None, limit)
        return [_read(JobRow, row) for row in rows]

    async def mark_control_told(self, job: JobRow) -> None:
        """Record that the workflow knows of all that is in this row."""
        await self._database.fetch("mark_control_told", job.id, job.control_number)

    async def is_paused(self, job_id: UUID) -> bool:
        row = await self._database.fetch_one("is_paused", job_id)
        return row is not None and bool(row["is_paused"])

    async def is_held(self, job_id: UUID) -> bool:
        """Whether nothing of it may be removed."""
        row = await self._database.fetch_one("is_held", job_id)
        return row is not None and bool(row["is_held"])

    async def silent(self, limit: int) -> list[tuple[UUID, timedelta]]:
        """External jobs on which nobody reported for as long as they may be silent, and how long that is."""
        rows = await self._database.fetch("silent_jobs", limit)
        return [(UUID(str(row["id"])), row["silence"]) for row in rows]

    async def launched_and_unfinished(self, limit: int, after: JobRow | None = None) -> list[JobRow]:
        """A page of the jobs that Temporal took and that are not over."""
        rows = await self._database.fetch("launched_and_unfinished_jobs", after.id if after else None, limit)
        return [_read(JobRow, row) for row in rows]

    async def nobody_waits_for(self, workflow_ids: Iterable[str], since: timedelta) -> list[JobRow]:
        """Which jobs of these workflows are over, or marked to be cancelled, for so long."""
        rows = await self._database.fetch("jobs_nobody_waits_for", list(workflow_ids), since)
        return [_read(JobRow, row) for row in rows]

    async def known_workflows(self, workflow_ids: Iterable[str]) -> set[str]:
        """Those of them that are a job's."""
        rows = await self._database.fetch("known_workflows", list(workflow_ids))
        return {str(row["workflow_id"]) for row in rows}

    @asynccontextmanager
    async def removal(self) -> AsyncIterator[None]:
        """What a job's files are removed in. Waits while a backup copies those of unfinished jobs."""
        async with self._removals, removal(self._database.dsn):
            yield

    async def past(self, limit: int) -> list[PastJob]:
        """The jobs that completed last, with how far they were at some moments."""
        rows = await self._database.fetch("past_moments", limit)
        return [_past_job(list(moments)) for _, moments in itertools.groupby(rows, key=lambda row: row["job"])]

    async def expired(self, before: datetime) -> list[UUID]:
        """Jobs that were over before that moment. Running ones never expire."""
        return _ids(await self._database.fetch("expired_jobs", before))

    async def originals_past(self, before: datetime) -> list[UUID]:
        """Jobs that stay, and were over before that moment."""
        return _ids(await self._database.fetch("originals_past_their_time", before))

    async def outputs_past(self, before: datetime) -> list[UUID]:
        return _ids(await self._database.fetch("outputs_past_their_time", before))

    async def mark_original_removed(self, job_id: UUID) -> None:
        await self._database.fetch("mark_original_removed", job_id)

    async def mark_output_removed(self, job_id: UUID) -> None:
        """There is nothing to play any more."""
        await self._database.fetch("mark_output_removed", job_id)

    async def tell_expiring(self, keep: timedelta, within: timedelta, message: str) -> int:
        """Tell those who follow the log of jobs that go so soon, each once; how many. `keep` is how long jobs stay."""
        expiring = _ids(await self._database.fetch("expiring_jobs", keep, within))
        # One by one: whoever writes events locks jobs and owners in an order.
        for job_id in expiring:
            await self._database.fetch("tell_expiring", job_id, keep, message)
        return len(expiring)

    async def installation(self) -> UUID:
        """Of all that work on this database."""
        [row] = await self._database.fetch("installation")
        return UUID(str(row["id"]))

    async def is_claimed(self, folder_url: str) -> bool:
        """Whether the folder was a store of this installation before."""
        [row] = await self._database.fetch("is_claimed", folder_url)
        return bool(row["is_claimed"])

    async def remember_claim(self, folder_url: str) -> None:
        await self._database.fetch("remember_claim", folder_url)

    async def announce(self, ids: Iterable[UUID]) -> None:
        """Their bytes are on the way into the store, their rows are still to come."""
        await self._database.fetch("announce_arrivals", list(ids))

    async def existing(self, ids: Iterable[UUID], announced_since: datetime) -> set[UUID]:
        """Those that have a row, or were announced since then."""
        return set(_ids(await self._database.fetch("existing_jobs", list(ids), announced_since)))

    async def forget_announced(self, before: datetime) -> None:
        await self._database.fetch("delete_old_arrivals", before)

    async def forget_answers(self) -> None:
        """Of POSTs that named themselves, when their day is over."""
        await self._database.fetch("delete_old_idempotent")

    async def delete(self, ids: Iterable[UUID]) -> list[UUID]:
        """Delete the jobs that are over, with their events; which ones went. Open streams of theirs end."""
        gone = _ids(await self._database.fetch("delete_jobs", list(ids)))
        await self._database.fetch("delete_empty_batches")
        return gone


def job_columns(job: NewJob) -> tuple[object, ...]:
    """The parameters of `create_job` between the owner and progress and message."""
    return (
        job.id,
        job.key,
        job.workflow_id,
        job.source_object,
        job.size_bytes,
        job.source_sha256,
        job.options.model_dump(mode="json"),
        job.batch_id,
        None if job.origin is None else job.origin.model_dump(mode="json", exclude_none=True),
    )


def _past_job(rows: Sequence[Row]) -> PastJob:
    moments = [Moment(Stage(row["stage"]), row["progress"], row["created_at"]) for row in rows]
    return PastJob(rows[0]["work_began_at"], rows[0]["completed_at"], moments)


def _read(kind: type[R], row: Row) -> R:
    """One row that does not fit must not hide all the others of its page."""
    job, unreadable = read_as_far_as_possible(kind, dict(row))
    return job.model_copy(update={"unreadable": unreadable}) if unreadable else job


def _ids(rows: Sequence[Row]) -> list[UUID]:
    return [UUID(str(row["id"])) for row in rows]
