"""How a job ends: the last word in the log, and what is removed afterwards."""

from dataclasses import dataclass
from uuid import UUID

from activities.registration import performs
from activities.support.heartbeats import heartbeats
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus
from streamforge.contracts.pipeline import DiscardInput, Outcome
from streamforge.contracts.steps import DISCARD, RECORD_OUTCOME
from streamforge.db.jobs import Jobs
from streamforge.errors import CancelRequested
from streamforge.events.log import EventLog
from streamforge.progress.bands import progress_at
from streamforge.storage import Storage, layout


@dataclass(eq=False, repr=False)
class OutcomeActivities:
    storage: Storage
    events: EventLog
    jobs: Jobs

    @performs(RECORD_OUTCOME)
    async def record_outcome(self, outcome: Outcome) -> None:
        """Idempotent: a job that is already over keeps its first last word. Raises CancelRequested where only
        `cancelled` may be one."""
        completed = outcome.status == JobStatus.COMPLETED
        logged = await self.events.append(
            outcome.job_id,
            JobChange(
                stage=outcome.stage,
                status=outcome.status,
                progress=progress_at(outcome.stage, 1) if completed else None,
                message=outcome.message,
                error=outcome.error,
                result=outcome.result.model_dump(mode="json") if outcome.result else None,
            ),
        )
        if logged is None and await self._is_unfinished(outcome.job_id):
            raise CancelRequested("The job was cancelled on request.")

    async def _is_unfinished(self, job_id: UUID) -> bool:
        status = await self.jobs.status(job_id)
        return status is not None and not status.is_over

    async def _is_completed(self, job_id: UUID) -> bool:
        return await self.jobs.status(job_id) is JobStatus.COMPLETED

    @performs(DISCARD)
    async def discard(self, what: DiscardInput) -> None:
        """With heartbeats: an attempt that stood still must not remove what was encoded since. Not while a backup copies
        what workflows know of."""
        async with heartbeats(), self.jobs.removal():
            if what.renditions:
                await self._discard_renditions(what)
            elif what.keep_parts:
                await self._keep_parts(what.job_id)
            else:
                await self._discard_job(what)

    async def _discard_renditions(self, what: DiscardInput) -> None:
        """After the growing manifests, which name their segments: a stream that begins anew is a 404 until then."""
        await self.storage.delete(layout.growing_folder(what.job_id))
        for rendition in what.renditions:
            await self.storage.delete(layout.output(what.job_id, f"{rendition}/"))

    async def _keep_parts(self, job_id: UUID) -> None:
        """Manifests go, so that nobody plays it."""
        await self.storage.delete(layout.growing_folder(job_id))
        await self.jobs.mark_parts_kept(job_id)

    async def _discard_job(self, what: DiscardInput) -> None:
        await self.storage.delete(layout.work_folder(what.job_id))
        # Whoever wants the rest removed may have failed only to hear that the job is completed.
        if not (what.output or what.original) or await self._is_completed(what.job_id):
            return
        if not await self.jobs.is_held(what.job_id):
            await self._discard_all_but_work(what)

    async def _discard_all_but_work(self, what: DiscardInput) -> None:
        if what.output:
            await self.storage.delete(layout.output_folder(what.job_id))
        if what.original:
            await self.storage.delete(layout.original_folder(what.job_id))
            await self.jobs.give_up_fetch(what.job_id)
            await self.storage.delete(layout.incoming_folder(what.job_id))
