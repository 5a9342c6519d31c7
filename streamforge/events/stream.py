"""The sequence of frames that one client of a job's stream sees.

status  [reset status]  replayed progress …  live progress …  done
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

import structlog

from streamforge.contracts.job import JobStatus
from streamforge.db.jobs import Jobs, JobState
from streamforge.db.retry import until_available
from streamforge.errors import DatabaseUnavailable, JobNotFound
from streamforge.events import frames
from streamforge.events.broadcaster import Broadcaster, ClientTooSlow, JobGone, ServerLeaving, Subscription
from streamforge.events.frames import DONE, Frame
from streamforge.events.log import EventLog

PAGE = 500
DATABASE_PATIENCE = 20.0

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class JobStreams:
    """Opens streams of jobs' events."""

    events: EventLog
    jobs: Jobs
    broadcaster: Broadcaster

    async def open(self, job_id: UUID, cursor: str | None) -> AsyncIterator[bytes] | None:
        """The frames for a client whose last event had the id `cursor` (None: a new client). None when that client has
        seen the end already: it should be told not to come back.

        Raises JobNotFound, DatabaseUnavailable; afterwards trouble ends the stream, and the client resumes it.
        """
        # EventSource gives up for good when it is answered with an error: rather let it wait.
        job = await until_available(lambda: self.jobs.state(job_id), give_up_after=DATABASE_PATIENCE)
        if job is None:
            raise JobNotFound("There is no such job.")
        if job.status.is_over and _position(cursor, job) == job.event_seq:
            return None
        return self._frames(job_id, cursor)

    async def _frames(self, job_id: UUID, cursor: str | None) -> AsyncIterator[bytes]:
        try:
            async with self.broadcaster.subscribe(job_id) as subscription:
                async for frame in self._story(job_id, cursor, subscription):
                    yield frame
        except JobGone:
            yield DONE
        except (ServerLeaving, DatabaseUnavailable):
            yield frames.come_back()
        except ClientTooSlow:
            log.info("stream dropped, the client is too slow", job_id=str(job_id))

    async def _story(self, job_id: UUID, cursor: str | None, live: Subscription) -> AsyncIterator[bytes]:
        job = await self._state(job_id)
        position = _position(cursor, job)
        yield frames.status(job, as_cursor=cursor is None and job.status is not JobStatus.FAILED)
        if cursor is not None and (position is None or not await self._can_resume(job, position)):
            position = None
            yield frames.reset(job)
            yield frames.status(job, as_cursor=False)
        async with aclosing(self._progress(job, _last_seen(job, position), live)) as progress:
            async for frame in progress:
                yield frame.data
                if frame.is_last:
                    break
        yield DONE

    async def _progress(self, job: JobState, seen: int, live: Subscription) -> AsyncGenerator[Frame]:
        """First what the table has beyond `seen`, then what comes; ends with the job."""
        if seen < job.event_seq:
            async for frame in self._replay(job.id, seen):
                yield frame
                seen = frame.seq
        if job.status.is_over:
            return
        while True:
            frame = await live.next()
            if frame.seq > seen:
                yield frame

    async def _replay(self, job_id: UUID, seen: int) -> AsyncIterator[Frame]:
        while page := await self.events.after(job_id, seen, PAGE):
            for event in page:
                yield frames.logged(event)
            seen = page[-1].seq

    async def _can_resume(self, job: JobState, position: int) -> bool:
        """Whether all that came after `position` is still there."""
        if position == job.event_seq:
            return True
        following = await self.events.after(job.id, position, 1)
        return bool(following) and following[0].seq == position + 1

    async def _state(self, job_id: UUID) -> JobState:
        job = await self.jobs.state(job_id)
        if job is None:
            raise JobGone
        return job


def _position(cursor: str | None, job: JobState) -> int | None:
    """The number in a cursor; None when it is none of this job's. A cursor is whatever a client sends."""
    if cursor is None or not (cursor.isascii() and cursor.isdigit()) or len(cursor) > 18:
        return None
    return int(cursor) if int(cursor) <= job.event_seq else None


def _last_seen(job: JobState, position: int | None) -> int:
    """The last event that need not be sent. A client without a position knows the present from `status`, but not why a
    job failed: it gets the last event of a failed job."""
    if position is not None:
        return position
    return job.event_seq - 1 if job.status is JobStatus.FAILED else job.event_seq
