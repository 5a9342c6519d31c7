"""What StreamForge asks of a store. Names are `/`-separated, relative, and never come from a caller unchecked."""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

MAX_NAME_BYTES = 1024
"""Of S3; no part may be longer than file systems allow, either, so that every store takes the same names."""
MAX_PART_BYTES = 255


@dataclass(frozen=True)
class ObjectInfo:
    """`etag` is a strong validator without quotes: it changes when the bytes change."""

    name: str
    size_bytes: int
    modified_at: datetime
    etag: str


class AlreadyThere(FileExistsError):
    """There is an object of this name, and it is not to be replaced."""


class Storage(Protocol):
    """Every write is atomic: a reader sees the whole object or none (half-written files that are served are the
    field's classic bug). Operations raise StorageUnavailable when trying again later can help, DiskFull when a disk is,
    and ValueError for what is_object_name refuses."""

    @property
    def disks(self) -> Sequence[Path]:
        """Folders of this machine in which objects lie; none where they lie elsewhere."""

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        """Move `path` into the store; the file is gone afterwards. Durable when this returns.

        Without `replace` it raises AlreadyThere where there is an object of that name, and leaves both as they are:
        of several writers one wins, also in the same moment. (A store that ignores If-None-Match is asked before, and two
        in the same moment may pass.)
        """

    async def put_bytes(self, name: str, data: bytes, *, replace: bool = True) -> None: ...

    async def get_bytes(self, name: str) -> bytes | None:
        """The whole object, or None. For small objects: manifests, init segments, receipts."""

    async def stat(self, name: str) -> ObjectInfo | None:
        """None, too, for a name that no object can have."""

    def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Bytes [start, start + length) in pieces of at most 256 KiB; what lies behind the end is left out.

        Raises StorageCorrupted when there is no such object: callers ask for what was stored before.
        """
        ...

    def local_file(self, name: str, scratch: Path) -> AbstractAsyncContextManager[Path]:
        """The object as a file that media code can seek in: the stored file itself where there is one, else a copy
        under `scratch` that is removed at the end. Never write to it.

        Raises StorageCorrupted when there is no such object.
        """
        ...

    def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Objects whose name starts with the folder `prefix` (ends in `/`, or empty for all)."""
        ...

    async def list_folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under the folder `prefix`, without slashes."""

    async def delete(self, prefix: str, check: Callable[[], None] | None = None) -> int:
        """Remove every object under the folder `prefix`; how many there were. Absent is fine.

        `check` is asked when it is known what is there, right before that is removed, and may be asked in a thread.
        Nothing is removed where it raises.
        """

    async def abort_unfinished(self, before: datetime) -> int:
        """End uploads into the store that began before then and whose process is gone; how many there were. Their parts are
        seen by nobody."""

    def expect_contents(self) -> None:
        """Processes before this one have written here: where nothing is now, a disk is away. From now on every operation
        raises StorageUnavailable as long as that is so."""

    async def check(self) -> None:
        """Raise StorageUnavailable unless objects can be written."""


class ResumableStorage(Storage, Protocol):
    """One that takes an object in pieces, from whoever has the next."""

    async def write_part(self, folder: str, offset: int, data: bytes | bytearray) -> None:
        """Bytes of something that comes in pieces, into a folder of its own: read by nobody until it is put together. Written
        again at the same offset, they replace what was there; nothing may be left out.

        Raises StorageCorrupted when what came before has vanished.
        """

    async def sync_parts(self, folder: str) -> None:
        """What was written there outlives a power cut. Raises as `write_part` does."""

    async def read_parts(self, folder: str, length: int) -> bytes:
        """The first bytes of what has come there. Raises StorageCorrupted when there are not so many."""

    async def put_together(self, name: str, parts: Sequence[tuple[str, int]], sha256: str | None = None) -> str:
        """The first bytes of each of these folders, as many as are told, become the object of that name; its SHA-256, in hex,
        which a caller may know already. Again it may be called until the folders are deleted, which is left to the caller.

        Raises StorageCorrupted when there are not so many.
        """


def is_object_name(name: str) -> bool:
    """Names are made by streamforge.storage.layout, but a traversal in one would reach any file: stores check again."""
    parts = name.split("/")
    return (
        name.isprintable()
        and not any(part in {"", ".", ".."} for part in parts)
        and len(name.encode()) <= MAX_NAME_BYTES
        and all(len(part.encode()) <= MAX_PART_BYTES for part in parts)
    )


def object_name(name: str) -> str:
    """Raises ValueError for what cannot be one."""
    if not is_object_name(name):
        raise ValueError(f"not an object name: {name!r}")
    return name
