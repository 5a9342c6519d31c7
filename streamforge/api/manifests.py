"""The manifests that players fetch, looked up and read once for all who ask in the same moment: while a stream grows, each of
its viewers fetches them every few seconds."""

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import TypeAlias
from uuid import UUID

from streamforge.packaging.presentation import may_still_grow
from streamforge.storage import ObjectInfo, Storage, growing, layout

KEPT_BYTES = 32 * 2**20
"""Of what was read before: one of a film of twelve hours has 0.6 MB."""
TRIES = 3

Key: TypeAlias = tuple[UUID, str]


@dataclass(frozen=True)
class Manifest:
    info: ObjectInfo
    data: bytes


class Manifests:
    """At most one look-up of each manifest goes on at a time, and one waits behind it. Nobody gets the answer of one that
    had begun before he asked: an event may just have told him that there is something to see."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._running: dict[Key, asyncio.Task[Manifest | None]] = {}
        self._waiting: dict[Key, asyncio.Task[Manifest | None]] = {}
        self._read_before = _Kept()

    async def find(self, job_id: UUID, name: str) -> Manifest | None:
        key = (job_id, name)
        if key not in self._waiting:
            self._waiting[key] = asyncio.create_task(self._after(self._running.get(key), key), name=f"find {name}")
        return await asyncio.shield(self._waiting[key])

    async def _after(self, before: "asyncio.Task[Manifest | None] | None", key: Key) -> Manifest | None:
        if before is not None:
            await asyncio.wait([before])
        look = self._running[key] = self._waiting.pop(key)
        try:
            return await self._look(*key)
        finally:
            if self._running[key] is look:
                del self._running[key]

    async def _look(self, job_id: UUID, name: str) -> Manifest | None:
        """Once more when it is gone before it is read: a newer one has taken its place, or the final one."""
        for _ in range(TRIES):
            info = await self._newest(job_id, name)
            if info is None:
                break
            if (manifest := await self._read(info)) is not None:
                return manifest
        return None

    async def _newest(self, job_id: UUID, name: str) -> ObjectInfo | None:
        """The final one, as soon as there is one. Older versions wrote growing ones to its place, and jobs that were under
        way in an upgrade have them there to their end."""
        there = await self._storage.stat(layout.output(job_id, name))
        if there is not None:
            manifest = await self._read(there)
            if manifest is None or not may_still_grow(manifest.data):
                return there
        return await growing.newest(self._storage, job_id, name) or there

    async def _read(self, info: ObjectInfo) -> Manifest | None:
        manifest = self._read_before.get(info)
        if manifest is None and (data := await self._storage.get_bytes(info.name)) is not None:
            manifest = Manifest(info, data)
            self._read_before.keep(manifest)
        return manifest


class _Kept:
    """What was used last, up to KEPT_BYTES. An etag that is the same means the same bytes."""

    def __init__(self) -> None:
        self._manifests: OrderedDict[str, Manifest] = OrderedDict()
        self._bytes = 0

    def get(self, info: ObjectInfo) -> Manifest | None:
        manifest = self._manifests.get(info.name)
        if manifest is None or manifest.info.etag != info.etag:
            return None
        self._manifests.move_to_end(info.name)
        return manifest

    def keep(self, manifest: Manifest) -> None:
        self._drop(self._manifests.pop(manifest.info.name, None))
        self._manifests[manifest.info.name] = manifest
        self._bytes += len(manifest.data)
        while self._bytes > KEPT_BYTES:
            self._drop(self._manifests.popitem(last=False)[1])

    def _drop(self, manifest: Manifest | None) -> None:
        self._bytes -= len(manifest.data) if manifest else 0
