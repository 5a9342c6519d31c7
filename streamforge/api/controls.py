"""Changes of jobs that run: first the row, which decides, then the word to the workflow."""

import structlog

from streamforge.api.workflows import Workflows
from streamforge.contracts.events import JobChange
from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import TemporalUnavailable
from streamforge.events.log import EventLog

PAGE = 100
PAUSED = "Paused: what is being worked on comes to its end"
RESUMED = "It goes on"

log = structlog.stdlib.get_logger(__name__)


class Controls:
    """A change that was accepted comes true: workers ask the row before they begin a part, and the workflow is told until
    it has heard. What is told has a number, so that it may come twice and in any order."""

    def __init__(self, jobs: Jobs, events: EventLog, workflows: Workflows) -> None:
        self._jobs = jobs
        self._events = events
        self._workflows = workflows

    async def tell_watchers(self, job: JobRow, message: str) -> None:
        await self._events.append(job.id, JobChange(stage=job.stage, message=message))

    async def deliver(self, job: JobRow) -> None:
        """Where there is no workflow any more there is nobody to be told. Raises TemporalUnavailable."""
        await self._workflows.control(job)
        await self._jobs.mark_control_told(job)

    async def deliver_all(self) -> bool:
        """What was accepted and told nobody yet. Whether all could be delivered: one that cannot must not hold up the others.
        Raises DatabaseUnavailable."""
        delivered = True
        page = await self._jobs.to_control(PAGE)
        while page:
            delivered = all([await self._delivered(job) for job in page]) and delivered
            page = await self._jobs.to_control(PAGE, after=page[-1])
        return delivered

    async def _delivered(self, job: JobRow) -> bool:
        try:
            await self.deliver(job)
        except TemporalUnavailable as error:
            log.warning("a change waits for Temporal", job_id=str(job.id), reason=error.debug)
            return False
        return True
