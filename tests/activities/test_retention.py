"""The sweep: what it takes, and that it takes nothing that is coming."""

import os
import time
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from factories import accepted
from temporalio.testing import ActivityEnvironment

from activities.retention import RetentionActivities
from streamforge.contracts.pipeline import SweepInput
from streamforge.db.audit import AuditLog
from streamforge.db.jobs import Jobs
from streamforge.errors import StorageUnavailable, StoreTaken
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage
from streamforge.storage.ownership import claim

TWO_DAYS = 2 * 86400


@pytest.fixture
def store(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


async def put_long_ago(store: LocalStorage, name: str) -> None:
    await store.put_bytes(name, b"x")
    then = time.time() - TWO_DAYS
    os.utime(store.root / name, (then, then))


async def orphans_removed_from(store: LocalStorage, jobs: Jobs) -> int:
    activities = RetentionActivities(store, jobs, timedelta(days=7), AuditLog(jobs._database), timedelta(days=365))
    return (await ActivityEnvironment().run(activities.sweep, SweepInput())).orphans_removed


async def test_old_bytes_that_nobody_owns_go_and_others_stay(store: LocalStorage, jobs: Jobs) -> None:
    nobodys, recent, coming, owned = uuid4(), uuid4(), uuid4(), await accepted(jobs)
    for job_id in (nobodys, coming, owned):
        await put_long_ago(store, layout.original(job_id))
    await store.put_bytes(layout.original(recent), b"x")
    await jobs.announce([coming])
    assert await orphans_removed_from(store, jobs) == 1
    assert set(await store.list_folders(layout.ORIGINALS)) == {str(recent), str(coming), str(owned)}


async def test_a_folder_without_a_file_may_be_about_to_get_one(store: LocalStorage, jobs: Jobs) -> None:
    """It is made a moment before: the film that comes into it must not go with it."""
    folder = store.root / layout.original_folder(uuid4())
    folder.mkdir(parents=True)
    then = time.time() - TWO_DAYS
    os.utime(folder, (then, then))
    assert await orphans_removed_from(store, jobs) == 0
    assert folder.is_dir()


async def test_a_store_whose_disk_is_not_mounted_is_not_swept(store: LocalStorage, jobs: Jobs) -> None:
    """The database remembers it, so that a worker knows which starts without the disk."""
    await orphans_removed_from(store, jobs)
    store.root.rename(store.root.with_name("disk"))
    store.root.mkdir()
    with pytest.raises(StorageUnavailable):
        await orphans_removed_from(LocalStorage(store.root), jobs)
    assert list(store.root.iterdir()) == []


async def test_in_a_store_of_another_installation_nothing_is_nobodys(store: LocalStorage, jobs: Jobs) -> None:
    """Its database knows their jobs, ours does not."""
    theirs = layout.original(uuid4())
    await put_long_ago(store, theirs)
    await claim(store, uuid4())
    with pytest.raises(StoreTaken):
        await orphans_removed_from(store, jobs)
    assert await store.get_bytes(theirs) == b"x"
