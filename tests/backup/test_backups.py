"""What a backup holds, what of it is refused, and what is there after it was restored."""

import asyncio
import json
import os
import shutil
import stat
from pathlib import Path
from uuid import uuid4

import pytest
from bucket_server import BUCKET
from factories import run_sql
from installation import SEGMENT, Restore, Stocked, files_of, rows_of
from temporalio.testing import ActivityEnvironment

from activities.outcome import OutcomeActivities
from streamforge.backup import database as database_tools
from streamforge.backup import folder, making, restoring
from streamforge.contracts.pipeline import DiscardInput
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.db.snapshot import removals_held
from streamforge.errors import BackupFailed, BackupUnreadable, RestoreRefused, StoreTaken
from streamforge.events.log import EventLog
from streamforge.settings import Settings, StorageSettings
from streamforge.storage import layout, open_storage
from streamforge.storage.local import LocalStorage
from streamforge.storage.ownership import MARK

SECRET = b"a secret that was made here, of 32 bytes or more"


def objects_in(backup: Path) -> set[str]:
    return {each.name for each in folder.opened(backup).objects()}


class TestWhatIsInIt:
    async def test_all_of_an_installation_and_nothing_that_anybody_else_may_read(
        self, stocked: Stocked, tmp_path: Path
    ) -> None:
        for name in ("keys-secret", "access-secret"):
            (stocked.settings.data_dir / name).write_bytes(SECRET)
        receipt = await stocked.backup(tmp_path / "backup")
        assert objects_in(tmp_path / "backup") == stocked.objects
        assert (tmp_path / "backup" / "secrets" / "keys-secret").read_bytes() == SECRET
        assert (tmp_path / "backup" / "secrets" / "access-secret").read_bytes() == SECRET
        assert (receipt.unfinished_jobs, receipt.damaged) == (1, [])
        assert "Secrets: keys-secret, access-secret; keep the backup as safe as these." in receipt.sentences()
        for path in (tmp_path / "backup").rglob("*"):
            assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 or path.is_dir(), path
        assert stat.S_IMODE((tmp_path / "backup").stat().st_mode) == 0o700

    async def test_no_password_is_on_a_command_line(
        self, stocked: Stocked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Every user of a machine reads those of all others."""
        started: list[tuple[str, ...]] = []
        start = asyncio.create_subprocess_exec

        async def noted(*command: str, **options: object) -> object:
            started.append(command)
            return await start(*command, **options)  # type: ignore[arg-type]

        monkeypatch.setattr(asyncio, "create_subprocess_exec", noted)
        await stocked.backup(tmp_path / "backup")
        password = str(stocked.settings.database.dsn).split(":")[2].split("@")[0]
        [command] = started
        assert password not in " ".join(command)

    async def test_objects_that_an_earlier_backup_has_are_linked_and_not_read_again(
        self, stocked: Stocked, tmp_path: Path
    ) -> None:
        first, second = tmp_path / "first", tmp_path / "second"
        await stocked.backup(first)
        changed = layout.output(stocked.unfinished, "360p/0.m4s")
        await open_storage(stocked.settings).put_bytes(changed, b"other bytes")
        await stocked.backup(second, first)
        for name in stocked.objects:
            is_linked = (first / "store" / name).samefile(second / "store" / name)
            assert is_linked == (name != changed), name
        assert (second / "store" / changed).read_bytes() == b"other bytes"
        assert folder.opened(second).receipt.objects == len(stocked.objects)

    async def test_it_says_what_the_store_had_lost_before(self, stocked: Stocked, tmp_path: Path) -> None:
        lost = layout.output(stocked.completed, "360p/0.m4s")
        (stocked.settings.data_dir / "storage" / lost).write_bytes(SEGMENT[::-1])
        receipt = await stocked.backup(tmp_path / "backup")
        assert receipt.damaged == [lost]
        assert receipt.sentences()[-1] == f"Damaged in the store before: {lost}"

    async def test_a_folder_that_holds_something_is_left_alone(self, stocked: Stocked, tmp_path: Path) -> None:
        (tmp_path / "backup").mkdir()
        (tmp_path / "backup" / "theirs").write_text("something else")
        with pytest.raises(BackupFailed, match="is there already; name a folder that is not"):
            await stocked.backup(tmp_path / "backup")
        assert files_of(tmp_path / "backup") == {"theirs": b"something else"}

    async def test_one_that_fails_half_way_leaves_nothing(
        self, stocked: Stocked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(database_tools, "_path_of", lambda tool: "/bin/false")
        with pytest.raises(BackupFailed, match="pg_dump failed"):
            await stocked.backup(tmp_path / "backup")
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith("backup")] == []

    async def test_one_that_was_killed_is_no_backup_and_the_next_one_takes_its_place(
        self, stocked: Stocked, tmp_path: Path
    ) -> None:
        left = tmp_path / "backup.unfinished"
        (left / "store").mkdir(parents=True)
        (left / "database.dump").write_bytes(b"half of")
        with pytest.raises(BackupUnreadable, match="is no backup, or one that was never finished"):
            folder.opened(left)
        await stocked.backup(tmp_path / "backup")
        assert not left.exists()
        assert objects_in(tmp_path / "backup") == stocked.objects


class TestAsOfOneMoment:
    async def test_a_worker_removes_nothing_while_it_is_made(
        self, stocked: Stocked, database: Database, jobs: Jobs, events: EventLog
    ) -> None:
        """A job that completed meanwhile: its workflow in the backup still looks for what it has encoded."""
        store = LocalStorage(stocked.settings.data_dir / "storage")
        outcome = OutcomeActivities(store, events, jobs)
        work = DiscardInput(job_id=stocked.unfinished, output=False, original=False)
        async with removals_held(database):
            discarding = asyncio.create_task(ActivityEnvironment().run(outcome.discard, work))
            done, _ = await asyncio.wait({discarding}, timeout=0.5)
            assert not done
            assert await store.stat(layout.work_record(stocked.unfinished, "chunk-0")) is not None
        await discarding
        assert await store.stat(layout.work_record(stocked.unfinished, "chunk-0")) is None

    async def test_it_waits_for_removals_that_are_under_way(self, stocked: Stocked, jobs: Jobs, tmp_path: Path) -> None:
        async with jobs.removal():
            making_it = asyncio.create_task(stocked.backup(tmp_path / "backup"))
            done, _ = await asyncio.wait({making_it}, timeout=0.5)
            assert not done
        await making_it

    async def test_jobs_that_come_while_it_is_made_are_not_in_it(
        self, stocked: Stocked, jobs: Jobs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, restore: Restore,
        elsewhere: Settings,
    ) -> None:  # fmt: skip
        """Neither their rows nor their files: one without the other would be an orphan."""
        dump, late = making.database.dump, uuid4()

        async def after_one_more(*arguments: object) -> None:
            await run_sql(
                str(stocked.settings.database.dsn),
                "INSERT INTO jobs (id, key, workflow_id, source_object, size_bytes, source_sha256, options) "
                "VALUES ($1, 'late.mp4', 'late', 'x', 1, '', '{}')",
                late,
            )
            await open_storage(stocked.settings).put_bytes(layout.original(late), b"late")
            await dump(*arguments)  # type: ignore[arg-type]

        monkeypatch.setattr(making.database, "dump", after_one_more)
        await stocked.backup(tmp_path / "backup")
        assert objects_in(tmp_path / "backup") == stocked.objects
        await restore(tmp_path / "backup")
        ids = {row["id"] for row in await run_sql(str(elsewhere.database.dsn), "SELECT id FROM jobs")}
        assert ids == {stocked.completed, stocked.unfinished}

    async def test_what_was_copied_ahead_and_is_gone_is_not_in_it(
        self, stocked: Stocked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ahead, gone = making.objects.copy_ahead, layout.work_record(stocked.unfinished, "growing")
        await open_storage(stocked.settings).put_bytes(gone, b"{}")

        async def then_remove(copy: making.objects.StoreCopy) -> None:
            await ahead(copy)
            (stocked.settings.data_dir / "storage" / gone).unlink()

        monkeypatch.setattr(making.objects, "copy_ahead", then_remove)
        await stocked.backup(tmp_path / "backup")
        assert objects_in(tmp_path / "backup") == stocked.objects
        assert not (tmp_path / "backup" / "store" / gone).exists()


class TestRestored:
    async def test_rows_objects_and_secrets_are_there_as_they_were(
        self, stocked: Stocked, restore: Restore, elsewhere: Settings, tmp_path: Path
    ) -> None:
        (stocked.settings.data_dir / "keys-secret").write_bytes(SECRET)
        await stocked.backup(tmp_path / "backup")
        restored = await restore(tmp_path / "backup")
        assert await rows_of(str(elsewhere.database.dsn)) == await rows_of(str(stocked.settings.database.dsn))
        before = files_of(stocked.settings.data_dir / "storage")
        assert files_of(elsewhere.data_dir / "storage") == before
        assert MARK in before
        assert (elsewhere.data_dir / "keys-secret").read_bytes() == SECRET
        assert stat.S_IMODE((elsewhere.data_dir / "keys-secret").stat().st_mode) == 0o600
        assert (restored.unfinished_jobs, restored.missing) == (1, [])

    async def test_unfinished_jobs_begin_again_where_their_workflows_are_not_in_it(
        self, stocked: Stocked, restore: Restore, elsewhere: Settings, tmp_path: Path
    ) -> None:
        """Under another id: a Temporal of one's own may know the old one, and refuses to start it twice."""
        await stocked.backup(tmp_path / "backup")
        restored = await restore(tmp_path / "backup")
        assert not restored.go_on
        database = await Database.open(str(elsewhere.database.dsn))
        try:
            [owed] = await Jobs(database).unlaunched()
            done = await Jobs(database).of(EVERYONE).get(stocked.completed)
        finally:
            await database.close()
        assert owed.id == stocked.unfinished
        assert "-restored-" in owed.workflow_id
        assert done is not None
        assert "-restored-" not in done.workflow_id

    async def test_a_role_that_rights_are_given_to_is_made_first(
        self, stocked: Stocked, restore: Restore, elsewhere: Settings, tmp_path: Path
    ) -> None:
        dsn, role = str(stocked.settings.database.dsn), f"reader_{uuid4().hex[:8]}"
        await run_sql(dsn, f"CREATE ROLE {role} NOLOGIN")
        await run_sql(dsn, f"GRANT SELECT ON jobs TO {role}")
        await stocked.backup(tmp_path / "backup")
        await run_sql(dsn, f"DROP OWNED BY {role}")
        await run_sql(dsn, f"DROP ROLE {role}")
        await restore(tmp_path / "backup")
        [row] = await run_sql(str(elsewhere.database.dsn), "SELECT has_table_privilege($1, 'jobs', 'SELECT')", role)
        assert row[0]
        await run_sql(str(elsewhere.database.dsn), f"DROP OWNED BY {role}")
        await run_sql(str(elsewhere.database.dsn), f"DROP ROLE {role}")


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


class TestDamaged:
    """Refused in one sentence, and nothing is left where it should have been restored."""

    async def test_whatever_is_missing_cut_or_changed(
        self, stocked: Stocked, restore: Restore, elsewhere: Settings, tmp_path: Path
    ) -> None:
        (stocked.settings.data_dir / "keys-secret").write_bytes(SECRET)
        await stocked.backup(tmp_path / "whole")
        an_object = f"store/{layout.output(stocked.completed, 'master.m3u8')}"
        damages = [
            *((name, damage) for name in ("database.dump", "objects.jsonl", "secrets/keys-secret", an_object)
              for damage in (cut, flip, Path.unlink)),
            *(("backup.json", damage) for damage in (cut, Path.unlink)),
        ]  # fmt: skip
        for number, (name, damage) in enumerate(damages):
            damaged = tmp_path / f"damaged-{number}"
            shutil.copytree(tmp_path / "whole", damaged)
            damage(damaged / name)
            with pytest.raises(BackupUnreadable):
                await restore(damaged)
        assert list(tmp_path.glob("elsewhere*")) == []
        tables = await run_sql(str(elsewhere.database.dsn), "SELECT 1 FROM pg_tables WHERE schemaname = 'public'")
        assert tables == []

    async def test_a_name_that_leads_out_of_the_store_is_refused(self, stocked: Stocked, tmp_path: Path) -> None:
        backup = tmp_path / "backup"
        await stocked.backup(backup)
        evil = {"name": "../../escaped", "size_bytes": 1, "modified_ns": 0, "sha256": "0" * 64}
        (backup / "objects.jsonl").write_text(json.dumps(evil))
        receipt = json.loads((backup / "backup.json").read_text())
        found = (backup / "objects.jsonl").read_bytes()
        receipt["files"]["objects.jsonl"] = {
            "size_bytes": len(found), "sha256": folder.digest_of(backup / "objects.jsonl"),
        }  # fmt: skip
        (backup / "backup.json").write_text(json.dumps(receipt))
        with pytest.raises(BackupUnreadable, match=r"objects\.jsonl"):
            folder.opened(backup)
        (backup / "backup.json").write_text(json.dumps(receipt | {"secrets": ["../../escaped"]}))
        with pytest.raises(BackupUnreadable, match=r"backup\.json"):
            folder.opened(backup)

    async def test_one_of_a_later_version_names_it(self, stocked: Stocked, tmp_path: Path) -> None:
        await stocked.backup(tmp_path / "backup")
        path = tmp_path / "backup" / "backup.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 99, "version": "9.9.9"}))
        with pytest.raises(BackupUnreadable, match=r"was made by StreamForge 9\.9\.9"):
            folder.opened(tmp_path / "backup")


class TestWhereSomethingIs:
    async def test_a_data_folder_in_use_is_refused(
        self, stocked: Stocked, restore: Restore, elsewhere: Settings, tmp_path: Path
    ) -> None:
        await stocked.backup(tmp_path / "backup")
        elsewhere.data_dir.mkdir()
        (elsewhere.data_dir / "mine").write_text("mine")
        with pytest.raises(RestoreRefused, match="is not empty"):
            await restore(tmp_path / "backup")
        assert files_of(elsewhere.data_dir) == {"mine": b"mine"}

    async def test_a_database_with_tables_is_refused(self, stocked: Stocked, tmp_path: Path) -> None:
        """That of the installation itself, for example."""
        await stocked.backup(tmp_path / "backup")
        itself = stocked.settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
        with pytest.raises(RestoreRefused, match=r"database\.dsn names has tables already"):
            await restoring.restore(folder.opened(tmp_path / "backup"), itself, lambda _: None)
        assert not (tmp_path / "elsewhere").exists()

    async def test_a_store_in_use_is_refused(self, stocked: Stocked, elsewhere: Settings, tmp_path: Path) -> None:
        await stocked.backup(tmp_path / "backup")
        store = StorageSettings(url=(stocked.settings.data_dir / "storage").as_uri())
        with pytest.raises(RestoreRefused, match=r"storage\.url names is in use"):
            await restoring.restore(
                folder.opened(tmp_path / "backup"), elsewhere.model_copy(update={"storage": store}), lambda _: None
            )


class TestABucket:
    @pytest.fixture
    def settings(self, settings: Settings, bucket_environment: pytest.MonkeyPatch) -> Settings:
        return settings.model_copy(update={"storage": StorageSettings(url=f"s3://{BUCKET}/{uuid4().hex}")})

    @pytest.fixture
    def elsewhere(self, elsewhere: Settings, settings: Settings) -> Settings:
        return elsewhere.model_copy(update={"storage": settings.storage})

    async def test_its_objects_are_listed_and_what_is_missing_later_is_named(
        self, stocked: Stocked, restore: Restore, tmp_path: Path
    ) -> None:
        receipt = await stocked.backup(tmp_path / "backup")
        assert "are listed, and not copied" in receipt.sentences()[1]
        assert not (tmp_path / "backup" / "store").exists()
        assert objects_in(tmp_path / "backup") == stocked.objects
        gone = layout.output(stocked.completed, "360p/")
        await open_storage(stocked.settings).delete(gone)
        restored = await restore(tmp_path / "backup")
        assert restored.missing == [f"{gone}0.m4s"]

    async def test_one_of_another_installation_is_refused(
        self, stocked: Stocked, restore: Restore, tmp_path: Path
    ) -> None:
        await stocked.backup(tmp_path / "backup")
        await open_storage(stocked.settings).put_bytes(MARK, str(uuid4()).encode())
        with pytest.raises(StoreTaken):
            await restore(tmp_path / "backup")

    async def test_it_is_copied_when_that_is_asked_for_and_put_into_another_one(
        self, stocked: Stocked, elsewhere: Settings, tmp_path: Path
    ) -> None:
        await stocked.backup(tmp_path / "backup", with_bucket=True)
        other = elsewhere.model_copy(update={"storage": StorageSettings(url=f"s3://{BUCKET}/{uuid4().hex}")})
        await restoring.restore(folder.opened(tmp_path / "backup"), other, lambda _: None)
        for name in stocked.objects:
            found = await open_storage(other).get_bytes(name)
            assert found == await open_storage(stocked.settings).get_bytes(name), name


@pytest.mark.parametrize(
    ("dsn", "address"),
    [
        ("postgresql://ann:p%40ss@db:5432/video?sslmode=require", "postgresql://ann@db:5432/video?sslmode=require"),
        ("postgresql://ann@db/video?password=p%40ss&sslmode=require", "postgresql://ann@db/video?sslmode=require"),
        ("postgresql://db/video?user=ann&password=p%40ss", "postgresql://db/video?user=ann"),
        ("postgresql://ann:other@one,two/video?password=p%40ss", "postgresql://ann@one,two/video"),
    ],
)
def test_a_password_is_on_no_command_line_wherever_the_dsn_has_it(dsn: str, address: str) -> None:
    found, environment = database_tools._without_password(dsn)
    assert (found, environment["PGPASSWORD"]) == (address, "p@ss")
