"""Jobs that failed, tried again under their own id: what is there of them is not done again."""

from streamforge.api.workflows import Workflows
from streamforge.contracts.job import JobKind, JobStatus, Stage
from streamforge.db.fetches import Fetches
from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import CannotBeRetried, OriginalGone
from streamforge.progress.bands import progress_at
from streamforge.storage import Storage, layout

ENCODED_IN = frozenset({Stage.UPLOADING, Stage.TRANSCODING})
"""To begin with these is to encode anew."""


class Retries:
    def __init__(self, jobs: Jobs, fetches: Fetches, workflows: Workflows, storage: Storage) -> None:
        self._jobs = jobs
        self._fetches = fetches
        self._workflows = workflows
        self._storage = storage

    async def begin(self, job: JobRow, first: Stage | None) -> None:
        """From `first` on all is done again; what lies before it, and all where it is None, only as far as it is missing.

        Raises CannotBeRetried, OriginalGone, TemporalUnavailable, StorageUnavailable, DatabaseUnavailable.
        """
        if job.kind is JobKind.EXTERNAL:
            raise CannotBeRetried("The job is worked on elsewhere; make another one for its next try.")
        if job.status is not JobStatus.FAILED:
            raise CannotBeRetried(f"Only a job that failed can be tried again; this one is {job.status}.")
        # It records that it failed first, and clears away after: what begins now would be cleared away, too.
        if await self._workflows.is_running(job.workflow_id):
            raise CannotBeRetried("What the job left is being cleared away; try again in a moment.")
        to_be_fetched = await self._is_to_be_fetched(job)
        if not to_be_fetched:
            await require_original(self._storage, job)
        if first in ENCODED_IN:
            # Records first: they must not speak of what is gone.
            await self._storage.delete(layout.work_folder(job.id))
            await self._storage.delete(layout.output_folder(job.id))
        message = f"Tried again from {first}" if first else "Tried again"
        progress = progress_at(Stage.UPLOADING, 0 if to_be_fetched else 0.5)
        if not await self._jobs.retry(job.id, progress=progress, message=message):
            raise CannotBeRetried("The job is not failed any more, or is about to be removed.")

    async def _is_to_be_fetched(self, job: JobRow) -> bool:
        """Its video never came here whole, and where it is, is known still."""
        if job.source_url is None:
            return False
        fetch = await self._fetches.get(job.id)
        return fetch is not None and fetch.url is not None


async def require_original(storage: Storage, job: JobRow) -> None:
    """Raises OriginalGone, StorageUnavailable."""
    if job.kind is JobKind.EXTERNAL:
        raise OriginalGone("The job is worked on elsewhere: its video never was here.")
    found = await storage.stat(job.source_object)
    if found is None or found.size_bytes != job.size_bytes:
        raise OriginalGone("The video itself is not kept any more; send it again.")
