"""Take the uploaded bytes in: from here on the job is being worked on, and its original is in the store."""

from dataclasses import dataclass
from uuid import UUID

from activities.registration import performs
from activities.support.heartbeats import heartbeats
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import StoredSource, UploadInput
from streamforge.contracts.steps import UPLOAD
from streamforge.db.jobs import Jobs
from streamforge.errors import JobAlreadyOver, StorageCorrupted
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.progress.bands import progress_at
from streamforge.storage import Storage


@dataclass(eq=False, repr=False)
class UploadActivities:
    storage: Storage
    events: EventLog
    jobs: Jobs

    @performs(UPLOAD)
    async def upload(self, work: UploadInput) -> StoredSource:
        """The API has hashed the bytes and put them into the store before it answered. Raises StorageCorrupted when
        they are not there, JobAlreadyOver when the job ended before it began."""
        original = work.original
        async with heartbeats(), Reporter(self.events, original.job_id) as reporter:
            found = await self.storage.stat(original.source_object)
            if found is None or found.size_bytes != original.size_bytes:
                await self._refuse_if_over(original.job_id)
                raise StorageCorrupted(
                    "The uploaded file is not complete in the media store.",
                    debug=f"{found.size_bytes if found else 'nothing'} of {original.size_bytes} bytes",
                )
            saved = await reporter.state(
                JobChange(
                    stage=Stage.UPLOADING,
                    status=JobStatus.PROCESSING,
                    progress=progress_at(Stage.UPLOADING, 1.0),
                    message="File saved",
                    details={"sha256": original.sha256, "size_bytes": original.size_bytes},
                )
            )
            if saved is None:
                await self._refuse_if_over(original.job_id)
            return original

    async def _refuse_if_over(self, job_id: UUID) -> None:
        """It was cancelled while the workflow was being started: nobody waits for this film."""
        status = await self.jobs.status(job_id)
        if status is None or status.is_over:
            raise JobAlreadyOver("The job is over already.")
