"""Rows and workflows that disagree: every end of a workflow ends its row, and a job that is over keeps no workflow busy."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog
from temporalio.client import Client, WorkflowExecution, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.outcome import OutcomeActivities
from activities.registration import performs
from activities.support.heartbeats import heartbeats
from streamforge.contracts import names
from streamforge.contracts.job import JobError, JobStatus
from streamforge.contracts.pipeline import DiscardInput, Outcome, ProcessVideoResult, ReconcileInput, ReconcileResult
from streamforge.contracts.steps import RECONCILE
from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import CancelRequested, TemporalUnavailable, WorkflowLost
from streamforge.events.log import EventLog
from streamforge.storage import Storage
from streamforge.temporal import attributes
from streamforge.temporal.deployments import Build, builds_gone, pinned_to, unpin

log = structlog.stdlib.get_logger(__name__)

PAGE = 500
CLEANING_UP = timedelta(minutes=10)
"""A workflow records its job's last word first and removes files after; for so long it may be at that."""

RUNNING = f"WorkflowType = '{names.PROCESS_VIDEO}' AND ExecutionStatus = 'Running'"
RPC_TIMEOUT = timedelta(seconds=10)

HOW_IT_ENDED = {
    None: "Temporal knows nothing of its workflow any more",
    WorkflowExecutionStatus.TERMINATED: "its workflow was terminated",
    WorkflowExecutionStatus.TIMED_OUT: "its workflow ran out of time",
    WorkflowExecutionStatus.FAILED: "its workflow failed before it could say why",
}


@dataclass(eq=False, repr=False)
class ReconcileActivities:
    """Whatever ends a workflow (an operator who terminates it, a message that is too large, a Temporal that lost its
    data) ends its row, within one interval of the schedule."""

    storage: Storage
    events: EventLog
    jobs: Jobs
    temporal: Client

    @performs(RECONCILE)
    async def reconcile(self, _: ReconcileInput) -> ReconcileResult:
        """Raises DatabaseUnavailable, TemporalUnavailable."""
        try:
            async with heartbeats():
                found = [each async for each in self.temporal.list_workflows(RUNNING, rpc_timeout=RPC_TIMEOUT)]
                running = {each.id for each in found}
                unpinned = await self._unpin(found)
                lost = [job async for job in self._unfinished() if job.workflow_id not in running]
                idle = await self.jobs.nobody_waits_for(running, CLEANING_UP)
                ended, told = await _each(lost, self._end), await _each(idle, self._cancel)
                nobodys = await self._end_of_no_job(found)
                return ReconcileResult(
                    jobs_ended=ended,
                    workflows_cancelled=told,
                    workflows_unpinned=unpinned,
                    workflows_of_no_job=nobodys,
                )
        except RPCError as error:
            raise TemporalUnavailable("Temporal does not answer.", debug=repr(error)) from error

    @property
    def _outcome(self) -> OutcomeActivities:
        return OutcomeActivities(self.storage, self.events, self.jobs)

    async def _unfinished(self) -> AsyncIterator[JobRow]:
        """Those that Temporal once took; the others are still owed their start."""
        page = await self.jobs.launched_and_unfinished(PAGE)
        while page:
            for job in page:
                yield job
            page = await self.jobs.launched_and_unfinished(PAGE, after=page[-1])

    async def _end(self, job: JobRow) -> bool:
        """End the row as its workflow did. False when the workflow runs after all: the list of them lags behind."""
        status = await self._status(job)
        if status is WorkflowExecutionStatus.RUNNING:
            return False
        outcome = await self._outcome_of(job, status)
        try:
            await self._outcome.record_outcome(outcome)
        except CancelRequested:
            outcome = Outcome.cancelled(job.id, job.stage)
            await self._outcome.record_outcome(outcome)
        await self._outcome.discard(_leftovers(outcome))
        return True

    async def _cancel(self, job: JobRow) -> bool:
        """A workflow that nobody waits for. To cancel one that merely cleans up changes nothing."""
        try:
            await self.temporal.get_workflow_handle(job.workflow_id).cancel(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False  # Only the list still has it.
        return True

    async def _end_of_no_job(self, running: Sequence[WorkflowExecution]) -> int:
        """Workflows that no row has, as a job's that came after the backup of which the database was restored. A row is
        written before its workflow is started, so one that is missing never comes. They are terminated: of what they
        would still write, nothing is wanted."""
        since = datetime.now(UTC) - CLEANING_UP
        old = {each.id: each for each in running if each.start_time < since}
        unknown = old.keys() - await self.jobs.known_workflows(old)
        return sum([await self._terminate(old[workflow_id]) for workflow_id in unknown])

    async def _terminate(self, workflow: WorkflowExecution) -> bool:
        """And remove its files, unless it is its job that has another workflow now."""
        try:
            handle = self.temporal.get_workflow_handle(workflow.id)
            await handle.terminate("no job has this workflow", rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False  # It ended a moment ago.
        log.warning("ended a workflow that no job has", workflow_id=workflow.id)
        job_id = workflow.typed_search_attributes.get(attributes.JOB_ID)
        if job_id is not None and await self.jobs.status(UUID(job_id)) is None:
            await self._outcome.discard(DiscardInput(job_id=UUID(job_id), output=True, original=True))
        return True

    async def _unpin(self, running: Sequence[WorkflowExecution]) -> int:
        """Workflows of builds that have no worker any more: the current build goes on with them."""
        pinned = {each.id: build for each in running if (build := pinned_to(each)) is not None}
        if not pinned:
            return 0
        gone = await builds_gone(self.temporal, set(pinned.values()))
        return sum([await self._free(workflow_id, build) for workflow_id, build in pinned.items() if build in gone])

    async def _free(self, workflow_id: str, build: Build) -> bool:
        try:
            await unpin(self.temporal, workflow_id)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
            return False  # It ended a moment ago.
        log.warning("a job goes on without its build", workflow_id=workflow_id, build=build.build_id)
        return True

    async def _status(self, job: JobRow) -> WorkflowExecutionStatus | None:
        """None when Temporal does not know the workflow."""
        try:
            return (await self.temporal.get_workflow_handle(job.workflow_id).describe(rpc_timeout=RPC_TIMEOUT)).status
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise

    async def _outcome_of(self, job: JobRow, status: WorkflowExecutionStatus | None) -> Outcome:
        if status is WorkflowExecutionStatus.COMPLETED:
            return await self._completed(job)
        if status is WorkflowExecutionStatus.CANCELED:
            return Outcome.cancelled(job.id, job.stage)
        return _lost(job, status)

    async def _completed(self, job: JobRow) -> Outcome:
        """It has recorded that; a database from a backup does not know it any more."""
        handle = self.temporal.get_workflow_handle(job.workflow_id, result_type=ProcessVideoResult)
        return Outcome.completed(job.id, await handle.result(rpc_timeout=RPC_TIMEOUT))


async def _each(jobs: Sequence[JobRow], work: Callable[[JobRow], Awaitable[bool]]) -> int:
    """For how many it was needed. One that fails must not hold up the others; the first error is raised after them."""
    needed, errors = 0, []
    for job in jobs:
        try:
            needed += await work(job)
        except Exception as error:
            log.warning("a job could not be reconciled", job_id=str(job.id), reason=repr(error))
            errors.append(error)
    if errors:
        raise errors[0]
    return needed


def _lost(job: JobRow, status: WorkflowExecutionStatus | None) -> Outcome:
    message = f"The job was not finished: {HOW_IT_ENDED.get(status, 'its workflow ended')}; send the video again."
    error = JobError(
        code=WorkflowLost.code,
        message=message,
        stage=job.stage,
        fault=WorkflowLost.fault,
        retryable=WorkflowLost.retryable,
    )
    return Outcome.failed(job.id, error)


def _leftovers(outcome: Outcome) -> DiscardInput:
    completed = outcome.status is JobStatus.COMPLETED
    return DiscardInput(job_id=outcome.job_id, output=not completed, original=outcome.status is JobStatus.CANCELLED)
