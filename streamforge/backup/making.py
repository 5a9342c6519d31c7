"""`streamforge backup`: a live installation, as of one moment, in a folder that is whole or not there."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamforge import __version__, keys
from streamforge.access import secret
from streamforge.backup import database, folder, objects, temporal
from streamforge.backup.aside import built_aside, is_empty
from streamforge.backup.copies import copy_hashed, digest_of
from streamforge.backup.folder import BackedUpObject, Backup, Receipt, SecretName
from streamforge.contracts.media.encoded import StoredFile
from streamforge.db.pool import Database
from streamforge.db.roles import Roles
from streamforge.db.snapshot import Snapshot, removals_held, snapshot
from streamforge.disks import disk_error
from streamforge.embedded import endpoints
from streamforge.errors import BackupFailed
from streamforge.settings import Settings
from streamforge.storage import open_storage

SECRETS: tuple[SecretName, ...] = (keys.FILE_NAME, secret.FILE_NAME)
"""What an installation makes in its data folder where `keys.secret` and `auth.secret` say nothing."""
UNFINISHED = ".unfinished"
DISK = "the disk of the backup"

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """`settings` are joined with the `up` that runs, `embedded_temporal` is its Temporal's file."""

    settings: Settings
    target: Path
    earlier: Backup | None
    embedded_temporal: Path | None
    with_objects: bool
    say: Say


def plan_of(settings: Settings, target: Path, earlier: Path | None, with_bucket: bool, say: Say) -> Plan:
    """Raises MissingPart where a part is embedded and no `up` runs, BackupUnreadable."""
    return Plan(
        settings=endpoints.join(settings),
        target=target.resolve(),
        earlier=folder.opened(earlier.resolve()) if earlier is not None else None,
        embedded_temporal=temporal.database_of(settings.data_dir) if settings.temporal.address is None else None,
        with_objects=with_bucket or bool(open_storage(settings).disks),
        say=say,
    )


async def make(plan: Plan) -> Receipt:
    """Raises BackupFailed, BackupUnreadable, DatabaseUnavailable, StorageUnavailable, DiskFull, MissingPart."""
    try:
        with _unfinished(plan.target) as building:
            receipt = await _make(plan, building)
            folder.write_receipt(building, receipt)
    except OSError as error:
        raise disk_error(error, DISK) from error
    return receipt


async def _make(plan: Plan, building: Path) -> Receipt:
    storage = open_storage(plan.settings)
    copy = objects.StoreCopy(storage, building, with_bytes=plan.with_objects, earlier=plan.earlier)
    plan.say("Copying what is in the store" if plan.with_objects else "Listing what is in the store")
    await objects.copy_ahead(copy)
    async with _database(plan.settings) as pool, AsyncExitStack() as held:
        plan.say("Copying jobs, workflows, and what is not finished")
        await held.enter_async_context(removals_held(pool))
        async with snapshot(pool) as moment:
            made_at = datetime.now(UTC)
            if plan.embedded_temporal is not None:
                target = building / folder.TEMPORAL
                await asyncio.to_thread(temporal.copy_database, plan.embedded_temporal, target)
            await objects.copy_unfinished(copy, moment.unfinished)
            await held.aclose()
            await database.dump(plan.settings.database.dsn or "", moment.id, building / folder.DATABASE)
        plan.say("Copying what was finished meanwhile")
        await objects.copy_finished(copy, moment.finished)
    listed = copy.finish()
    folder.write_objects(building, listed)
    plan.say(f"{len(listed):,} objects, {copy.linked:,} of them as in the earlier backup")
    return _receipt(plan, building, moment, listed, made_at)


@asynccontextmanager
async def _database(settings: Settings) -> AsyncIterator[Database]:
    pool = await Database.open(settings.database.dsn or "", size=2, roles=Roles(settings.database.roles))
    try:
        yield pool
    finally:
        await pool.close()


def _receipt(plan: Plan, building: Path, moment: Snapshot, listed: list[BackedUpObject], made_at: datetime) -> Receipt:
    secrets = list(_secrets(plan.settings, building))
    return Receipt(
        format=folder.FORMAT,
        version=__version__,
        made_at=made_at,
        installation=moment.installation,
        store="copied" if plan.with_objects else "listed",
        temporal="copied" if plan.embedded_temporal is not None else "elsewhere",
        roles=moment.roles,
        unfinished_jobs=len(moment.unfinished),
        objects=len(listed),
        object_bytes=sum(each.size_bytes for each in listed),
        secrets=secrets,
        damaged=list(objects.damaged(listed, building)),
        files=dict(_files(building)),
    )


def _secrets(settings: Settings, building: Path) -> Iterator[SecretName]:
    for name in SECRETS:
        if (made_here := settings.data_dir / name).is_file():
            copy_hashed(made_here, building / folder.SECRETS / name)
            yield name


def _files(building: Path) -> Iterator[tuple[str, StoredFile]]:
    """All but the objects."""
    for path in sorted(building.rglob("*")):
        name = path.relative_to(building).as_posix()
        if path.is_file() and not name.startswith(f"{folder.STORE}/"):
            yield name, StoredFile(size_bytes=path.stat().st_size, sha256=digest_of(path))


@contextmanager
def _unfinished(target: Path) -> Iterator[Path]:
    """A folder beside the target, which takes its name when the block has ended well. What a backup that was killed has left
    there is removed. Raises BackupFailed."""
    if target.exists() and not is_empty(target):
        raise BackupFailed(f"{target} is there already; name a folder that is not, as each backup has one of its own.")
    with built_aside(target, UNFINISHED) as building:
        yield building
