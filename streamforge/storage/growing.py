"""The manifests of a stream that is still being encoded: which of them are the newest that are whole."""

from uuid import UUID

from streamforge.storage import layout
from streamforge.storage.protocol import ObjectInfo, Storage

KEPT = 2
"""A reader may have looked up the last but one in this moment."""


async def newest(storage: Storage, job_id: UUID, name: str) -> ObjectInfo | None:
    """The object that stands for the manifest `name` now. None where nothing can be played yet, or no longer: the work
    folder goes when a job is over."""
    folders = await _folders(storage, job_id)
    whole = [files for files in folders.values() if layout.COMPLETE in files]
    return whole[-1].get(name) if whole else None


async def forget_older(storage: Storage, job_id: UUID, than: str) -> None:
    """Remove folders of growing manifests that nobody looks into any more, now that `than` is written."""
    older = [folder for folder in await _folders(storage, job_id) if folder < than]
    for folder in older[: 1 - KEPT]:
        await storage.delete(folder)


async def _folders(storage: Storage, job_id: UUID) -> dict[str, dict[str, ObjectInfo]]:
    """Files of each folder by their names in it, from the oldest to the newest."""
    within = layout.growing_folder(job_id)
    found: dict[str, dict[str, ObjectInfo]] = {}
    for info in sorted([info async for info in storage.walk(within)], key=lambda info: info.name):
        folder, _, name = info.name.removeprefix(within).partition("/")
        found.setdefault(f"{within}{folder}/", {})[name] = info
    return found
