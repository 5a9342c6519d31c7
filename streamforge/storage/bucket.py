"""S3, GCS, Azure and their kin, through obstore. A put is atomic by nature there."""

import asyncio
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import from_url

from streamforge.disks import WORKER, disk_error
from streamforge.errors import DiskFull, InvalidSettings, StorageCorrupted, StorageUnavailable
from streamforge.storage.protocol import AlreadyThere, ObjectInfo, is_object_name, object_name
from streamforge.storage.unfinished import UnfinishedUploads

T = TypeVar("T")

PIECE_BYTES = 256 * 1024
FETCH_BYTES = 4 * 2**20
PART_BYTES = 8 * 2**20
PARTS_AT_ONCE = 4
"""Memory of one upload is their product; S3 takes 10,000 parts, so files may have 80 GiB."""
PROBE = ".streamforge-probe"
ANSWERED = "Server returned non-2xx status code"
OUT_OF_ROOM = ("507 Insufficient Storage", "QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded")
"""What S3's kin say when a disk or a quota of theirs is used up; Amazon's own never is."""

# A download may take hours, so it has no limit but on silence. Retries here only bridge a hiccup: the longer outage is
# for the caller to wait out, who can say so.
CLIENT = {"timeout": timedelta(days=1), "connect_timeout": timedelta(seconds=5), "read_timeout": timedelta(minutes=1)}
RETRIES = {
    "max_retries": 3,
    "retry_timeout": timedelta(seconds=30),
    "backoff": {"init_backoff": timedelta(milliseconds=100), "max_backoff": timedelta(seconds=2), "base": 2},
}


class BucketStorage:
    """Implements streamforge.storage.protocol.Storage over any store obstore can open.

    Credentials and endpoints come from the environment as for the vendors' own tools (AWS_ACCESS_KEY_ID,
    GOOGLE_SERVICE_ACCOUNT …). For S3's kin (MinIO, Garage, Ceph …) set AWS_ENDPOINT_URL=https://host:port next to
    AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_REGION; one that says http:// is taken at its word. Buckets are
    addressed by path, unless AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true.
    """

    def __init__(self, store: Any, unfinished: UnfinishedUploads | None = None) -> None:
        self.store = store
        self._unfinished = unfinished

    @classmethod
    def from_url(cls, url: str) -> "BucketStorage":
        """Nothing is contacted yet. Raises InvalidSettings."""
        try:
            store = from_url(url, client_options=client_options(), retry_config=RETRIES)  # type: ignore[call-overload]
        except (BaseError, ValueError) as error:
            raise InvalidSettings(
                "Settings are not valid: storage.url must be a URL like s3://bucket/prefix or file:///path.",
                debug=str(error),
            ) from error
        return cls(store, UnfinishedUploads.of(url))

    @property
    def disks(self) -> list[Path]:
        return []

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        await self._put(name, path, replace)
        await asyncio.to_thread(path.unlink, missing_ok=True)

    async def put_bytes(self, name: str, data: bytes, *, replace: bool = True) -> None:
        await self._put(name, data, replace)

    async def get_bytes(self, name: str) -> bytes | None:
        try:
            found = await _reach(obstore.get_async(self.store, object_name(name)))
            return bytes(await _reach(found.bytes_async()))
        except FileNotFoundError:
            return None

    async def stat(self, name: str) -> ObjectInfo | None:
        if not is_object_name(name):
            return None
        try:
            return _info(await _reach(obstore.head_async(self.store, name)))
        except FileNotFoundError:
            return None

    async def read(self, name: str, start: int, length: int) -> AsyncIterator[bytes]:
        """One request, so that all bytes are of one version of the object."""
        found = await self._open(name, start, length)
        if found is None:
            return
        async with aclosing(_pieces(found, PIECE_BYTES)) as pieces:
            async for piece in pieces:
                for offset in range(0, min(length, len(piece)), PIECE_BYTES):
                    yield piece[offset : min(length, offset + PIECE_BYTES)]
                length -= len(piece)
                if length <= 0:
                    return

    @asynccontextmanager
    async def local_file(self, name: str, scratch: Path) -> AsyncIterator[Path]:
        folder = _folder_in(scratch)
        try:
            target = folder / object_name(name).rsplit("/", 1)[-1]
            await self._fetch(name, target)
            yield target
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    async def walk(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        listing = obstore.list(self.store, prefix=_folder(prefix), chunk_size=1000)
        while batch := await _reach(anext(listing, None)):
            for meta in batch:
                if meta["path"] != PROBE:
                    yield _info(meta)

    async def list_folders(self, prefix: str) -> list[str]:
        found = await _reach(obstore.list_with_delimiter_async(self.store, prefix=_folder(prefix)))
        return sorted(folder.rstrip("/").rsplit("/", 1)[-1] for folder in found["common_prefixes"])

    async def delete(self, prefix: str, check: Callable[[], None] | None = None) -> int:
        names = [info.name async for info in self.walk(prefix)]
        if check is not None:
            check()
        if names:
            await _reach(obstore.delete_async(self.store, names))
        return len(names)

    async def write_part(self, folder: str, offset: int, data: bytes | bytearray) -> None:
        """An object of its own, which any process can go on behind."""
        await self._put(f"{folder}{offset:020}", bytes(data), True)

    async def sync_parts(self, folder: str) -> None:
        """They are safe as soon as they are written."""

    async def read_parts(self, folder: str, length: int) -> bytes:
        return b"".join([piece async for piece in self._parts(folder, length)])

    async def put_together(self, name: str, parts: Sequence[tuple[str, int]], sha256: str | None = None) -> str:
        """As one multipart upload of what is read meanwhile: no store but S3 puts together by itself, and that one wants parts
        of 5 MiB."""
        digest = hashlib.sha256()

        async def content() -> AsyncIterator[bytes]:
            for folder, length in parts:
                async for piece in self._parts(folder, length):
                    await asyncio.to_thread(digest.update, piece)
                    yield piece

        await self._put(name, content(), True)
        return digest.hexdigest()

    async def _parts(self, folder: str, length: int) -> AsyncIterator[bytes]:
        """One that begins where the one before ended; what lies between was written by a request that came to nothing."""
        found = sorted([info async for info in self.walk(folder)], key=lambda info: info.name)
        position = 0
        for info in found:
            if position < length and int(info.name.rpartition("/")[2]) == position:
                size = min(info.size_bytes, length - position)
                async for piece in self.read(info.name, 0, size):
                    yield piece
                position += size
        if position < length:
            raise StorageCorrupted("What had come of an upload has vanished from the media store.", debug=folder)

    async def abort_unfinished(self, before: datetime) -> int:
        return 0 if self._unfinished is None else await self._unfinished.abort(before)

    def expect_contents(self) -> None:
        """A bucket that is away is missing, and not empty."""

    async def check(self) -> None:
        await self.put_bytes(PROBE, b"ok")

    async def _put(self, name: str, content: Path | bytes | AsyncIterator[bytes], replace: bool) -> None:
        # Not every one of S3's kin knows If-None-Match, and those that do not say nothing.
        if not replace and await self.stat(object_name(name)) is not None:
            raise AlreadyThere(name)
        mode: Any = {} if replace else {"mode": "create"}
        put = obstore.put_async(
            self.store, object_name(name), content, chunk_size=PART_BYTES, max_concurrency=PARTS_AT_ONCE, **mode
        )
        try:
            await _reach(put)
        except FileNotFoundError as error:
            if isinstance(content, Path) and not content.exists():
                raise
            raise StorageUnavailable("The media store has no such bucket.", debug=str(error)) from error

    async def _open(self, name: str, start: int, length: int) -> Any:
        """What obstore found, or None where there is nothing to read: stores refuse a range that begins at the end."""
        if length <= 0:
            return None
        options = {"range": (start, start + length)} if start else None
        try:
            return await _reach(obstore.get_async(self.store, object_name(name), options=options))  # type: ignore[arg-type]
        except FileNotFoundError as error:
            raise _vanished(name) from error
        except StorageUnavailable:
            info = await self.stat(name)
            if info is not None and info.size_bytes <= start:
                return None
            raise

    async def _fetch(self, name: str, target: Path) -> None:
        try:
            found = await _reach(obstore.get_async(self.store, name))
        except FileNotFoundError as error:
            raise _vanished(name) from error
        try:
            with target.open("wb") as file:
                async for piece in _pieces(found, FETCH_BYTES):
                    await asyncio.to_thread(file.write, piece)
        except OSError as error:
            raise disk_error(error, WORKER) from error


def client_options() -> dict[str, Any]:
    """Options given in code replace all that obstore would read from the environment, AWS_ALLOW_HTTP among them."""
    plain = os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://")
    return CLIENT | {"allow_http": plain or os.environ.get("AWS_ALLOW_HTTP") == "true"}


async def _pieces(found: Any, at_least: int) -> AsyncGenerator[bytes, None]:
    stream = found.stream(min_chunk_size=at_least)
    while (piece := await _reach(anext(stream, None))) is not None:
        yield bytes(piece)


async def _reach(call: Awaitable[T]) -> T:
    """Raises FileNotFoundError, as obstore does, AlreadyThere, and StorageUnavailable for all else."""
    try:
        return await call
    except AlreadyExistsError as error:
        raise AlreadyThere(str(error)) from error
    except BaseError as error:
        raise _away(error) from error


def _away(error: BaseError) -> StorageUnavailable | DiskFull:
    """obstore tells such errors apart by their text alone."""
    text = str(error)
    if any(sign in text for sign in OUT_OF_ROOM):
        return DiskFull("The media store is full; free some space there, or raise its quota.", debug=text)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StorageUnavailable("The media store refuses us; check its credentials and what they allow.", debug=text)
    if ANSWERED in text:
        return StorageUnavailable("The media store answers with an error; its own log knows why.", debug=text)
    return StorageUnavailable("The media store does not answer right now.", debug=text)


def _folder_in(scratch: Path) -> Path:
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=scratch, prefix="fetched-"))
    except OSError as error:
        raise disk_error(error, WORKER) from error


def _vanished(name: str) -> StorageCorrupted:
    return StorageCorrupted("A file has vanished from the media store.", debug=name)


def _folder(prefix: str) -> str | None:
    return object_name(prefix.removesuffix("/")) if prefix else None


def _info(meta: Any) -> ObjectInfo:
    return ObjectInfo(
        name=meta["path"],
        size_bytes=meta["size"],
        modified_at=meta["last_modified"],
        etag=(meta["e_tag"] or str(meta["last_modified"].timestamp())).removeprefix("W/").strip('"'),
    )
