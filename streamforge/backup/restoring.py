"""`streamforge restore`: an installation out of a backup, where there is none yet.

What the settings leave to `streamforge up` is built in a folder beside the data folder, which takes its place when all of it
is there. A database, store or Temporal of one's own is filled where it is, the database last: `restore` has done nothing, or all
of it, once there are rows.
"""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamforge.backup import database, folder, temporal
from streamforge.backup.aside import built_aside, is_empty
from streamforge.backup.copies import copy_hashed
from streamforge.backup.folder import BackedUpObject, Backup
from streamforge.db.restored import RestoredDatabase
from streamforge.disks import SERVER, disk_error
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.errors import BackupUnreadable, RestoreRefused, StoreTaken
from streamforge.settings import Settings
from streamforge.storage import AlreadyThere, Storage, layout, open_storage
from streamforge.storage.ownership import MARK, claim

UNFINISHED = ".restoring"
SCRATCH = "scratch"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Restored:
    """`missing` are objects that the backup only lists and the store does not have. Jobs `go_on` where their workflows were,
    or begin again with what is encoded."""

    go_on: bool
    unfinished_jobs: int
    workflows_ended: int
    missing: list[str]

    def sentences(self) -> list[str]:
        how = "go on where they were" if self.go_on else "begin again, with what is encoded already"
        return [
            f"Restored. {self.unfinished_jobs} unfinished jobs {how} when it is started.",
            *(
                [f"{self.workflows_ended} workflows that Temporal still had were ended."]
                if self.workflows_ended
                else []
            ),
            *(f"Missing in the store: {name}" for name in self.missing),
        ]


async def restore(backup: Backup, settings: Settings, say: Say) -> Restored:
    """Raises BackupUnreadable, RestoreRefused, BackupFailed, StoreTaken, MissingPart, and what the parts raise."""
    data_dir = settings.data_dir
    if not is_empty(data_dir):
        raise RestoreRefused(f"{data_dir} is not empty; name a folder that is not there yet with --data-dir.")
    try:
        with built_aside(data_dir, UNFINISHED) as building:
            return await _restore(backup, settings, _within(settings, building), say)
    except OSError as error:
        raise disk_error(error, SERVER) from error


def _within(settings: Settings, building: Path) -> Settings:
    return settings.model_copy(update={"data_dir": building})


async def _restore(backup: Backup, settings: Settings, within: Settings, say: Say) -> Restored:
    go_on = _can_go_on(backup, settings)
    await _refuse_what_is_in_use(backup, settings)
    ended = 0 if settings.temporal.address is None else await temporal.end_jobs(settings.temporal)
    say("Putting back the store")
    missing = await _restore_store(backup, within)
    _restore_files(backup, within, with_workflows=go_on)
    say("Putting back the database")
    async with _database(within) as dsn:
        target = RestoredDatabase(dsn)
        await target.make_roles(backup.receipt.roles)
        await database.load(dsn, backup.folder / folder.DATABASE)
        await target.owe_starts(None if go_on else _mark_of_new_workflows())
    shutil.rmtree(within.data_dir / SCRATCH, ignore_errors=True)
    return Restored(go_on, backup.receipt.unfinished_jobs, ended, missing)


def _can_go_on(backup: Backup, settings: Settings) -> bool:
    """Workflows go on only with the objects that they know of, and where they were: a Temporal that is somewhere else, or a
    store that has changed since, knows more or less."""
    receipt = backup.receipt
    return receipt.temporal == "copied" and receipt.store == "copied" and settings.temporal.address is None


def _mark_of_new_workflows() -> str:
    """Part of their ids: Temporal may know the old ones, as running or as over."""
    return f"-restored-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"


async def _refuse_what_is_in_use(backup: Backup, settings: Settings) -> None:
    """Raises RestoreRefused, DatabaseUnavailable, StorageUnavailable, StoreTaken."""
    if settings.database.dsn is not None and not await RestoredDatabase(settings.database.dsn).is_empty():
        raise RestoreRefused(
            "The database that database.dsn names has tables already; make an empty one, and name that."
        )
    if settings.storage.url is not None:
        await _refuse_full_store(backup, open_storage(settings))


async def _refuse_full_store(backup: Backup, storage: Storage) -> None:
    mark = await storage.get_bytes(MARK)
    if backup.receipt.store == "copied":
        if mark is not None or [each for each in layout.FOLDERS if await storage.list_folders(each)]:
            raise RestoreRefused(
                "The store that storage.url names is in use; empty it, or name another bucket, prefix or folder."
            )
    elif mark is not None and mark.decode(errors="replace").strip() != str(backup.receipt.installation):
        raise StoreTaken("The store that storage.url names belongs to another installation than the backup.")


async def _restore_store(backup: Backup, within: Settings) -> list[str]:
    """Objects of the backup that neither it nor the store has."""
    storage = open_storage(within)
    if backup.receipt.store == "listed":
        await claim(storage, backup.receipt.installation)
        return [each.name for each in backup.objects() if not await _is_there(storage, each)]
    with _scratch(within) as scratch:
        for each in backup.objects():
            await _put(backup, each, storage, scratch)
    await claim(storage, backup.receipt.installation)
    return []


async def _is_there(storage: Storage, each: BackedUpObject) -> bool:
    found = await storage.stat(each.name)
    return found is not None and found.size_bytes == each.size_bytes


@contextmanager
def _scratch(within: Settings) -> Iterator[Path]:
    """On the disk of the store, where that is a folder below the data folder: what is put is moved then."""
    parent = within.data_dir / SCRATCH
    parent.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=parent) as scratch:
        yield Path(scratch)


async def _put(backup: Backup, each: BackedUpObject, storage: Storage, scratch: Path) -> None:
    copy = scratch / "object"
    size, sha256 = await asyncio.to_thread(copy_hashed, backup.path_of(each), copy)
    if (size, sha256) != (each.size_bytes, each.sha256):
        raise BackupUnreadable(
            f"The backup is damaged: {folder.STORE}/{each.name} is not what it was; take another one."
        )
    copy.chmod(0o644)
    with suppress(AlreadyThere):  # By an attempt to restore that was interrupted: the same bytes.
        await storage.put_file(each.name, copy, replace=False)
    copy.unlink(missing_ok=True)


def _restore_files(backup: Backup, within: Settings, *, with_workflows: bool) -> None:
    for name in backup.receipt.secrets:
        copy_hashed(backup.folder / folder.SECRETS / name, within.data_dir / name)
    if with_workflows:
        copy_hashed(backup.folder / folder.TEMPORAL, temporal.database_of(within.data_dir))


@asynccontextmanager
async def _database(within: Settings) -> AsyncIterator[str]:
    """The one that is named; or a new embedded one, running while the block lasts."""
    if within.database.dsn is not None:
        yield within.database.dsn
        return
    logs = within.data_dir / "logs"
    logs.mkdir()
    server = EmbeddedPostgres(within.data_dir / "postgres", log=logs / "postgres.log")
    try:
        yield await server.start()
    finally:
        await server.stop()
