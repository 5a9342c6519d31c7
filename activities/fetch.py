"""Fetch a video from where somebody says it is: afterwards it is in the store as if it had been sent."""

from dataclasses import dataclass

from activities.registration import performs
from activities.support.fetching import Fetching
from activities.support.heartbeats import heartbeats
from activities.support.scratch import Scratch
from streamforge.contracts import tasks
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import FetchInput, StoredSource
from streamforge.contracts.source_url import SourceUrl
from streamforge.contracts.steps import FETCH_SOURCE
from streamforge.contracts.tasks import IdentifyTask
from streamforge.db.fetches import Fetches, FetchRow
from streamforge.db.jobs import Jobs
from streamforge.errors import BytesBeyondQuota, InputError, JobAlreadyOver, OriginalGone
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.fetching.opening import source_of
from streamforge.media.worker.children import MediaChildren
from streamforge.progress.bands import RECEIVED, progress_at
from streamforge.retry import until_available
from streamforge.settings import Settings
from streamforge.storage import ResumableStorage, layout


@dataclass(eq=False, repr=False)
class FetchActivities:
    storage: ResumableStorage
    events: EventLog
    jobs: Jobs
    fetches: Fetches
    children: MediaChildren
    scratch: Scratch
    settings: Settings

    @performs(FETCH_SOURCE)
    async def fetch_source(self, work: FetchInput) -> StoredSource:
        """Goes on where an attempt before has stopped. Raises FetchError, AddressRefused, UploadTooLarge, BytesBeyondQuota,
        NotAVideo, EmptyUpload, OriginalGone, JobAlreadyOver."""
        async with heartbeats(), Reporter(self.events, work.job_id) as reporter:
            row = await until_available(lambda: self.fetches.get(work.job_id))
            if row is None:
                raise JobAlreadyOver("The job is over already.")
            if row.url is None:
                return await self._fetched_before(work, row)
            return await self._fetched(work, row, SourceUrl(row.url), reporter)

    async def _fetched_before(self, work: FetchInput, row: FetchRow) -> StoredSource:
        """Raises OriginalGone: where it was, nobody knows any more."""
        found = await self.storage.stat(work.original.source_object)
        if found is None or found.size_bytes != row.size_bytes:
            raise OriginalGone("The video itself is not kept any more; send it again.")
        return work.original.model_copy(update={"size_bytes": row.size_bytes, "sha256": row.source_sha256})

    async def _fetched(self, work: FetchInput, row: FetchRow, url: SourceUrl, reporter: Reporter) -> StoredSource:
        began = JobChange(
            stage=Stage.UPLOADING, status=JobStatus.PROCESSING, progress=0, message=f"Downloading from {url.host}"
        )
        if await reporter.state(began) is None:
            raise JobAlreadyOver("The job is over already.")
        try:
            size_bytes, sha256 = await self._fetching(row, url, reporter).run(work.original.source_object)
        except InputError:
            await self._give_up(work)
            raise
        await until_available(lambda: self.fetches.end(work.job_id, size_bytes, sha256))
        await self.storage.delete(layout.incoming_folder(work.job_id))
        arrived = progress_at(Stage.UPLOADING, RECEIVED)
        await reporter.state(JobChange(stage=Stage.UPLOADING, progress=arrived, message="File received"))
        return work.original.model_copy(update={"size_bytes": size_bytes, "sha256": sha256})

    def _fetching(self, row: FetchRow, url: SourceUrl, reporter: Reporter) -> Fetching:
        return Fetching(
            row,
            source_of(url, self.settings),
            storage=self.storage,
            fetches=self.fetches,
            reporter=reporter,
            settings=self.settings,
            identify=self._identify,
            check_quota=lambda: self._check_quota(row.owner),
        )

    async def _give_up(self, work: FetchInput) -> None:
        """The row first: where it says that nothing is there, what is there harms nobody."""
        await until_available(lambda: self.fetches.give_up(work.job_id))
        await self.storage.delete(layout.incoming_folder(work.job_id))

    async def _identify(self, beginning: bytes) -> None:
        """Raises NotAVideo."""
        with self.scratch.folder_for("beginning") as folder:
            path = folder / "beginning"
            path.write_bytes(beginning)
            await self.children.run(tasks.IDENTIFY, IdentifyTask(path=path))

    async def _check_quota(self, owner: str) -> None:
        """Raises BytesBeyondQuota. What is to come is counted already."""
        most = self.settings.limit("bytes_per_day")
        if most is None:
            return
        usage = await until_available(lambda: self.jobs.of(owner).usage())
        if usage.bytes_today > most:
            raise BytesBeyondQuota(
                f"With this video you have sent {usage.bytes_today} bytes today, of {most} that you may in a day (UTC)."
            )
