"""The sweep: what it takes, and that it takes nothing that is coming."""

import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from factories import COMPLETED, FAILED, accepted, run_sql
from temporalio.testing import ActivityEnvironment

from activities.retention import RetentionActivities
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Playback, Stage
from streamforge.contracts.pipeline import SweepInput, SweepResult
from streamforge.db.audit import AuditLog
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.webhooks import Deliveries
from streamforge.errors import StorageUnavailable, StoreTaken
from streamforge.events.log import EventLog
from streamforge.settings import RetentionSettings
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
    return (await swept(store, jobs)).orphans_removed


async def swept(store: LocalStorage, jobs: Jobs, **settings: object) -> SweepResult:
    retention = RetentionSettings.model_validate(settings)
    activities = RetentionActivities(store, jobs, retention, AuditLog(jobs._database), Deliveries(jobs._database))
    return await ActivityEnvironment().run(activities.sweep, SweepInput())


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


# ── periods ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def completed(store: LocalStorage, jobs: Jobs, events: EventLog) -> UUID:
    job_id = await accepted(jobs)
    await store.put_bytes(layout.original(job_id), b"x")
    await store.put_bytes(layout.output(job_id, "master.m3u8"), b"x")
    await events.append(
        job_id, JobChange(stage=Stage.STORAGE, message="Stored", playback=Playback(hls="/h", dash=None))
    )
    await events.append(job_id, COMPLETED)
    return job_id


async def files(store: LocalStorage, job_id: UUID) -> list[str]:
    return [info.name for folder in layout.job_folders(job_id) async for info in store.walk(folder)]


async def test_originals_and_outputs_have_periods_of_their_own(
    store: LocalStorage, jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    usual, kept, held = [await completed(store, jobs, events) for _ in range(3)]
    await run_sql(database_dsn, "UPDATE jobs SET completed_at = now() - interval '3 days'")
    await run_sql(database_dsn, "UPDATE jobs SET retain_until = now() + interval '9 days' WHERE id = $1", kept)
    await run_sql(database_dsn, "UPDATE jobs SET legal_hold = true WHERE id = $1", held)
    await swept(store, jobs, originals_days=2)
    assert await files(store, usual) == [layout.output(usual, "master.m3u8")]
    await swept(store, jobs, originals_days=2, outputs_days=2)
    assert await files(store, usual) == []
    row = await jobs.of(EVERYONE).get(usual)
    assert row is not None
    assert row.playback is None
    for job_id in (kept, held):
        assert len(await files(store, job_id)) == 2
    assert (await swept(store, jobs, days=1)).jobs_removed == 1
    assert len(await files(store, held)) == 2


async def test_a_hold_and_another_try_that_come_while_the_sweep_is_at_it_count(
    store: LocalStorage, jobs: Jobs, events: EventLog, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, held, again = *[await completed(store, jobs, events) for _ in range(2)], await accepted(jobs)
    await store.put_bytes(layout.original(again), b"x")
    await events.append(again, FAILED)
    await run_sql(database_dsn, "UPDATE jobs SET completed_at = now() - interval '3 days'")
    await run_sql(database_dsn, "UPDATE jobs SET completed_at = now() - interval '4 days' WHERE id = $1", first)
    delete = store.delete

    async def delete_and_hold(prefix: str, check: Callable[[], None] | None = None) -> int:
        await run_sql(database_dsn, "UPDATE jobs SET legal_hold = true WHERE id = $1", held)
        await jobs.retry(again, progress=5, message="Tried again")
        return await delete(prefix, check)

    monkeypatch.setattr(store, "delete", delete_and_hold)
    await swept(store, jobs, days=1)
    assert await files(store, first) == []
    assert len(await files(store, held)) == 2
    assert await files(store, again) == [layout.original(again)]


async def test_who_follows_a_job_is_told_a_day_before_it_goes_and_once(
    store: LocalStorage, jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    soon, later, failed = [await completed(store, jobs, events) for _ in range(2)] + [await accepted(jobs)]
    await events.append(failed, FAILED)
    await run_sql(database_dsn, "UPDATE jobs SET completed_at = now() - interval '5 days 1 hour' WHERE id = $1", soon)
    for _ in range(2):
        await swept(store, jobs, days=7, sweep_every_hours=24)
    [told] = [event for event in await events.of(EVERYONE).of_job(soon, 0) if event.event == "asset_expiring"]
    assert told.details is not None
    expires_at = datetime.fromisoformat(told.details["expires_at"])
    assert timedelta(days=1) < expires_at - datetime.now(UTC) < timedelta(days=2)
    for job_id in (later, failed):
        assert {event.event for event in await events.of(EVERYONE).of_job(job_id, 0)} == {"progress"}


async def test_what_was_kept_for_another_try_goes_after_its_time(
    store: LocalStorage, jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    job_id = await accepted(jobs)
    await store.put_bytes(layout.work_record(job_id, "chunk-0"), b"x")
    await store.put_bytes(layout.output(job_id, "480p/0.m4s"), b"x")
    await store.put_bytes(layout.original(job_id), b"x")
    await events.append(job_id, FAILED)
    await jobs.mark_parts_kept(job_id)
    await swept(store, jobs)
    assert len(await files(store, job_id)) == 3
    await run_sql(database_dsn, "UPDATE jobs SET parts_kept_at = now() - interval '25 hours'")
    await swept(store, jobs)
    assert await files(store, job_id) == [layout.original(job_id)]
