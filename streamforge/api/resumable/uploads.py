"""One upload from its first byte to its job, over as many requests as it takes, at as many APIs."""

import asyncio
import hashlib
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from typing import Any, Self
from uuid import UUID

import structlog

from streamforge.api.launcher import Launcher
from streamforge.api.resumable.holdings import Holding, Holdings
from streamforge.api.resumable.protocol import Checksum
from streamforge.api.resumable.receiving import Reception
from streamforge.api.uploads import Uploads as Disks
from streamforge.api.workflows import Workflows
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobError, JobStatus, Stage
from streamforge.contracts.pipeline import BEGINNING_BYTES, CANCELLED, IdentifyVideo
from streamforge.db.uploads import UploadRow, Uploads
from streamforge.errors import (
    DatabaseUnavailable,
    DiskFull,
    NotAVideo,
    ServiceError,
    StorageCorrupted,
    StorageUnavailable,
    StreamForgeError,
    UploadExpired,
    UploadGone,
    UploadOffsetMismatch,
)
from streamforge.events.log import Entry, EventLog
from streamforge.observability import metrics
from streamforge.progress.bands import RECEIVED, progress_at
from streamforge.retry import until_available
from streamforge.settings import Settings
from streamforge.storage import ResumableStorage, layout

MAX_DIGESTS = 10_000
PAGE = 100
SWEEP_SECONDS = 300.0
WORTH_A_LOOK_BYTES = 2 * BEGINNING_BYTES
LOOK_PATIENCE = timedelta(minutes=1)
WRITE_WAIT_SECONDS = 120.0
"""A store that is away for a minute is no reason to send gigabytes again."""
TOLD_TIMES = 10
BEGAN = "Upload began"
EXPIRED = "The upload was not continued in time; what had come is deleted."

log = structlog.stdlib.get_logger(__name__)


class ResumableUploads:
    """What has come lies in the store, how much of it counts in the database: any API can go on where another one was."""

    def __init__(
        self,
        settings: Settings,
        *,
        storage: ResumableStorage,
        disks: Disks,
        uploads: Uploads,
        events: EventLog,
        holdings: Holdings,
        launcher: Launcher,
        workflows: Workflows,
    ) -> None:
        self.lasts = timedelta(hours=settings.uploads.expire_after_hours)
        self.holdings = holdings
        self._limits = settings.input
        self._storage, self._disks, self._uploads, self._events = storage, disks, uploads, events
        self._launcher, self._workflows = launcher, workflows
        self._looking = set[asyncio.Task[None]]()
        self._digests = OrderedDict[UUID, tuple[int, Any]]()
        """By upload: of its first so many bytes, where all of them came through this process."""
        self._told = OrderedDict[UUID, int]()
        """Tenths, by upload. Most go on at another API, or never: at most as many as digests, or it would grow for ever."""

    async def receive(
        self, upload: UploadRow, body: AsyncIterator[bytes], holding: Holding, checksum: Checksum | None
    ) -> UploadRow:
        """How far it is then. Raises what Reception.receive does."""
        reception = Reception(
            upload,
            storage=self._storage,
            uploads=self._uploads,
            limits=self._limits,
            lasts=self.lasts,
            checksum=checksum,
            digest=self._digest(upload),
            check_disk=lambda: self._disks.admit_several(0),
            on_recorded=self._tell,
            on_beginning=partial(self._look_at, upload),
        )
        try:
            with metrics.UPLOADS.track_inprogress():
                await reception.receive(body, holding)
        except BaseException:
            if checksum is not None:
                reception.digest = None
            raise
        finally:
            self._remember(reception.upload, reception.digest)
        return reception.upload

    async def record_length(self, upload: UploadRow) -> None:
        """Of one that was begun without. Raises UploadOffsetMismatch, DatabaseUnavailable."""
        if not await self._uploads.record(upload, upload.received, upload.length, self.lasts):
            raise UploadOffsetMismatch("Somebody else has written to this upload meanwhile; ask where it is with HEAD.")

    async def finish(self, upload: UploadRow, parts: Sequence[UploadRow] = ()) -> None:
        """All bytes are there: they become the original of the job, which begins. Parts wait for what they are parts of.

        Again it may be called, after a process died in between. Raises StorageUnavailable, StorageCorrupted, DiskFull,
        DatabaseUnavailable.
        """
        if upload.job_id is None:
            return
        whole = [(layout.incoming_folder(each.id), each.received) for each in parts or [upload]]
        digest = None if parts else self._digest(upload)
        known = digest.hexdigest() if digest is not None else None
        sha256 = await until_available(
            lambda: self._storage.put_together(layout.original(upload.id), whole, known),
            give_up_after=WRITE_WAIT_SECONDS,
            away=(StorageUnavailable, DiskFull),
        )
        size_bytes = sum(size for _, size in whole)
        self._told.pop(upload.id, None)
        await self._begin(upload.id, upload.job_id, size_bytes, sha256)
        if parts:
            await self._uploads.record(upload.model_copy(update={"received": 0}), size_bytes, size_bytes, self.lasts)
        await self._uploads.delete(part.id for part in parts)
        await self._discard([upload, *parts])

    async def end(self, upload: UploadRow) -> None:
        """Its sender wants it no longer."""
        await self._end(upload, JobChange(stage=Stage.CANCELLED, status=JobStatus.CANCELLED, message=CANCELLED))

    async def refuse(self, upload: UploadRow, error: StreamForgeError) -> None:
        """Its job fails of what was wrong with it."""
        told = JobError(
            code=error.code,
            message=error.message,
            stage=Stage.UPLOADING,
            fault=error.fault,
            retryable=error.retryable,
        )
        change = JobChange(stage=Stage.FAILED, status=JobStatus.FAILED, message=error.message, error=told)
        await self._end(upload, change)

    @asynccontextmanager
    async def swept(self) -> AsyncIterator[Self]:
        """Uploads that have expired are deleted now and then, as long as the block lasts."""
        sweeping = asyncio.create_task(self._keep_sweeping(), name="sweep of uploads")
        try:
            yield self
        finally:
            tasks = [sweeping, *self._looking]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_sweeping(self) -> None:
        while True:
            # All APIs do it, and not in step.
            await asyncio.sleep(SWEEP_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311 - jitter, not a secret
            try:
                while await self.sweep() == PAGE:
                    pass
            except DatabaseUnavailable as error:
                log.warning("expired uploads stay for now", reason=error.debug)
            except Exception:
                log.exception("the sweep of uploads failed")

    async def sweep(self) -> int:
        """Uploads that were not continued in time; how many there were. One that has all its bytes is finished: only the
        process that should have done it has died."""
        expired = await self._uploads.expired(PAGE)
        for upload in expired:
            try:
                async with self.holdings.hold(upload.id, patience=0):
                    await self._sweep(upload)
            except StreamForgeError as error:
                log.warning("an upload that has expired stays", upload_id=str(upload.id), reason=error.message)
        return len(expired)

    async def _sweep(self, listed: UploadRow) -> None:
        # Since the list was read it may have gone on, or been finished.
        upload = await self._uploads.get(listed.id)
        if upload is None or not upload.is_open or not upload.has_expired:
            return
        if upload.job_id is None or not upload.has_arrived or upload.made_of:
            await self.refuse(upload, UploadExpired(EXPIRED))
            return
        try:
            await self.finish(upload)
        except StorageCorrupted as error:
            # At the next sweep it would be the same, for ever.
            await self.refuse(upload, error)

    def _look_at(self, upload: UploadRow) -> None:
        """While the rest comes. What is nearly here is seen soon enough."""
        if upload.job_id is not None and (upload.length is None or upload.length >= WORTH_A_LOOK_BYTES):
            looking = asyncio.create_task(self._look(upload), name="look at an upload")
            self._looking.add(looking)
            looking.add_done_callback(self._looking.discard)

    async def _look(self, upload: UploadRow) -> None:
        folder = layout.beginning_folder(upload.id)
        name = f"{folder}{upload.id}"
        try:
            beginning = await self._storage.read_parts(layout.incoming_folder(upload.id), BEGINNING_BYTES)
            await self._storage.put_bytes(name, beginning)
            await self._workflows.identify(IdentifyVideo(beginning=name), LOOK_PATIENCE, None)
        except NotAVideo as error:
            await self._refuse_meanwhile(upload.id, error)
        except StreamForgeError as error:
            log.info("nobody has looked at an upload", upload_id=str(upload.id), reason=error.message)
        finally:
            await self._storage.delete(folder)

    async def _refuse_meanwhile(self, upload_id: UUID, error: StreamForgeError) -> None:
        async with self.holdings.hold(upload_id, at_once=True, because=error, patience=WRITE_WAIT_SECONDS):
            upload = await self._uploads.get(upload_id)
            if upload is not None and upload.is_open:
                await self.refuse(upload, error)

    async def _begin(self, upload_id: UUID, job_id: UUID, size_bytes: int, sha256: str) -> None:
        """First what the bytes are, then that they are there: a job that can be started is whole."""
        describe = partial(self._uploads.describe_original, job_id, size_bytes, sha256)
        await until_available(describe, give_up_after=WRITE_WAIT_SECONDS)
        change = JobChange(
            stage=Stage.UPLOADING,
            progress=progress_at(Stage.UPLOADING, RECEIVED),
            status=JobStatus.PENDING,
            message="File received",
        )
        # One entry, however often it is written: a job that has begun must not be told that it waits.
        entry = Entry(job_id, change)
        if await until_available(lambda: self._events.write(entry), give_up_after=WRITE_WAIT_SECONDS) is None:
            await self._begun_or_gone(upload_id, job_id)
            return
        metrics.JOBS_ACCEPTED.inc()
        log.info("job accepted", job_id=str(job_id), size_bytes=size_bytes)
        self._launcher.wake()

    async def _begun_or_gone(self, upload_id: UUID, job_id: UUID) -> None:
        """Another API may have finished it, where our lock was lost with its connection: then the original is its job's, which
        may be over by now. Raises UploadGone where the job ended before it began."""
        upload = await until_available(lambda: self._uploads.get(upload_id), give_up_after=WRITE_WAIT_SECONDS)
        if upload is not None and not upload.job_ended_before_it_began:
            return
        await self._storage.delete(layout.original_folder(job_id))
        raise UploadGone("The job of this upload was cancelled.")

    async def _end(self, upload: UploadRow, change: JobChange) -> None:
        if upload.job_id is not None:
            await self._events.append(upload.job_id, change)
        else:
            await self._uploads.end_part(upload.id)
        self._digests.pop(upload.id, None)
        self._told.pop(upload.id, None)
        await self._discard([upload])

    async def _discard(self, uploads: Sequence[UploadRow]) -> None:
        for upload in uploads:
            try:
                await asyncio.shield(self._storage.delete(layout.incoming_folder(upload.id)))
            except ServiceError as error:
                log.warning("bytes of an upload stay for the sweep", upload_id=str(upload.id), reason=error.message)

    async def _tell(self, upload: UploadRow) -> None:
        """In the log of its job, once for each tenth. That all bytes came is told when they are in the store."""
        if upload.job_id is None or not upload.length or upload.has_arrived:
            return
        share = upload.received / upload.length
        if int(share * TOLD_TIMES) <= self._told.get(upload.id, 0):
            return
        self._told[upload.id] = int(share * TOLD_TIMES)
        if len(self._told) > MAX_DIGESTS:
            self._told.popitem(last=False)
        change = JobChange(
            stage=Stage.UPLOADING,
            progress=progress_at(Stage.UPLOADING, share * RECEIVED),
            message=f"Received {int(share * 100)} %",
            details={"upload": {"received_bytes": upload.received, "size_bytes": upload.length}},
        )
        await self._events.append(upload.job_id, change)

    def _digest(self, upload: UploadRow) -> Any:
        """Whoever asks has it alone. None where nobody knows it any more."""
        reached, digest = self._digests.pop(upload.id, (-1, None))
        if upload.received == 0:
            return hashlib.sha256()
        return digest if reached == upload.received else None

    def _remember(self, upload: UploadRow, digest: Any) -> None:
        if digest is not None:
            self._digests[upload.id] = upload.received, digest
            if len(self._digests) > MAX_DIGESTS:
                self._digests.popitem(last=False)
