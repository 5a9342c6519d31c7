"""What StreamForge asks of a store. Names are `/`-separated, relative, and never come from a caller unchecked."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


@dataclass(frozen=True)
class ObjectInfo:
    """`etag` is a strong validator without quotes: it changes when the bytes change."""

    name: str
    size_bytes: int
    modified_at: datetime
    etag: str


class Storage(Protocol):
    """Every write is atomic: a reader sees the whole object or none (half-written files that are served are the
    field's classic bug). Operations raise StorageUnavailable when trying again later can help."""

    async def put_file(self, name: str, path: Path) -> None:
        """Move `path` into the store; the file is gone afterwards. Durable when this returns."""

    async def put_bytes(self, name: str, data: bytes) -> None: ...

    async def get_bytes(self, name: str) -> bytes | None:
        """The whole object, or None. For small objects: manifests, init segments, receipts."""

    async def stat(self, name: str) -> ObjectInfo | None: ...

    def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """Bytes [start, start + length) in pieces of at most 256 KiB."""
        ...

    def local_file(self, name: str, scratch: Path) -> AbstractAsyncContextManager[Path]:
        """The object as a file that media code can seek in: the stored file itself where there is one, else a copy
        under `scratch` that is removed at the end. Never write to it."""
        ...

    def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Objects whose name starts with the folder `prefix` (ends in `/`, or empty for all)."""
        ...

    async def list_folders(self, prefix: str) -> list[str]:
        """Names of the folders directly under the folder `prefix`, without slashes."""

    async def delete(self, prefix: str) -> int:
        """Remove every object under the folder `prefix`; how many there were. Absent is fine."""

    async def check(self) -> None:
        """Raise StorageUnavailable unless objects can be written."""
