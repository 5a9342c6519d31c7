"""Is a stream still what its job made? Every file is compared with what `result.json` says of it.

Needs nothing but the files: a folder, or the address under which an API or any web server has them. Neither is trusted.
"""

import asyncio
import hashlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol
from urllib.parse import quote
from uuid import UUID

import httpx
from pydantic import BaseModel, ValidationError

from streamforge.access.signatures import MARK
from streamforge.contracts.media.encoded import StoredFile
from streamforge.contracts.receipt import RESULT
from streamforge.errors import ReceiptUnreadable
from streamforge.packaging.presentation import DASH_MANIFEST, HLS_MASTER
from streamforge.storage.protocol import is_object_name

PIECE_BYTES = 1 << 20
LARGEST_RECEIPT = 256 << 20
"""Bytes. One of a film of twelve hours has some 12 MB."""

AS_STORED = {"as": "stored"}
"""Behind a signed address our own API tells manifests with signed addresses of keys, which the receipt has never seen."""

ANSWERS = {
    404: "is missing",
    410: "is missing",
    401: "is for those who may watch (401); name its signed address, or a key with --api-key-file",
    403: "is for those who may watch (403), and this address is not, or is over; ask for the job's playback again",
}
"""By status, as the end of a sentence about a file."""

CONCURRENT_READS = 8
TIMEOUT_SECONDS = 30.0


@dataclass(frozen=True)
class Problem:
    """One line about one file, or about the receipt itself."""

    name: str
    sentence: str


class Listed(BaseModel):
    """What is needed of a receipt: whatever else another version writes into one, its files can be compared."""

    job_id: UUID
    files: dict[str, StoredFile]


@dataclass
class Verified:
    """`unlisted` are files that are there and that the receipt does not know; a web server does not tell of them."""

    receipt: Listed
    problems: list[Problem] = field(default_factory=list)
    unlisted: list[str] = field(default_factory=list)


class Files(Protocol):
    """Where the files of a stream lie. `read` raises Unreadable; what is longer than expected may be cut off behind
    that."""

    def read(self, name: str, most: int) -> AsyncIterator[bytes]: ...

    def unlisted(self, listed: Iterable[str]) -> list[str]: ...


def _without_name(url: str) -> str:
    for name in (RESULT, HLS_MASTER, DASH_MANIFEST):
        url = url.removesuffix(f"/{name}")
    return url


class Unreadable(Exception):
    """Says why, as the end of a sentence about the file."""


async def verify(
    place: str, on_file: Callable[[int, int], None] = lambda done, of: None, api_key: str | None = None
) -> Verified:
    """Of a folder or an http(s) address. `on_file` hears how many files are done. Raises ReceiptUnreadable."""
    if place.startswith(("http://", "https://")):
        headers = {"Authorization": f"Bearer {api_key}"} if api_key is not None else None
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS, headers=headers, follow_redirects=False) as client:
            return await _verify(Served(client, place), place, on_file)
    return await _verify(Folder(Path(place)), place, on_file)


async def _verify(files: Files, place: str, on_file: Callable[[int, int], None]) -> Verified:
    receipt = await _read_receipt(files, place)
    verified = Verified(receipt)
    waiting = iter(receipt.files.items())
    done = 0

    async def work() -> None:
        nonlocal done
        for name, expected in waiting:
            problem = await _problem(files, name, expected)
            if problem is not None:
                verified.problems.append(Problem(name, problem))
            done += 1
            on_file(done, len(receipt.files))

    await asyncio.gather(*(work() for _ in range(CONCURRENT_READS)))
    verified.problems.sort(key=lambda problem: problem.name)
    verified.unlisted = files.unlisted(receipt.files)
    return verified


async def _read_receipt(files: Files, place: str) -> Listed:
    data = bytearray()
    try:
        async for piece in files.read(RESULT, LARGEST_RECEIPT + 1):
            data += piece
    except Unreadable as error:
        raise ReceiptUnreadable(f"There is no {RESULT} to verify {place} with: it {error}.") from None
    if len(data) > LARGEST_RECEIPT:
        raise ReceiptUnreadable(f"The {RESULT} of {place} is too large to be one.")
    try:
        return Listed.model_validate_json(bytes(data))
    except ValidationError as error:
        raise ReceiptUnreadable(f"The {RESULT} of {place} is damaged, or was not written by StreamForge.") from error


async def _problem(files: Files, name: str, expected: StoredFile) -> str | None:
    if not is_object_name(name) or "\\" in name or name == RESULT:
        return "is a name that no stream has; it is not looked at"
    digest, size = hashlib.sha256(), 0
    try:
        async for piece in files.read(name, expected.size_bytes + 1):
            digest.update(piece)
            size += len(piece)
    except Unreadable as error:
        return str(error)
    if size != expected.size_bytes:
        found = f"more than {expected.size_bytes:,}" if size > expected.size_bytes else f"{size:,}"
        return f"has {found} bytes instead of {expected.size_bytes:,}"
    return None if digest.hexdigest() == expected.sha256 else "has other content: its sha256 is not that of the receipt"


class Folder:
    def __init__(self, root: Path) -> None:
        self._root = root.resolve()

    async def read(self, name: str, most: int) -> AsyncIterator[bytes]:
        file = await asyncio.to_thread(self._open, name)
        try:
            while most > 0 and (piece := await asyncio.to_thread(os.read, file, min(PIECE_BYTES, most))):
                most -= len(piece)
                yield piece
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror}") from None
        finally:
            os.close(file)

    def _open(self, name: str) -> int:
        """A plain file inside the folder; a link may lead anywhere, and a pipe never ends."""
        path = self._root / name
        try:
            if path.resolve() != path or not stat.S_ISREG(path.lstat().st_mode):
                raise Unreadable("is no plain file")
            return os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except (FileNotFoundError, NotADirectoryError):
            raise Unreadable("is missing") from None
        except (OSError, ValueError, RuntimeError) as error:
            raise Unreadable(f"cannot be read: {error}") from None

    def unlisted(self, listed: Iterable[str]) -> list[str]:
        return sorted(set(self._there()) - {*listed, RESULT})

    def _there(self) -> Iterator[str]:
        for folder, _, files in os.walk(self._root):
            for file in files:
                yield Path(folder, file).relative_to(self._root).as_posix()


class Served:
    """Behind an address: of the folder, or of what a job tells of it, or of the `result.json` in it."""

    def __init__(self, client: httpx.AsyncClient, url: str) -> None:
        self._client = client
        self._base = _without_name(url).rstrip("/")
        self._query = AS_STORED if f"/{MARK}" in url else None

    async def read(self, name: str, most: int) -> AsyncIterator[bytes]:
        try:
            async with self._client.stream("GET", f"{self._base}/{quote(name)}", params=self._query) as answer:
                if answer.status_code != httpx.codes.OK:
                    raise Unreadable(ANSWERS.get(answer.status_code, f"is answered with {answer.status_code}"))
                async for piece in answer.aiter_bytes(PIECE_BYTES):
                    yield piece[:most]
                    most -= len(piece)
                    if most <= 0:
                        return
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise Unreadable(f"cannot be fetched: {str(error) or type(error).__name__}") from None

    def unlisted(self, listed: Iterable[str]) -> list[str]:
        return []
