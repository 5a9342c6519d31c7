"""Where incoming bytes lie until the store has them: one file per upload, which is gone when its request is."""

import asyncio
import fcntl
import hashlib
import os
import shutil
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import structlog

from streamforge.errors import DiskFull, UploadTooLarge
from streamforge.settings import InputSettings

WRITE_BYTES = 2**20
"""Network pieces are 64 KiB at most; they are gathered, so that a thread is asked once per MiB."""
CHECK_DISK_EVERY = 64 * 2**20
FORM_OVERHEAD = 2**20
"""What a form may weigh beside its video."""

log = structlog.stdlib.get_logger(__name__)


class IncomingFile:
    """A file that grows with the upload. Memory stays at WRITE_BYTES however long it gets."""

    def __init__(self, path: Path, limits: InputSettings) -> None:
        self.path = path
        self.size_bytes = 0
        self._limits = limits
        self._buffer = bytearray()
        self._digest = hashlib.sha256()
        self._next_disk_check = CHECK_DISK_EVERY
        self._writing = threading.Lock()
        self._file = path.open("wb", buffering=0)
        # Held until this process lets go or dies: the sign by which others know that somebody still writes here.
        fcntl.flock(self._file, fcntl.LOCK_EX)

    async def write(self, data: bytes) -> None:
        """Raises UploadTooLarge, DiskFull."""
        self.size_bytes += len(data)
        if self.size_bytes > self._limits.max_size_bytes:
            raise too_large(self._limits)
        self._buffer += data
        if len(self._buffer) >= WRITE_BYTES:
            await self._flush()

    async def finish(self) -> None:
        """Every byte is on the disk, not only in its cache."""
        await self._flush()
        await asyncio.to_thread(os.fsync, self._file.fileno())

    @property
    def sha256(self) -> str:
        """Of everything written, once `finish` is through."""
        return self._digest.hexdigest()

    def discard(self) -> None:
        """A cancelled request does not stop the thread that writes for it: wait, or its bytes go to whatever gets the
        file's number next."""
        self.path.unlink(missing_ok=True)
        with self._writing:
            self._file.close()

    async def _flush(self) -> None:
        if self.size_bytes >= self._next_disk_check:
            self._next_disk_check += CHECK_DISK_EVERY
            await asyncio.to_thread(refuse_full_disk, self.path.parent, self._limits)
        data, self._buffer = self._buffer, bytearray()
        try:
            await asyncio.to_thread(self._write_all, memoryview(data))
        except OSError as error:
            raise DiskFull("The server's disk is full.", debug=str(error)) from error

    def _write_all(self, data: memoryview) -> None:
        with self._writing:
            # Here the bytes are at hand anyway; to read a long film again later would keep its viewers waiting.
            self._digest.update(data)
            while data and not self._file.closed:
                data = data[self._file.write(data) :]


class Uploads:
    """The folder of incoming files, which several processes on a machine may share."""

    def __init__(self, folder: Path, limits: InputSettings) -> None:
        self._folder = folder
        self._limits = limits

    def prepare(self) -> None:
        """Make the folder, and remove what killed processes left there: files that nobody holds the lock of. The
        kernel drops a lock with its process, so a live upload of another API is never taken for a leftover; files
        younger than this call are left alone, because between creating one and locking it there is a moment."""
        self._folder.mkdir(parents=True, exist_ok=True)
        began = time.time()
        for path in self._folder.glob("*.part"):
            if path.stat().st_mtime < began - 1 and _nobody_writes(path):
                path.unlink(missing_ok=True)
                log.info("removed an upload that a killed process left", file=path.name)

    async def admit(self, expected_bytes: int | None) -> None:
        """Refuse what cannot end well before it is half-way. Raises UploadTooLarge, DiskFull."""
        if expected_bytes is not None and expected_bytes > self._limits.max_size_bytes + FORM_OVERHEAD:
            raise too_large(self._limits)
        await asyncio.to_thread(refuse_full_disk, self._folder, self._limits, expected_bytes or 0)

    async def admit_several(self, expected_bytes: int | None) -> None:
        """The same for a form of several videos, whose sizes it does not tell. Raises DiskFull."""
        await asyncio.to_thread(refuse_full_disk, self._folder, self._limits, expected_bytes or 0)

    @asynccontextmanager
    async def receive(self, job_id: UUID) -> AsyncIterator[IncomingFile]:
        """A new file. Whatever ends the block, a crash aside, nothing is left here afterwards."""
        incoming = await asyncio.to_thread(IncomingFile, self._folder / f"{job_id}.part", self._limits)
        try:
            yield incoming
        finally:
            # In a thread: to free the blocks of a large file takes its time.
            await asyncio.shield(asyncio.to_thread(incoming.discard))


def too_large(limits: InputSettings) -> UploadTooLarge:
    return UploadTooLarge(f"The video is larger than the {limits.max_size_bytes} bytes this server takes.")


def refuse_full_disk(folder: Path, limits: InputSettings, coming: int = 0) -> None:
    """Raise DiskFull when `coming` more bytes would leave less free than the settings ask for."""
    if shutil.disk_usage(folder).free - coming < limits.min_free_disk_bytes:
        raise DiskFull("The server's disk has no room for this; free some space or try again later.")


def _nobody_writes(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
