"""Where incoming bytes lie until the store has them: one file per upload, which is gone when its request is."""

import asyncio
import fcntl
import hashlib
import os
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from io import FileIO
from pathlib import Path
from typing import ParamSpec, TypeVar
from uuid import UUID

import structlog

from streamforge.disks import SERVER, disk_error, require_free
from streamforge.errors import UploadTooLarge
from streamforge.observability import metrics
from streamforge.settings import InputSettings

P = ParamSpec("P")
T = TypeVar("T")

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
        self._file = _locked(path)

    async def write(self, data: bytes) -> None:
        """Raises UploadTooLarge, DiskFull, StorageUnavailable."""
        self.size_bytes += len(data)
        metrics.UPLOAD_BYTES.inc(len(data))
        if self.size_bytes > self._limits.max_size_bytes:
            raise too_large(self._limits)
        self._buffer += data
        if len(self._buffer) >= WRITE_BYTES:
            await self._flush()

    async def finish(self) -> None:
        """Every byte is on the disk, not only in its cache. Raises as `write` does."""
        await self._flush()
        await _on_disk(os.fsync, self._file.fileno())

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
            await _on_disk(refuse_full_disk, self.path.parent, self._limits)
        data, self._buffer = self._buffer, bytearray()
        await _on_disk(self._write_all, memoryview(data))

    def _write_all(self, data: memoryview) -> None:
        with self._writing:
            # Here the bytes are at hand anyway; to read a long film again later would keep its viewers waiting.
            self._digest.update(data)
            while data and not self._file.closed:
                data = data[self._file.write(data) :]


class Uploads:
    """The folder of incoming files, which several processes on a machine may share."""

    def __init__(self, folder: Path, limits: InputSettings, disks: Sequence[Path] = ()) -> None:
        """`disks` are folders in which an upload will lie for good."""
        self.folder = folder
        self._limits = limits
        self._disks = [folder, *disks]

    def prepare(self) -> None:
        """Make the folder, and remove what killed processes left there: files that nobody holds the lock of. The
        kernel drops a lock with its process, so a live upload of another API is never taken for a leftover. Others may
        do the same at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.part"):
            if _removed_if_nobody_writes(path):
                log.info("removed an upload that a killed process left", file=path.name)

    async def admit(self, expected_bytes: int | None) -> None:
        """Refuse what cannot end well before it is half-way. Raises UploadTooLarge, DiskFull, StorageUnavailable."""
        if expected_bytes is not None and expected_bytes > self._limits.max_size_bytes + FORM_OVERHEAD:
            raise too_large(self._limits)
        await self.admit_several(expected_bytes)

    async def admit_several(self, expected_bytes: int | None) -> None:
        """The same for a form of several videos, whose sizes it does not tell. Raises DiskFull, StorageUnavailable."""
        for disk in self._disks:
            await _on_disk(refuse_full_disk, disk, self._limits, expected_bytes or 0)

    @asynccontextmanager
    async def receive(self, job_id: UUID) -> AsyncIterator[IncomingFile]:
        """A new file. Whatever ends the block, a crash aside, nothing is left here afterwards."""
        incoming = await _on_disk(self._new_file, job_id)
        try:
            with metrics.UPLOADS.track_inprogress():
                yield incoming
        finally:
            # In a thread: to free the blocks of a large file takes its time.
            await asyncio.shield(asyncio.to_thread(incoming.discard))

    def _new_file(self, job_id: UUID) -> IncomingFile:
        self.folder.mkdir(parents=True, exist_ok=True)  # Somebody may have cleaned up.
        return IncomingFile(self.folder / f"{job_id}.part", self._limits)


def too_large(limits: InputSettings) -> UploadTooLarge:
    return UploadTooLarge.than(limits.max_size_bytes)


def refuse_full_disk(folder: Path, limits: InputSettings, coming: int = 0) -> None:
    """Raise DiskFull when `coming` more bytes would leave less free than the settings ask for."""
    require_free(folder, limits.min_free_disk_bytes, coming)


async def _on_disk(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """In a thread. Raises DiskFull and StorageUnavailable for what the disk did not do."""
    try:
        return await asyncio.to_thread(work, *args, **kwargs)
    except OSError as error:
        raise disk_error(error, SERVER) from error


def _locked(path: Path) -> FileIO:
    """A new file, locked until this process lets go of it or dies: the sign by which others know that somebody writes
    here. Between creating and locking it there is a moment in which it looks like a leftover: then it is made again."""
    while True:
        file = FileIO(path, "wb")
        fcntl.flock(file, fcntl.LOCK_EX)
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), path.stat()):
                return file
        file.close()


def _removed_if_nobody_writes(path: Path) -> bool:
    """Removed while we hold its lock, so that whoever gets the lock next sees that it is gone."""
    with suppress(OSError), path.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        path.unlink()
        return True
    return False
