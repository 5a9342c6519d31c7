"""Cancels: first a mark in the job's row, which decides, then the word to whoever works on it."""

from uuid import UUID

from streamforge.api.workflows import Workflows
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus, Stage
from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import TemporalUnavailable
from streamforge.events.log import EventLog

PAGE = 100


class Cancels:
    """A cancel that was accepted comes true: once its mark is in the row the log takes no other last word than
    `cancelled`, however the workflow ends. The mark survives this process and an absence of Temporal."""

    def __init__(self, jobs: Jobs, events: EventLog, workflows: Workflows) -> None:
        self._jobs = jobs
        self._events = events
        self._workflows = workflows

    async def accept(self, job_id: UUID) -> bool:
        """False when the job is over or gone: then it cannot be cancelled any more."""
        return await self._jobs.request_cancel(job_id)

    async def deliver(self, job: JobRow) -> None:
        """Tell the workflow, which ends the row; end the row here where there is no workflow to do so.

        Raises TemporalUnavailable where a workflow may be running that could not be told.
        """
        try:
            told = await self._workflows.cancel(job.workflow_id)
        except TemporalUnavailable:
            if job.launched_at is not None:
                raise
            told = False
        if not told:
            # One that is being started just now finds its job over: in the launcher, or in its first activity.
            await self._events.append(
                job.id, JobChange(stage=Stage.CANCELLED, status=JobStatus.CANCELLED, message="Cancelled on request")
            )

    async def deliver_all(self) -> None:
        """What was accepted and has not come true yet, be it by a process that died since. Telling a workflow twice
        changes nothing. Raises TemporalUnavailable, DatabaseUnavailable."""
        page = await self._jobs.to_cancel(PAGE)
        while page:
            for job in page:
                await self.deliver(job)
            page = await self._jobs.to_cancel(PAGE, after=page[-1])
