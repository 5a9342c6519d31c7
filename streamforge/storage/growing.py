"""The manifests of a stream that is still being encoded: which of them are the newest that are whole."""

import asyncio
from uuid import UUID

from streamforge.storage import layout
from streamforge.storage.protocol import ObjectInfo, Storage

VERSIONS_KEPT = 2
"""A reader may have looked up the last but one in this moment."""


async def newest(storage: Storage, job_id: UUID, name: str) -> ObjectInfo | None:
    """The object that stands for the manifest `name` now. None where nothing can be played yet, or no longer: the work
    folder goes when a job is over."""
    for folder in reversed(await _folders(storage, job_id)):
        whole, found = await asyncio.gather(storage.stat(f"{folder}{layout.COMPLETE}"), storage.stat(f"{folder}{name}"))
        if whole is not None:
            return found
    return None


async def forget_older(storage: Storage, job_id: UUID, than: str) -> None:
    """Remove folders of growing manifests that nobody looks into any more, now that `than` is written."""
    older = [folder for folder in await _folders(storage, job_id) if folder < than]
    for folder in older[: 1 - VERSIONS_KEPT]:
        await storage.delete(folder)


async def _folders(storage: Storage, job_id: UUID) -> list[str]:
    """From the oldest to the newest."""
    within = layout.growing_folder(job_id)
    return [f"{within}{folder}/" for folder in await storage.list_folders(within)]
