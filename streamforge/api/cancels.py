"""Cancels: first a mark in the job's row, which decides, then the word to whoever works on it."""

import structlog

from streamforge.api.workflows import Workflows
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobKind, JobStatus, Stage
from streamforge.contracts.pipeline import CANCELLED
from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import ServiceError, TemporalUnavailable
from streamforge.events.log import EventLog
from streamforge.storage import Storage, layout

PAGE = 100

log = structlog.stdlib.get_logger(__name__)


class Cancels:
    """A cancel that was accepted comes true: once its mark is in the row the log takes no other last word than
    `cancelled`, however the workflow ends. The mark survives this process and an absence of Temporal."""

    def __init__(self, jobs: Jobs, events: EventLog, workflows: Workflows, storage: Storage) -> None:
        self._jobs = jobs
        self._events = events
        self._workflows = workflows
        self._storage = storage

    async def deliver(self, job: JobRow) -> None:
        """Tell the workflow, which ends the row; end the job here where there is no workflow to do so.

        Raises TemporalUnavailable where a workflow may be running that could not be told.
        """
        if job.kind is JobKind.EXTERNAL:
            await self._end(job)  # Its worker hears of it when it reports next.
            return
        try:
            told = await self._workflows.cancel(job.workflow_id)
        except TemporalUnavailable:
            if job.launched_at is not None:
                raise
            told = False
        if told:
            await self._jobs.mark_cancel_told(job.id)
        else:
            await self._end(job)

    async def _end(self, job: JobRow) -> None:
        """A workflow that is being started just now finds its job over: in the launcher, or in its first activity."""
        change = JobChange(stage=Stage.CANCELLED, status=JobStatus.CANCELLED, message=CANCELLED)
        if await self._events.append(job.id, change) is None:
            return
        for folder in layout.job_folders(job.id):
            try:
                await self._storage.delete(folder)
            except ServiceError as error:
                log.warning("files of a cancelled job stay for the sweep", job_id=str(job.id), reason=error.message)

    async def deliver_all(self) -> bool:
        """What was accepted and told nobody yet, be it by a process that died since. Telling a workflow twice changes
        nothing. Whether all could be delivered: one that cannot must not hold up the others. Raises DatabaseUnavailable."""
        delivered = True
        page = await self._jobs.to_cancel(PAGE)
        while page:
            delivered = all([await self._delivered(job) for job in page]) and delivered
            page = await self._jobs.to_cancel(PAGE, after=page[-1])
        return delivered

    async def _delivered(self, job: JobRow) -> bool:
        try:
            await self.deliver(job)
        except TemporalUnavailable as error:
            log.warning("a cancel waits for Temporal", job_id=str(job.id), reason=error.debug)
            return False
        return True
