"""Does what was promised and is not done yet: workflows to start, to cancel and to tell of changes, and jobs to remove."""

import asyncio
from collections.abc import Awaitable

import structlog

from streamforge.api.cancels import Cancels
from streamforge.api.controls import Controls
from streamforge.api.purges import Purges
from streamforge.api.workflows import Workflows
from streamforge.background import Background, Work
from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import DatabaseUnavailable, TemporalUnavailable
from streamforge.retry import backoff

PAGE = 20
"""Whoever comes meanwhile, and goes first, waits until so many are started."""

log = structlog.stdlib.get_logger(__name__)


class Launcher(Background):
    """A background task that owes every pending row its workflow, and every change that was accepted its delivery. It
    looks at start-up, for what a killed process left; whenever it is woken, after an upload or a cancel; and again, with
    growing pauses, while Temporal does not answer. Several processes may do this for the same rows: the workflow's id
    belongs to the job, so one start wins and the others change nothing.
    """

    def __init__(self, jobs: Jobs, workflows: Workflows, cancels: Cancels, controls: Controls, purges: Purges) -> None:
        self._jobs = jobs
        self._workflows = workflows
        self._cancels = cancels
        self._controls = controls
        self._purges = purges
        self._wake = asyncio.Event()

    def work(self) -> Work:
        self._wake.set()
        return {"launcher": self._run()}

    def wake(self) -> None:
        """A job was accepted, or something else was promised."""
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            for delay in backoff(first=0.2):
                self._wake.clear()
                owed = (self._cancels.deliver_all, self._launch_pages, self._controls.deliver_all, self._purges.do_all)
                if all([await _done(each()) for each in owed]):
                    break
                await asyncio.sleep(delay)

    async def _launch_pages(self) -> bool:
        """Whether nothing is left to do."""
        while jobs := await self._jobs.unlaunched(PAGE):
            # One job that cannot be started must not hold up the others.
            launched = [await self._launch(job) for job in jobs]
            if not all(launched):
                return False
        return True

    async def _launch(self, job: JobRow) -> bool:
        request_id = job.origin.request_id if job.origin else None
        with structlog.contextvars.bound_contextvars(job_id=str(job.id), request_id=request_id):
            return await self._start(job)

    async def _start(self, job: JobRow) -> bool:
        try:
            await self._workflows.start(job)
            log.info("Temporal has the job", workflow_id=job.workflow_id)
            status = await self._jobs.mark_launched(job.id)
            if status is None or status.is_over:
                # Cancelled while it was being started.
                await self._workflows.cancel(job.workflow_id)
        except TemporalUnavailable as error:
            log.warning("job waits for Temporal", reason=error.debug)
            return False
        return True


async def _done(work: Awaitable[bool]) -> bool:
    """False, too, when it failed: then it is tried again."""
    try:
        return await work
    except DatabaseUnavailable as error:
        log.warning("launcher waits for the database", reason=error.debug)
    except Exception:
        log.exception("launcher failed")
    return False
