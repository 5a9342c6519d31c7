"""Looks at the store while a worker works on jobs, and tells their viewers when it is full or away."""

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from uuid import UUID

import structlog

from streamforge.background import Background, Work
from streamforge.checks import Check
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.errors import DatabaseUnavailable, StorageUnavailable, StreamForgeError
from streamforge.events.log import EventLog
from streamforge.storage import Storage

LOOK_EVERY = 4.0
ANSWER_WITHIN = 4.0
"""Seconds. Together they keep the promise that whoever watches a job knows within ten."""

log = structlog.stdlib.get_logger(__name__)


class StoreWatch(Background):
    """What fails is tried again, and says so; but a request that hangs, or an encoder that will need the store only in an
    hour, says nothing for as long."""

    def __init__(
        self,
        storage: Storage,
        events: EventLog,
        *,
        look_every: float = LOOK_EVERY,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        self._events = events
        self._look_every = look_every
        self._check = Check("media store", storage.check, StorageUnavailable, timeout=answer_within)
        self._jobs: Counter[UUID] = Counter()
        self._told: set[UUID] = set()

    def work(self) -> Work:
        return {"store watch": self._keep_looking()}

    @contextmanager
    def working_on(self, job_id: UUID) -> Iterator[None]:
        """Within the block the job's viewers are told."""
        self._jobs[job_id] += 1
        try:
            yield
        finally:
            self._jobs[job_id] -= 1
            if not self._jobs[job_id]:
                del self._jobs[job_id]

    async def _keep_looking(self) -> None:
        await self._check.problem()  # A store that has been seen is missed when it is gone.
        while True:
            await asyncio.sleep(self._look_every)
            if self._jobs or self._told:
                try:
                    await self._look()
                except Exception:
                    log.exception("store watch failed")

    async def _look(self) -> None:
        problem = await self._check.problem()
        if problem is None:
            await self._tell(set(self._told), "The media store is well again.")
            self._told.clear()
        else:
            new = set(self._jobs) - self._told
            log.warning(
                "the media store is not well", reason=problem.message, debug=problem.debug, jobs=len(self._jobs)
            )
            await self._tell(new, _message(problem), problem.code)
            self._told |= new

    async def _tell(self, jobs: set[UUID], message: str, code: str | None = None) -> None:
        change = JobChange(stage=Stage.UPLOADING, message=message, details={"code": code} if code else None)
        with suppress(DatabaseUnavailable):
            await asyncio.gather(*(self._events.append(job_id, change) for job_id in jobs))


def _message(problem: StreamForgeError) -> str:
    return f"The job goes on as far as it can without its store: {problem.message}"
