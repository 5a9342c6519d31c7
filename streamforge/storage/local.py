"""A folder as object store. Publishing is write-aside, fsync, rename: atomic and safe through a power cut."""

import asyncio
import contextlib
import errno
import hashlib
import os
import shutil
import stat
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from pathlib import Path
from typing import IO, ParamSpec, TypeVar
from urllib.parse import unquote, urlsplit

from streamforge.disks import disk_error
from streamforge.errors import InvalidSettings, StorageCorrupted, StorageUnavailable
from streamforge.storage.ownership import MARK
from streamforge.storage.protocol import AlreadyThere, ObjectInfo, is_object_name, object_name

P = ParamSpec("P")
T = TypeVar("T")

PIECE_BYTES = 256 * 1024
COPY_BYTES = 2**20
ETAG_BYTES = 12
ASIDE = ".aside"
"""Where unfinished writes lie. On the same file system as the rest, so that the final rename is atomic."""
SIGNS = (ASIDE, MARK)
"""Either says that the folder is the one that was written to before, not the empty mount point of a disk that has gone. (A
backup may have left out an empty folder.)"""
WITHOUT_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK}
"""What file systems answer that know no hard links. There two writers in the same moment may both pass."""
PART = "part"
"""The file of what comes in pieces."""
ABANDONED_AFTER = timedelta(hours=24)
"""No write takes so long: what is older was left by a process that was killed."""


class LocalStorage:
    """Implements streamforge.storage.protocol.Storage over `root`, which several processes may share."""

    def __init__(self, root: Path, *, for_others: bool = True) -> None:
        """`for_others`: every user of the machine may read it, whatever the umask is. That is for a folder which a web server
        may give out; one among an installation's own data is nobody else's business."""
        self.root = root.resolve()
        self._file_mode, self._folder_mode = (0o644, 0o755) if for_others else (0o600, 0o700)
        self._seen = False
        self._moved = set[tuple[Path, Path]]()
        """From where to where, by a put that failed when only its folder was to be synced yet: all that is left to the
        next try, which finds no file to move any more."""

    @classmethod
    def from_url(cls, url: str) -> "LocalStorage":
        """Of `file:///an/absolute/path`. Raises InvalidSettings: `file://media/x` would mean the host `media`."""
        parts = urlsplit(url)
        if parts.netloc not in {"", "localhost"} or not parts.path.startswith("/"):
            raise InvalidSettings(
                "Settings are not valid: storage.url must name an absolute path, like file:///srv/media."
            )
        return cls(Path(unquote(parts.path)))

    @property
    def disks(self) -> list[Path]:
        return [self.root]

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        try:
            await self._in_thread(self._put_file, name, path, replace)
        except StorageUnavailable as error:
            # Somebody emptied the scratch folder, for example: whoever waits for the store would wait for ever.
            if isinstance(error.__cause__, FileNotFoundError) and not path.exists():
                raise error.__cause__ from None
            raise

    async def put_bytes(self, name: str, data: bytes, *, replace: bool = True) -> None:
        await self._in_thread(self._put_bytes, name, data, replace)

    async def get_bytes(self, name: str) -> bytes | None:
        return await self._in_thread(self._get_bytes, name)

    async def stat(self, name: str) -> ObjectInfo | None:
        return await self._in_thread(self._stat, name)

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        opening = asyncio.ensure_future(self._in_thread(self._open, name))
        try:
            opened = await asyncio.shield(opening)
        except asyncio.CancelledError:  # A viewer who went meanwhile; the thread goes on and opens it.
            opening.add_done_callback(_close)
            raise
        with opened as file:
            await self._in_thread(file.seek, start)
            while length > 0 and (piece := await self._in_thread(file.read, min(length, PIECE_BYTES))):
                length -= len(piece)
                yield piece

    @asynccontextmanager
    async def local_file(self, name: str, scratch: Path) -> AsyncIterator[Path]:
        (await self._in_thread(self._open, name)).close()
        yield self._path(name)

    async def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        for info in await self._in_thread(lambda: sorted(self._walk(prefix), key=attrgetter("name"))):
            yield info

    async def list_folders(self, prefix: str) -> list[str]:
        return await self._in_thread(self._folders, prefix)

    async def delete(self, prefix: str, check: Callable[[], None] | None = None) -> int:
        return await self._in_thread(self._delete, prefix, check)

    async def write_part(self, folder: str, offset: int, data: bytes | bytearray) -> None:
        await self._in_thread(self._write_part, f"{folder}{PART}", offset, data)

    async def sync_parts(self, folder: str) -> None:
        await self._in_thread(self._sync_part, f"{folder}{PART}")

    async def read_parts(self, folder: str, length: int) -> bytes:
        return await self._in_thread(self._read_part, f"{folder}{PART}", length)

    async def put_together(self, name: str, parts: Sequence[tuple[str, int]], sha256: str | None = None) -> str:
        return await self._in_thread(self._put_together, name, parts, sha256)

    async def abort_unfinished(self, before: datetime) -> int:
        """There are none: what lies aside is cleared away by every check."""
        return 0

    def expect_contents(self) -> None:
        self._seen = True

    async def check(self) -> None:
        await self._in_thread(self._probe)

    # ── what runs in threads ────────────────────────────────────────────────────────────────────────────────────────
    def _path(self, name: str) -> Path:
        return self.root / object_name(name)

    def _folder(self, prefix: str) -> Path:
        return self._path(prefix.removesuffix("/")) if prefix else self.root

    def _aside(self) -> Path:
        """Made when this process first comes here, and never again. Raises StorageUnavailable when it has gone since:
        what is written to an unmounted folder would be hidden when its disk comes back."""
        folder = self.root / ASIDE
        self._refuse_if_gone()
        _make(folder, self._folder_mode)
        self._seen = True
        return folder

    def _refuse_if_gone(self) -> None:
        """Absence says nothing about what was stored once the folder itself has gone."""
        seen_before = self._seen  # Read first: it may be made while this one looks, by another thread.
        is_there = any((self.root / sign).exists() for sign in SIGNS)
        if seen_before and not is_there:
            raise StorageUnavailable(
                "The folder of the media store is gone, or is not the one that was written to before; bring it back, or "
                "mount its disk.",
                debug=f"{self.root} has neither of {SIGNS}",
            )
        if is_there:
            self._seen = True

    def _open(self, name: str) -> IO[bytes]:
        try:
            return self._path(name).open("rb")
        except FileNotFoundError as error:
            self._refuse_if_gone()
            raise StorageCorrupted("A file has vanished from the media store.", debug=name) from error

    def _put_file(self, name: str, path: Path, replace: bool) -> None:
        target = self._path(name)
        self._aside()
        if (path, target) not in self._moved or path.exists():
            _sync(path)
            self._move_in(path, target, replace)
        self._moved.add((path, target))
        _sync_if_there(target.parent)
        self._moved.discard((path, target))

    def _move_in(self, path: Path, target: Path, replace: bool) -> None:
        try:
            path.chmod(self._file_mode)
            _place(path, target, replace, self._folder_mode)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            # Another file system: copy beside the target first, so that the rename stays atomic.
            with contextlib.suppress(OSError):
                target.parent.rmdir()
            self._publish(target, lambda aside: shutil.copyfile(path, aside), replace)
            path.unlink(missing_ok=True)

    def _put_bytes(self, name: str, data: bytes, replace: bool) -> None:
        self._publish(self._path(name), lambda aside: aside.write_bytes(data), replace)

    def _publish(self, target: Path, write: Callable[[Path], object], replace: bool) -> None:
        """The target's folder is made when its bytes are there: an empty one, while a film is copied, would look as if
        nobody owned it."""
        handle, aside_name = tempfile.mkstemp(dir=self._aside())
        os.close(handle)
        aside = Path(aside_name)
        try:
            write(aside)
            aside.chmod(self._file_mode)
            _sync(aside)
            _place(aside, target, replace, self._folder_mode)
            _sync_if_there(target.parent)
        finally:
            aside.unlink(missing_ok=True)

    def _write_part(self, name: str, offset: int, data: bytes | bytearray) -> None:
        path = self._path(name)
        if offset == 0 and not path.exists():
            self._aside()
            _make(path.parent, self._folder_mode)
            path.touch(self._file_mode)
            _sync(path.parent)
        with self._part(name, os.O_WRONLY) as file:
            if os.fstat(file).st_size < offset:
                raise _shortened(name)
            _write_all(file, data, offset)

    def _sync_part(self, name: str) -> None:
        with self._part(name, os.O_RDONLY) as file:
            os.fdatasync(file)

    def _read_part(self, name: str, length: int) -> bytes:
        with self._part(name, os.O_RDONLY) as file:
            data = os.pread(file, length, 0)
        if len(data) < length:
            raise _shortened(name)
        return data

    def _put_together(self, name: str, parts: Sequence[tuple[str, int]], sha256: str | None) -> str:
        """The first folder's file grows by what is in the others, and is moved there. When that was done before, its bytes are
        in the object."""
        target, (first, size) = self._path(name), parts[0]
        path, digest = self._path(f"{first}{PART}"), hashlib.sha256()
        if not path.exists() and target.exists():
            with target.open("rb") as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        with self._part(f"{first}{PART}", os.O_RDWR) as whole:
            if os.fstat(whole).st_size < size:
                raise _shortened(first)
            os.ftruncate(whole, size)
            if sha256 is None or len(parts) > 1:
                _copy(whole, None, size, digest, first)
            for folder, length in parts[1:]:
                with self._part(f"{folder}{PART}", os.O_RDONLY) as part:
                    _copy(part, whole, length, digest, folder)
        self._put_file(name, path, True)
        return sha256 if sha256 is not None and len(parts) == 1 else digest.hexdigest()

    @contextlib.contextmanager
    def _part(self, name: str, flags: int) -> Iterator[int]:
        try:
            file = os.open(self._path(name), flags)
        except FileNotFoundError as error:
            self._refuse_if_gone()
            raise _shortened(name) from error
        try:
            yield file
        finally:
            os.close(file)

    def _get_bytes(self, name: str) -> bytes | None:
        try:
            return self._path(name).read_bytes()
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
            self._refuse_if_gone()
            return None

    def _stat(self, name: str) -> ObjectInfo | None:
        found = _info(self._path(name), name) if is_object_name(name) else None
        if found is None:
            self._refuse_if_gone()
        return found

    def _walk(self, prefix: str) -> Iterator[ObjectInfo]:
        self._refuse_if_gone()
        for folder, folders, files in os.walk(self._folder(prefix), onerror=_ignore_vanished):
            if Path(folder) == self.root and ASIDE in folders:
                folders.remove(ASIDE)
            for file in files:
                path = Path(folder, file)
                info = _info(path, path.relative_to(self.root).as_posix())
                if info is not None:
                    yield info

    def _folders(self, prefix: str) -> list[str]:
        folder = self._folder(prefix)
        if not folder.is_dir():
            self._refuse_if_gone()
            return []
        return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name != ASIDE)

    def _delete(self, prefix: str, check: Callable[[], None] | None) -> int:
        count = sum(1 for _ in self._walk(prefix))
        folder = self._folder(prefix)
        while folder.is_dir():
            if check is not None:
                check()
            try:
                shutil.rmtree(folder)
            except OSError as error:  # Somebody else is deleting it, too, or still writing there.
                if error.errno not in {errno.ENOENT, errno.ENOTEMPTY}:
                    raise
        return count

    def _probe(self) -> None:
        handle, probe_name = tempfile.mkstemp(dir=self._aside(), prefix="probe-")
        os.close(handle)
        probe = Path(probe_name)
        try:
            probe.write_bytes(b"ok")
            _sync(probe)
        finally:
            probe.unlink(missing_ok=True)
        too_old = (datetime.now(UTC) - ABANDONED_AFTER).timestamp()
        for aside in (self.root / ASIDE).iterdir():
            with contextlib.suppress(FileNotFoundError):
                if aside.stat().st_mtime < too_old:
                    aside.unlink()

    async def _in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return await asyncio.to_thread(work, *args, **kwargs)
        except AlreadyThere:
            raise
        except OSError as error:
            raise disk_error(error) from error


def _move(path: Path, target: Path, replace: bool) -> None:
    """Without `replace` by a link, which no file system makes where there is something already."""
    if not replace:
        try:
            target.hardlink_to(path)
        except OSError as error:
            if target.is_file():
                raise AlreadyThere(target) from error
            if error.errno not in WITHOUT_LINKS:
                raise
        else:
            path.unlink(missing_ok=True)
            return
    path.replace(target)


def _info(path: Path, name: str) -> ObjectInfo | None:
    """None when no file is there, or no longer."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    if not stat.S_ISREG(found.st_mode):
        return None
    return ObjectInfo(
        name=name,
        size_bytes=found.st_size,
        modified_at=datetime.fromtimestamp(found.st_mtime, UTC),
        etag=_etag(found),
    )


def _copy(source: int, target: int | None, length: int, digest: "hashlib._Hash", name: str) -> None:
    """So many bytes from the beginning of `source`, to where `target` stands."""
    os.lseek(source, 0, os.SEEK_SET)
    while length:
        piece = os.read(source, min(length, COPY_BYTES))
        if not piece:
            raise _shortened(name)
        length -= len(piece)
        digest.update(piece)
        if target is not None:
            _write_all(target, piece)


def _write_all(file: int, data: bytes | bytearray, offset: int | None = None) -> None:
    rest = memoryview(data)
    while rest:
        written = os.write(file, rest) if offset is None else os.pwrite(file, rest, offset)
        offset = None if offset is None else offset + written
        rest = rest[written:]


def _shortened(name: str) -> StorageCorrupted:
    return StorageCorrupted("What had come of an upload has vanished from the media store.", debug=name)


def _etag(found: os.stat_result) -> str:
    """Two writes of equal length may fall into one tick of the clock; they never share an inode. A digest, as the number of
    an inode is nobody's business: strangers count files by it, and forge handles of NFS (CVE-2003-1418)."""
    identity = f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"
    return hashlib.blake2b(identity.encode(), digest_size=ETAG_BYTES).hexdigest()


def _ignore_vanished(error: OSError) -> None:
    """Others may delete what is being listed here."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        raise error


def _place(path: Path, target: Path, replace: bool, folder_mode: int) -> None:
    """Move it there; for good when the folder is synced, too. Whoever deletes it in between only makes us make it again."""
    while True:
        try:
            _make(target.parent, folder_mode)
            _move(path, target, replace)
            break
        except FileNotFoundError:
            if not path.exists():
                raise


def _sync_if_there(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # Deleted since, and what lay in it.
        _sync(folder)


def _make(folder: Path, mode: int) -> None:
    """With all that are missing above it. A folder is there after a power cut only when the one above was written, too."""
    if folder.is_dir():
        return
    _make(folder.parent, mode)
    folder.mkdir(exist_ok=True)
    folder.chmod(mode)
    _sync(folder.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _close(opening: "asyncio.Future[IO[bytes]]") -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result().close()
