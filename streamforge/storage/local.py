"""A folder as object store. Publishing is write-aside, fsync, rename: atomic and safe through a power cut."""

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from streamforge.errors import DiskFull, StorageUnavailable
from streamforge.storage.protocol import ObjectInfo

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES = 256 * 1024
ASIDE = ".aside"
"""Where unfinished writes lie. On the same file system as the rest, so that the final rename is atomic."""


class LocalStorage:
    """Implements streamforge.storage.protocol.Storage over `root`, which several processes may share."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    @classmethod
    def from_url(cls, url: str) -> "LocalStorage":
        return cls(Path(unquote(urlsplit(url).path)))

    async def put_file(self, name: str, path: Path) -> None:
        await self._in_thread(self._put_file, name, path)

    async def put_bytes(self, name: str, data: bytes) -> None:
        await self._in_thread(self._put_bytes, name, data)

    async def get_bytes(self, name: str) -> bytes | None:
        return await self._in_thread(self._get_bytes, name)

    async def stat(self, name: str) -> ObjectInfo | None:
        return await self._in_thread(self._stat, name)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        with await self._in_thread(open, self._path(name), "rb") as file:
            await asyncio.to_thread(file.seek, start)
            while length > 0 and (piece := await asyncio.to_thread(file.read, min(length, PIECE_BYTES))):
                length -= len(piece)
                yield piece

    @asynccontextmanager
    async def local_file(self, name: str, scratch: Path) -> AsyncIterator[Path]:
        yield self._path(name)

    async def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for info in await self._in_thread(lambda: list(self._walk(prefix))):
            yield info

    async def list_folders(self, prefix: str) -> list[str]:
        return await self._in_thread(self._folders, prefix)

    async def delete(self, prefix: str) -> int:
        return await self._in_thread(self._delete, prefix)

    async def check(self) -> None:
        await self._in_thread(self._probe)

    # ── what runs in threads ────────────────────────────────────────────────────────────────────────────────────────
    def _path(self, name: str) -> Path:
        """Names are made by streamforge.storage.layout, but a traversal here would read any file: check again."""
        path = self.root.joinpath(*name.split("/"))
        if "\0" in name or any(part in {"", ".", ".."} for part in name.split("/")):
            raise ValueError(f"not an object name: {name!r}")
        return path

    def _folder(self, prefix: str) -> Path:
        return self._path(prefix.rstrip("/")) if prefix else self.root

    def _put_file(self, name: str, path: Path) -> None:
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        _sync(path)
        try:
            path.replace(target)
        except OSError:
            # Another file system: copy beside the target first, so that the rename stays atomic.
            self._publish(target, lambda aside: shutil.copyfile(path, aside))
            path.unlink()
        _sync(target.parent)

    def _put_bytes(self, name: str, data: bytes) -> None:
        target = self._path(name)
        target.parent.mkdir(parents=True, exist_ok=True)
        self._publish(target, lambda aside: aside.write_bytes(data))

    def _publish(self, target: Path, write: Callable[[Path], object]) -> None:
        (self.root / ASIDE).mkdir(parents=True, exist_ok=True)
        handle, aside_name = tempfile.mkstemp(dir=self.root / ASIDE)
        os.close(handle)
        aside = Path(aside_name)
        try:
            write(aside)
            aside.chmod(0o644)
            _sync(aside)
            aside.replace(target)
        finally:
            aside.unlink(missing_ok=True)
        _sync(target.parent)

    def _get_bytes(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            return None

    def _stat(self, name: str) -> ObjectInfo | None:
        try:
            path = self._path(name)
        except ValueError:
            return None
        return _info(path, name) if path.is_file() else None

    def _walk(self, prefix: str) -> Iterator[ObjectInfo]:
        for path in sorted(self._folder(prefix).rglob("*")):
            name = path.relative_to(self.root).as_posix()
            if path.is_file() and not name.startswith(ASIDE):
                yield _info(path, name)

    def _folders(self, prefix: str) -> list[str]:
        folder = self._folder(prefix)
        if not folder.is_dir():
            return []
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name != ASIDE)

    def _delete(self, prefix: str) -> int:
        folder = self._folder(prefix)
        count = sum(1 for _ in self._walk(prefix))
        shutil.rmtree(folder, ignore_errors=not folder.exists())
        return count

    def _probe(self) -> None:
        self._put_bytes(f"{ASIDE}/probe", b"ok")

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except OSError as error:
            if error.errno in {28, 122}:  # ENOSPC, EDQUOT
                raise DiskFull("The disk of the media store is full; free some space.", debug=str(error)) from error
            raise StorageUnavailable(
                "The media store cannot be read or written right now.", debug=str(error)
            ) from error


def _info(path: Path, name: str) -> ObjectInfo:
    found = path.stat()
    return ObjectInfo(
        name=name,
        size_bytes=found.st_size,
        modified_at=datetime.fromtimestamp(found.st_mtime, UTC),
        etag=f"{found.st_mtime_ns:x}-{found.st_size:x}",
    )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
