"""How a job ends: the last word in the log, and what is removed afterwards."""

from temporalio import activity

from streamforge.contracts import names
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus
from streamforge.contracts.pipeline import DiscardInput, Outcome
from streamforge.events.log import EventLog
from streamforge.planning.stages import progress_at
from streamforge.storage import Storage, layout


class OutcomeActivities:
    def __init__(self, storage: Storage, log: EventLog) -> None:
        self._storage = storage
        self._log = log

    @activity.defn(name=names.RECORD_OUTCOME)
    async def record_outcome(self, outcome: Outcome) -> None:
        """Idempotent: a job that is already over keeps its first last word."""
        completed = outcome.status == JobStatus.COMPLETED
        await self._log.append(
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

    @activity.defn(name=names.DISCARD)
    async def discard(self, what: DiscardInput) -> None:
        await self._storage.delete(layout.work_folder(what.job_id))
        if what.output:
            await self._storage.delete(layout.output_folder(what.job_id))
        if what.original:
            await self._storage.delete(layout.original_folder(what.job_id))
