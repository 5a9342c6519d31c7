"""The media store in a backup: which objects there are, and their bytes. Objects never change under their name without getting
another time or size, so one that an earlier backup has is linked from there."""

import asyncio
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from uuid import UUID

from pydantic import ValidationError

from streamforge.backup.copies import copy_hashed
from streamforge.backup.folder import STORE, BackedUpObject, Backup
from streamforge.contracts.receipt import RESULT
from streamforge.errors import StorageCorrupted
from streamforge.storage import ObjectInfo, Storage, layout
from streamforge.verification import Listed

SCRATCH = "fetched"


class StoreCopy:
    """Grows while the store changes: `take` may be called for the same folder again, and then copies what is new. Of one
    `keep` says what belongs to the backup; `finish` removes the rest."""

    def __init__(self, storage: Storage, folder: Path, *, with_bytes: bool, earlier: Backup | None = None) -> None:
        self._storage = storage
        self._folder = folder
        self._with_bytes = with_bytes
        self._earlier = earlier
        self._known = {each.name: each for each in earlier.objects()} if earlier else {}
        self._taken: dict[str, tuple[str, BackedUpObject]] = {}
        self._kept: dict[str, BackedUpObject] = {}
        self.linked = 0

    async def take(self, prefix: str) -> list[str]:
        """Copy what is under the prefix; their names. What vanishes meanwhile is left out."""
        names = []
        async for info in self._storage.walk(prefix):
            try:
                await self._take(info)
            except StorageCorrupted:
                continue
            names.append(info.name)
        return names

    async def keep(self, prefix: str) -> None:
        for name in await self.take(prefix):
            self._kept[name] = self._taken[name][1]

    def finish(self) -> list[BackedUpObject]:
        """What is in the backup, by name."""
        for name in self._taken.keys() - self._kept.keys():
            (self._folder / STORE / name).unlink(missing_ok=True)
        shutil.rmtree(self._folder / SCRATCH, ignore_errors=True)
        return [self._kept[name] for name in sorted(self._kept)]

    async def _take(self, info: ObjectInfo) -> None:
        etag, _ = self._taken.get(info.name, (None, None))
        if etag != info.etag:
            self._taken[info.name] = info.etag, await self._copied(info)

    async def _copied(self, info: ObjectInfo) -> BackedUpObject:
        modified_ns = round(info.modified_at.timestamp() * 1e6) * 1000
        listed = BackedUpObject(name=info.name, size_bytes=info.size_bytes, modified_ns=modified_ns)
        if not self._with_bytes:
            return listed
        target = self._folder / STORE / info.name
        if (sha256 := await asyncio.to_thread(self._linked, listed, target)) is not None:
            self.linked += 1
            return listed.model_copy(update={"sha256": sha256})
        async with self._storage.local_file(info.name, self._folder / SCRATCH) as path:
            size, sha256 = await asyncio.to_thread(copy_hashed, path, target)
        return listed.model_copy(update={"size_bytes": size, "sha256": sha256})

    def _linked(self, wanted: BackedUpObject, target: Path) -> str | None:
        """Its sha256 where the earlier backup has the same bytes, by size and time, and its file can be linked."""
        known = self._known.get(wanted.name)
        if self._earlier is None or known is None or known.sha256 is None:
            return None
        if known.model_copy(update={"sha256": None}) != wanted:
            return None
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(self._earlier.path_of(known))
        except OSError:  # On another file system, or one without links.
            return None
        return known.sha256


async def copy_ahead(copy: StoreCopy) -> None:
    """Most of it, before anybody has to wait for the rest."""
    for folder in layout.FOLDERS:
        if folder != layout.INCOMING:  # Their senders still have them.
            await copy.take(folder)


async def copy_unfinished(copy: StoreCopy, jobs: Iterable[UUID]) -> None:
    """Records of work before what they speak of: a segment is there before its record is, so what is recorded is copied."""
    for job_id in jobs:
        for folder in (layout.work_folder(job_id), layout.output_folder(job_id), layout.original_folder(job_id)):
            await copy.keep(folder)


async def copy_finished(copy: StoreCopy, jobs: Iterable[UUID]) -> None:
    for job_id in jobs:
        await copy.keep(layout.output_folder(job_id))
        await copy.keep(layout.original_folder(job_id))
    await copy.keep(layout.SEARCHES)


def damaged(objects: Iterable[BackedUpObject], folder: Path) -> Iterator[str]:
    """Objects that are not what the receipt of their own stream says: the store had lost them before."""
    copied = {each.name: each for each in objects if each.sha256 is not None}
    for name in sorted(copied):
        stream, _, file = name.rpartition("/")
        if file == RESULT and name.count("/") == 2 and name.startswith(layout.OUTPUTS):
            yield from _damaged_of(stream, folder / STORE / name, copied)


def _damaged_of(stream: str, receipt: Path, copied: dict[str, BackedUpObject]) -> Iterator[str]:
    try:
        listed = Listed.model_validate_json(receipt.read_bytes())
    except ValidationError:
        yield f"{stream}/{RESULT}"
        return
    for file, expected in sorted(listed.files.items()):
        found = copied.get(f"{stream}/{file}")
        if found is None or (found.size_bytes, found.sha256) != (expected.size_bytes, expected.sha256):
            yield f"{stream}/{file}"
