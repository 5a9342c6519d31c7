"""The sweep: rows, originals, outputs and receipts of jobs past their time, folders that belong to no job, what old
per-title searches have measured, and old entries of the audit log."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from uuid import UUID

import structlog

from activities.registration import performs
from activities.support.heartbeats import Checkpoint, heartbeats
from streamforge.contracts.pipeline import SweepInput, SweepResult
from streamforge.contracts.steps import SWEEP
from streamforge.db.audit import AuditLog
from streamforge.db.jobs import Jobs
from streamforge.db.webhooks import Deliveries
from streamforge.errors import StorageUnavailable
from streamforge.settings import RetentionSettings
from streamforge.storage import Storage, layout
from streamforge.storage.ownership import claim_and_remember

ORPHAN_GRACE = timedelta(hours=24)
"""An upload lies in the store a moment before its row is written; only what is older than this can be nobody's."""
A_DAY_AHEAD = timedelta(days=1)
"""Who follows a job is told so long before it goes, at the sweep before at the latest."""
UNFINISHED_GRACE = timedelta(days=2)
"""No upload into the store lives so long: its client gives up after one."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(eq=False, repr=False)
class RetentionActivities:
    storage: Storage
    jobs: Jobs
    retention: RetentionSettings
    audit_log: AuditLog
    deliveries: Deliveries

    @performs(SWEEP)
    async def sweep(self, _: SweepInput) -> SweepResult:
        """Jobs that still run are never touched, however old. Files go before rows, so that nothing is forgotten.

        Raises StoreTaken: what looks like nobody's may be another installation's.
        """
        now, keep = datetime.now(UTC), timedelta(days=self.retention.days)
        async with heartbeats() as checkpoint:
            await claim_and_remember(self.storage, self.jobs)
            expired = await self.jobs.expired(now - keep)
            for number, job_id in enumerate(expired, start=1):
                await self._remove_files(job_id)
                checkpoint.set({"jobs": number})
            await self.jobs.delete(expired)
            await self._remove_originals_and_outputs(now)
            await self._remove_kept_parts(now - timedelta(hours=self.retention.failed_parts_hours))
            soon = A_DAY_AHEAD + timedelta(hours=self.retention.sweep_every_hours)
            await self.jobs.tell_expiring(keep, soon, "It is about to be removed")
            await self.audit_log.forget(now - timedelta(days=self.retention.audit_days))
            await self.deliveries.forget(now - timedelta(days=self.retention.deliveries_days))
            await self._remove_searches(now - keep)
            orphans = await self._remove_orphans(now - ORPHAN_GRACE, checkpoint)
            await self.jobs.forget_announced(now - ORPHAN_GRACE)
            await self.jobs.forget_answers()
            await self._abort_uploads(now - UNFINISHED_GRACE)
        return SweepResult(jobs_removed=len(expired), orphans_removed=orphans)

    async def _may_go(self, job_id: UUID) -> bool:
        """A sweep takes hours where there is much to remove: since it looked for what has expired a hold may have come, or one
        that failed may be tried again."""
        status = await self.jobs.status(job_id)
        return (status is None or status.is_over) and not await self.jobs.is_held(job_id)

    async def _remove_files(self, job_id: UUID) -> None:
        if not await self._may_go(job_id):
            return
        for folder in layout.job_folders(job_id):
            await self.storage.delete(folder)

    async def _remove_originals_and_outputs(self, now: datetime) -> None:
        """Of jobs that stay, where one of the two has a shorter time of its own."""
        if (days := self.retention.originals_days) is not None:
            for job_id in await self.jobs.originals_past(now - timedelta(days=days)):
                if await self._may_go(job_id):
                    await self.storage.delete(layout.original_folder(job_id))
                    await self.jobs.mark_original_removed(job_id)
        if (days := self.retention.outputs_days) is not None:
            for job_id in await self.jobs.outputs_past(now - timedelta(days=days)):
                if await self._may_go(job_id):
                    await self.storage.delete(layout.output_folder(job_id))
                    await self.jobs.mark_output_removed(job_id)

    async def _remove_kept_parts(self, before: datetime) -> None:
        """Of jobs that failed and were not tried again. Records first: they must not speak of what is gone."""
        for job_id in await self.jobs.with_parts_kept_before(before):
            if not await self._may_go(job_id):
                continue
            await self.storage.delete(layout.work_folder(job_id))
            await self.storage.delete(layout.output_folder(job_id))
            await self.jobs.forget_kept_parts(job_id)

    async def _remove_orphans(self, before: datetime, checkpoint: Checkpoint) -> int:
        removed = 0
        for folder in layout.OF_JOBS:
            found = {name: _job_id(name) for name in await self.storage.list_folders(folder)}
            ids = [job_id for job_id in found.values() if job_id is not None]
            known = await self.jobs.existing(ids, announced_since=before)
            for name, job_id in found.items():
                if job_id not in known and await self._untouched_since(f"{folder}{name}/", before):
                    await self.storage.delete(f"{folder}{name}/")
                    removed += 1
                    checkpoint.set({"orphans": removed})
        return removed

    async def _remove_searches(self, before: datetime) -> None:
        """They belong to a film and not to a job; one that is still needed is made again."""
        for name in await self.storage.list_folders(layout.SEARCHES):
            if await self._untouched_since(f"{layout.SEARCHES}{name}/", before):
                await self.storage.delete(f"{layout.SEARCHES}{name}/")

    async def _abort_uploads(self, before: datetime) -> None:
        """A store that does not let us see them has its own ways, or costs a little more."""
        try:
            aborted = await self.storage.abort_unfinished(before)
        except StorageUnavailable as error:
            log.warning("unfinished uploads to the store were not looked for", reason=error.debug)
            return
        if aborted:
            log.info("aborted uploads to the store that a killed process left", count=aborted)

    async def _untouched_since(self, folder: str, before: datetime) -> bool:
        """Also False where nothing is (yet): a folder of a disk is made a moment before its first file is in it."""
        holds_something = False
        async for info in self.storage.walk(folder):
            if info.modified_at > before:
                return False
            holds_something = True
        return holds_something


def _job_id(name: str) -> UUID | None:
    try:
        return UUID(name)
    except ValueError:
        return None
