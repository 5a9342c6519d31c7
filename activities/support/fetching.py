"""The bytes of a source on their way into the store. What came stays, whatever ends the attempt."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import structlog

from streamforge.contracts.events import JobChange, waiting
from streamforge.contracts.job import Stage
from streamforge.contracts.pipeline import BEGINNING_BYTES
from streamforge.db.fetches import Fetches, FetchRow
from streamforge.disks import require_free
from streamforge.errors import (
    EmptyUpload,
    FetchInterrupted,
    SourceBrokeOff,
    SourceStalled,
    StorageCorrupted,
    Superseded,
    UploadTooLarge,
)
from streamforge.events.reporter import Reporter
from streamforge.fetching.source import Opened, Source
from streamforge.progress.bands import RECEIVED, progress_at
from streamforge.retry import backoff, until_available
from streamforge.settings import Settings
from streamforge.storage import ResumableStorage, layout

WRITE_BYTES = {True: 2**20, False: 4 * 2**20}
"""By whether the store is a disk of this machine; in a bucket each write is an object."""
RECORD_BYTES = 16 * 2**20
RECORD_SECONDS = 5.0
"""What came in these is lost with a worker that is killed."""
TELL_BYTES = 16 * 2**20
"""Where nobody knows how long the whole is."""
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
LONGEST_RETRY_AFTER_SECONDS = 3600.0

log = structlog.stdlib.get_logger(__name__)


class Fetching:
    """One attempt of the activity: as many requests as it takes. `row` is how far it is."""

    def __init__(
        self,
        row: FetchRow,
        source: Source,
        *,
        storage: ResumableStorage,
        fetches: Fetches,
        reporter: Reporter,
        settings: Settings,
        identify: Callable[[bytes], Awaitable[None]],
        check_quota: Callable[[], Awaitable[None]],
    ) -> None:
        self.row = row
        self._source, self._storage, self._fetches, self._reporter = source, storage, fetches, reporter
        self._settings, self._limits = settings, settings.input
        self._identify, self._check_quota = identify, check_quota
        self._folder = layout.incoming_folder(row.job_id)
        self._write_bytes = WRITE_BYTES[bool(storage.disks)]
        self._furthest = row.received
        self._failing_since: float | None = None
        self._has_vanished = False
        self._last_message = ""
        self._begin_at(row.received)

    async def run(self, name: str) -> tuple[int, str]:
        """The video becomes the object of that name: its size and its SHA-256. Raises FetchError, AddressRefused,
        UploadTooLarge, BytesBeyondQuota, NotAVideo, EmptyUpload, Superseded, StorageUnavailable, StorageCorrupted, DiskFull."""
        while True:
            try:
                await self._have_all()
                return self.row.received, await self._put_together(name)
            except StorageCorrupted:
                # What had come has vanished from the store; at the source it is still there.
                if self._has_vanished or self.row.received == 0:
                    raise
                self._has_vanished = True
                await self._begin_again()

    async def _have_all(self) -> None:
        pauses, tries = backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), 0
        while not self._is_whole:
            try:
                await self._go_on()
            except FetchInterrupted as error:
                tries += 1
                if self._has_come_further():
                    pauses, tries = backoff(FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS), 1
                await self._wait(error, tries, next(pauses))
        if self.row.received == 0:
            raise EmptyUpload("The video is empty: not one byte arrived.")

    async def _put_together(self, name: str) -> str:
        known = None if self._digest is None else self._digest.hexdigest()
        return await self._storage.put_together(name, [(self._folder, self.row.received)], known)

    @property
    def _is_whole(self) -> bool:
        return self.row.length is not None and self.row.received == self.row.length

    def _has_come_further(self) -> bool:
        """Than ever: a source that breaks off at the same byte each time comes to nothing, though bytes come."""
        before, self._furthest = self._furthest, max(self._furthest, self.row.received)
        if self._furthest > before:
            self._failing_since = None
        return self._furthest > before

    async def _wait(self, error: FetchInterrupted, tries: int, seconds: float) -> None:
        """Raises the error where the source has failed for too long."""
        now = self._now()
        self._failing_since = self._failing_since or now
        if now - self._failing_since > self._settings.source_urls.retry_for_seconds:
            raise error
        log.info(
            "source has failed", code=error.code, reason=error.message, debug=error.debug, received=self.row.received
        )
        self._reporter.report(waiting(error, tries, Stage.UPLOADING))
        await asyncio.sleep(max(seconds, min(error.retry_after, LONGEST_RETRY_AFTER_SECONDS)))

    async def _go_on(self) -> None:
        async with self._source.open(self.row.received, self.row.validator) as opened:
            if opened.start != self.row.received or (opened.start and opened.length != self.row.length):
                await self._begin_again()
            if opened.start != self.row.received:
                raise FetchInterrupted("The source has another version of the video now.")
            await self._know(opened)
            await self._receive(opened)

    async def _know(self, opened: Opened) -> None:
        """Counted before it comes: nobody's day has room for it twice. Raises UploadTooLarge, DiskFull, BytesBeyondQuota."""
        if opened.length is not None:
            if opened.length > self._limits.max_size_bytes:
                raise UploadTooLarge.than(self._limits.max_size_bytes)
            await self._check_disk(opened.length - self.row.received)
        await self._record(self.row.received, opened.length, opened.validator)

    async def _begin_again(self) -> None:
        """The source has another version than what came of it, or does not say which it has."""
        if self.row.received:
            await self._reporter.state(
                _told("The source has changed, or cannot go on; downloading it from its beginning")
            )
        await until_available(lambda: self._fetches.give_up(self.row.job_id))
        self.row = self.row.model_copy(update={"received": 0, "length": None, "validator": None})
        await self._storage.delete(self._folder)
        self._begin_at(0)

    def _begin_at(self, received: int) -> None:
        self._written = received
        self._buffer = bytearray()
        self._recorded_at = self._now()
        self._digest: Any = hashlib.sha256() if received == 0 else None
        """Of all that was written; None where an attempt before wrote some of it."""
        self._beginning: bytearray | None = bytearray() if received == 0 else None

    async def _receive(self, opened: Opened) -> None:
        """Raises FetchInterrupted, NotAVideo and what `_know` does. What has come by then is kept."""
        try:
            async for piece in self._quick_enough(opened):
                await self._take(piece)
            if self.row.length is not None and self._written + len(self._buffer) < self.row.length:
                raise SourceBrokeOff("The source has broken off before the video was whole.")
        except FetchInterrupted:
            await self._keep()
            raise
        await self._keep()
        await self._record(self._written, self._written, self.row.validator)

    async def _quick_enough(self, opened: Opened) -> AsyncIterator[bytes]:
        """Only the time in which the source is waited for counts. Raises SourceStalled for one that goes byte by byte: it would
        hold a place among those that are fetched for as long as it likes."""
        least = self._settings.server.min_bytes_per_second
        waited, came, began = 0.0, 0, self._now()
        async for piece in opened.pieces:
            waited, came = waited + self._now() - began, came + len(piece)
            if waited > self._settings.source_urls.silence_seconds:
                if came < least * waited:
                    raise SourceStalled(f"The source sends less than {least} bytes a second.")
                waited, came = 0.0, 0
            yield piece
            began = self._now()

    async def _take(self, piece: bytes) -> None:
        self._buffer += piece
        came = self._written + len(self._buffer)
        if came > self._limits.max_size_bytes:
            raise UploadTooLarge.than(self._limits.max_size_bytes)
        if len(self._buffer) >= self._write_bytes or self._now() - self._recorded_at > RECORD_SECONDS:
            await self._flush()
            self._tell()
        is_due = self._written - self.row.received >= RECORD_BYTES or self._now() - self._recorded_at > RECORD_SECONDS
        if is_due:
            await self._record(self._written, self.row.length, self.row.validator)
            await self._check_disk(0)

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        if not data:
            return
        hashing = asyncio.to_thread(self._digest.update, data) if self._digest is not None else asyncio.sleep(0)
        await asyncio.gather(self._storage.write_part(self._folder, self._written, data), hashing)
        self._written += len(data)
        await self._look_at_the_beginning(data)

    async def _look_at_the_beginning(self, data: bytes | bytearray) -> None:
        """Raises NotAVideo while most of it is still to come."""
        if self._beginning is None:
            return
        self._beginning += data
        if len(self._beginning) < BEGINNING_BYTES:
            return
        beginning, self._beginning = bytes(self._beginning), None
        if self.row.length is None or self.row.length >= 2 * BEGINNING_BYTES:
            await self._identify(beginning[:BEGINNING_BYTES])

    async def _keep(self) -> None:
        await self._flush()
        if self._written > self.row.received:
            await self._record(self._written, self.row.length, self.row.validator)

    async def _record(self, received: int, length: int | None, validator: str | None) -> None:
        """Raises Superseded, and BytesBeyondQuota where more counts by now than before."""
        if received:
            await self._storage.sync_parts(self._folder)
        self._recorded_at = self._now()
        now = self.row.model_copy(update={"received": received, "length": length, "validator": validator})
        if not await until_available(lambda: self._fetches.record(self.row, now)):
            raise Superseded("Another attempt fetches this video.")
        counted, self.row = max(self.row.received, self.row.length or 0), now
        if max(received, length or 0) > counted:
            await self._check_quota()

    async def _check_disk(self, coming: int) -> None:
        for disk in self._storage.disks:
            await asyncio.to_thread(require_free, disk, self._limits.min_free_disk_bytes, coming)

    def _tell(self) -> None:
        length = self.row.length
        if length:
            message = f"Downloaded {100 * self._written // length} %"
        else:
            message = f"Downloaded {self._written // TELL_BYTES * TELL_BYTES // 2**20} MiB"
        progress = progress_at(Stage.UPLOADING, RECEIVED * self._written / length) if length else 0
        if message != self._last_message:
            self._last_message = message
            details = {"downloading": {"received_bytes": self._written, "size_bytes": length}}
            self._reporter.report(_told(message, progress, details))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


def _told(message: str, progress: int | None = None, details: dict[str, Any] | None = None) -> JobChange:
    return JobChange(stage=Stage.UPLOADING, message=message, progress=progress, details=details)
