"""The bytes of one request, on their way into the store. What came stays, whatever ends the request."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from datetime import timedelta
from typing import Any

from streamforge.api.resumable.holdings import Holding, Interrupted
from streamforge.api.resumable.protocol import Checksum
from streamforge.api.uploads import CHECK_DISK_EVERY, too_large
from streamforge.contracts.pipeline import BEGINNING_BYTES
from streamforge.db.uploads import UploadRow, Uploads
from streamforge.errors import StreamForgeError, UploadLongerThanSaid, UploadOffsetMismatch
from streamforge.observability import metrics
from streamforge.settings import InputSettings
from streamforge.storage import ResumableStorage, layout

WRITE_BYTES = {True: 2**20, False: 4 * 2**20}
"""By whether the store is a disk of this machine; in a bucket each write is an object."""
FLUSH_SECONDS = 5.0
"""A sender who is slow loses no more than what came in these, if this process is killed."""
RECORD_BYTES = 16 * 2**20

Received = Callable[[UploadRow], Awaitable[None]]


class Reception:
    """Writes an upload's bytes behind those that are there, and records how many are safe: on the disk, and by a row that
    only moves on from where this request has seen it. `upload` is how far it is."""

    def __init__(
        self,
        upload: UploadRow,
        *,
        storage: ResumableStorage,
        uploads: Uploads,
        limits: InputSettings,
        lasts: timedelta,
        checksum: Checksum | None,
        digest: Any,
        check_disk: Callable[[], Awaitable[None]],
        on_recorded: Received,
        on_beginning: Callable[[], None],
    ) -> None:
        """`digest` is that of all bytes before these, None where nobody knows it any more."""
        self.upload = upload
        self.digest = digest
        self._folder = layout.incoming_folder(upload.id)
        self._storage, self._uploads, self._limits, self._lasts = storage, uploads, limits, lasts
        self._checksum = checksum
        self._check_disk = check_disk
        self._on_recorded = on_recorded
        self._on_beginning = on_beginning
        self._buffer = bytearray()
        self._written = upload.received
        self._write_bytes = WRITE_BYTES[bool(storage.disks)]
        self._flushed_at = self._recorded_at = self._now()
        self._recording: asyncio.Task[None] | None = None

    async def receive(self, body: AsyncIterator[bytes], holding: Holding) -> None:
        """Raises ClientDisconnect, UploadTooSlow, UploadTooLarge, UploadLongerThanSaid, UploadOffsetMismatch, ChecksumMismatch,
        Interrupted, StorageUnavailable, StorageCorrupted, DiskFull, DatabaseUnavailable."""
        try:
            while (piece := await _next(body, holding)) is not None:
                await self._take(piece)
                holding.hear()
        except BaseException:
            if self._checksum is None:
                with suppress(StreamForgeError):
                    await asyncio.shield(self._keep())
            raise
        if self._checksum is not None:
            await self._flush()
            self._checksum.require_match()
        await self._keep()

    async def _take(self, piece: bytes) -> None:
        came = self._written + len(self._buffer) + len(piece)
        if came > self._limits.max_size_bytes:
            raise too_large(self._limits)
        if self.upload.length is not None and came > self.upload.length:
            raise UploadLongerThanSaid(f"More than the {self.upload.length} bytes came that `Upload-Length` said.")
        metrics.UPLOAD_BYTES.inc(len(piece))
        self._buffer += piece
        if len(self._buffer) >= self._write_bytes or self._now() - self._flushed_at > FLUSH_SECONDS:
            await self._flush()
            await self._record_meanwhile()

    async def _flush(self) -> None:
        data, self._buffer = self._buffer, bytearray()
        self._flushed_at = self._now()
        if not data:
            return
        if self._written // CHECK_DISK_EVERY != (self._written + len(data)) // CHECK_DISK_EVERY:
            await self._check_disk()
        try:
            hashing = asyncio.to_thread(self._hash, data)
            await asyncio.gather(self._storage.write_part(self._folder, self._written, data), hashing)
        except BaseException:
            self.digest = None  # It may have what the store has not.
            raise
        before, self._written = self._written, self._written + len(data)
        if before < BEGINNING_BYTES <= self._written:
            self._on_beginning()

    def _hash(self, data: bytes | bytearray) -> None:
        if self.digest is not None:
            self.digest.update(data)
        if self._checksum is not None:
            self._checksum.update(data)

    async def _record_meanwhile(self) -> None:
        """More comes while the disk is asked to be sure. What has a checksum counts when all of it is there."""
        running = self._recording
        if running is not None and running.done():
            self._recording = None
            await running
        is_due = self._written - self.upload.received >= RECORD_BYTES or self._now() - self._recorded_at > FLUSH_SECONDS
        if self._recording is None and self._checksum is None and is_due:
            self._recorded_at = self._now()
            self._recording = asyncio.create_task(self._record(self._written))

    async def _keep(self) -> None:
        await self._flush()
        if self._recording is not None:
            await self._recording
        if self._written > self.upload.received:
            await self._record(self._written)

    async def _record(self, received: int) -> None:
        await self._storage.sync_parts(self._folder)
        if not await self._uploads.record(self.upload, received, self.upload.length, self._lasts):
            raise UploadOffsetMismatch("Somebody else has written to this upload meanwhile; ask where it is with HEAD.")
        self.upload = self.upload.model_copy(update={"received": received})
        await self._on_recorded(self.upload)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _next(body: AsyncIterator[bytes], holding: Holding) -> bytes | None:
    """Raises Interrupted, and what the body does: ClientDisconnect, UploadTooSlow."""
    if holding.is_interrupted:
        raise Interrupted
    try:
        # Without end, but for whoever interrupts it.
        async with asyncio.timeout(None) as holding.waiting:
            return await anext(body, None)
    except TimeoutError as error:
        raise Interrupted from error
    finally:
        holding.waiting = None
