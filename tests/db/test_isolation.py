"""Isolation by PostgreSQL: what belongs to another owner is not there, whatever a query asks for.

Strangers here name the other owner in every query, as one does that forgot to ask for its own: what stops them is the
database.
"""

import asyncio
import re
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import asyncpg
import pytest
from factories import COMPLETED, NOBODY, new_job, run_sql
from structlog.testing import capture_logs
from world import ALICE, BOB, SECRET, World, made, what_is_not_bobs

from streamforge import doctor
from streamforge.api.http.server import running
from streamforge.db.jobs import Jobs
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database, Row
from streamforge.db.queries import QUERIES
from streamforge.db.roles import Roles
from streamforge.embedded.postgres import binaries
from streamforge.errors import DatabaseUnavailable, InvalidSettings
from streamforge.events.log import STAGES_IN_ORDER, EventLog, OwnLog
from streamforge.events.sources import BatchSource, JobSource, OwnerSource
from streamforge.settings import AuthSettings, DatabaseSettings, ServerSettings, Settings, TemporalSettings

LATER = datetime.now(UTC) + timedelta(days=1000)


@pytest.fixture
async def world(database: Database, database_dsn: str) -> World:
    return await made(database, database_dsn)


def completed(world: World) -> list[Any]:
    change = {"job_id": str(world.waiting.id), "token": str(uuid4()), "stage": "completed", "progress": 100}
    return [change | {"event": "progress", "message": "Completed", "status": "completed"}]


def started(world: World) -> dict[str, Any]:
    change = {"job_id": str(world.external.id), "token": str(uuid4()), "stage": "uploading", "progress": 0}
    return change | {"event": "progress", "message": "Started", "status": "processing"}


Arguments = Callable[[World], Sequence[object]]
NEW = new_job(key=SECRET)


def job_row(owner: str, job_id: UUID, batch: UUID | None) -> Sequence[object]:
    return (owner, job_id, "k", f"w-{job_id}", "o", 1, "00", {"priority": 3}, batch, None, 5, "told")


OF_OWNERS: dict[str, Arguments] = {
    "create_job": lambda world: job_row(ALICE, NEW.id, None),
    "create_batch": lambda world: (ALICE, NEW.id, 1),
    "create_external_job": lambda world: (*job_row(ALICE, NEW.id, None)[:10], timedelta(days=1), "told"),
    "record_report": lambda world: (world.external.id, uuid4(), LATER, {}, started(world), STAGES_IN_ORDER),
    "silent_jobs": lambda world: (10,),
    "end_silent_job": lambda world: (world.external.id, started(world), STAGES_IN_ORDER),
    "chunk_counts": lambda world: (ALICE, world.running.id),
    "get_job": lambda world: (ALICE, world.running.id),
    "jobs_by_id": lambda world: (ALICE, world.ids),
    "list_jobs": lambda world: (ALICE, {"q": SECRET}, 10),
    "usage": lambda world: (ALICE,),
    "create_uploading_job": lambda world: job_row(ALICE, NEW.id, None),
    "create_fetched_job": lambda world: (*job_row(ALICE, NEW.id, None), "https://example.org/film.mp4"),
    "create_fetch": lambda world: (ALICE, world.running.id, "https://example.org/film.mp4?key=secret"),
    "get_fetch": lambda world: (world.waiting.id,),
    "record_fetched": lambda world: (world.waiting.id, 0, 5, 10, "etag"),
    "end_fetch": lambda world: (world.waiting.id, 10, "00"),
    "give_up_fetch": lambda world: (world.waiting.id,),
    "create_upload": lambda world: (ALICE, NEW.id, world.waiting.id, 10, None, "", timedelta(days=1)),
    "get_upload": lambda world: (ALICE, world.upload),
    "record_received": lambda world: (world.upload, 0, 5, 10, timedelta(days=1)),
    "describe_original": lambda world: (world.upload, 10, "00"),
    "expired_uploads": lambda world: (10,),
    "delete_uploads": lambda world: ([world.upload],),
    "end_part": lambda world: (world.upload,),
    "count_hits": lambda world: (["requests/alice"], [1], [60.0]),
    "forget_hits": lambda world: (),
    "hold_slots": lambda world: (world.arrival, ["streams/owner/alice"], [1], timedelta(seconds=20)),
    "leave_slots": lambda world: (world.arrival,),
    "job_state": lambda world: (ALICE, world.running.id),
    "batch_state": lambda world: (ALICE, world.batch),
    "owner_state": lambda world: (ALICE,),
    "request_cancel": lambda world: (ALICE, world.waiting.id),
    "request_purge": lambda world: (ALICE, world.over.id),
    "change_job": lambda world: (ALICE, world.of_batch.id, {"priority": 1}, True, LATER, True),
    "set_paused": lambda world: (ALICE, world.of_batch.id, True),
    "jobs_to_purge": lambda world: (10,),
    "jobs_to_control": lambda world: (None, 10),
    "mark_control_told": lambda world: (world.running.id, 5),
    "is_paused": lambda world: (world.running.id,),
    "is_held": lambda world: (world.running.id,),
    "list_chunks": lambda world: (ALICE, world.running.id, -1, 10),
    "plan_chunks": lambda world: (world.running.id, [0.0], [4.0]),
    "begin_chunk": lambda world: (world.running.id, 0, "480p", 0.0, 4.0, ["480p"], 2, "1@them"),
    "end_chunk": lambda world: (world.running.id, 0, "480p", 100, 1000, None, {}),
    "retry_job": lambda world: (world.failed.id, 5, "Again"),
    "mark_parts_kept": lambda world: (world.failed.id,),
    "jobs_with_parts_kept_before": lambda world: (LATER,),
    "forget_kept_parts": lambda world: (world.failed.id,),
    "originals_past_their_time": lambda world: (LATER,),
    "outputs_past_their_time": lambda world: (LATER,),
    "mark_original_removed": lambda world: (world.over.id,),
    "mark_output_removed": lambda world: (world.over.id,),
    "expiring_jobs": lambda world: (timedelta(0), timedelta(days=1)),
    "tell_expiring": lambda world: (world.completed.id, timedelta(0), "Soon"),
    "queue_counts": lambda world: (ALICE,),
    "queue_pace": lambda world: (ALICE,),
    "workers": lambda world: (timedelta(days=1),),
    "drain_worker": lambda world: ("1@alices-machine", timedelta(days=1)),
    "beat": lambda world: ("1@alices-machine", "alices-machine", "1", {}, LATER),
    "forget_worker": lambda world: ("1@alices-machine",),
    "begin_idempotent": lambda world: (ALICE, "old", "POST /process", uuid4(), timedelta(seconds=30)),
    "idempotent_answer": lambda world: (ALICE, "old"),
    "renew_idempotent": lambda world: (ALICE, "old", world.batch, timedelta(seconds=30)),
    "end_idempotent": lambda world: (ALICE, "old", world.batch, b"", 1, 202, [], b""),
    "release_idempotent": lambda world: (ALICE, "old", world.batch),
    "delete_old_idempotent": lambda world: (),
    "job_events_after": lambda world: (ALICE, world.running.id, 0, None, 10),
    "owner_events_after": lambda world: (ALICE, 0, 10),
    "batch_events_after": lambda world: (ALICE, world.batch, 0, 10),
    "job_status": lambda world: (world.running.id,),
    "film": lambda world: (world.running.id,),
    "unlaunched_jobs": lambda world: (10,),
    "unfinished_jobs": lambda world: (),
    "queue": lambda world: (),
    "admit_film": lambda world: (world.waiting.id, 60.0, None),
    "mark_launched": lambda world: (world.waiting.id,),
    "mark_cancel_told": lambda world: (world.running.id,),
    "jobs_to_cancel": lambda world: (None, None, 10),
    "launched_and_unfinished_jobs": lambda world: (None, 10),
    "known_workflows": lambda world: ([world.running.workflow_id],),
    "all_jobs": lambda world: (),
    "owe_starts": lambda world: ("-restored-20261128T080000Z",),
    "jobs_nobody_waits_for": lambda world: ([world.over.workflow_id], timedelta(0)),
    "past_moments": lambda world: (10,),
    "expired_jobs": lambda world: (LATER,),
    "announce_arrivals": lambda world: ([world.arrival, world.waiting.id],),
    "existing_jobs": lambda world: ([*world.ids, world.arrival], LATER - timedelta(days=2000)),
    "delete_old_arrivals": lambda world: (LATER,),
    "delete_jobs": lambda world: (world.ids,),
    "delete_empty_batches": lambda world: (),
    "append_events": lambda world: (completed(world), STAGES_IN_ORDER, False),
    "begin_sink": lambda world: ("another",),
    "owners_behind": lambda world: ("alices-broker",),
    "sink_position": lambda world: ("alices-broker", ALICE),
    "move_sink": lambda world: ("alices-broker", ALICE, 5),
    "latest_numbers": lambda world: (world.ids, [ALICE]),
    "create_api_key": lambda world: ("sf_bbbbbbbb", b"h", BOB, ["admin"], None),
    "api_keys_named": lambda world: ([world.key],),
    "api_keys": lambda world: (),
    "revoke_api_key": lambda world: (world.key,),
    "record_uses": lambda world: ([world.key], [LATER]),
    "create_session": lambda world: ("b" * 64, BOB, ["admin"], "key:x", None, LATER),
    "sessions_named": lambda world: ([world.session],),
    "end_session": lambda world: (world.session,),
    "record_audit": lambda world: (
        [{"first_at": str(LATER), "last_at": str(LATER), "count": 1, "owner": ALICE, "action": "a", "outcome": "o",
          "only_of_others": False}],
    ),
    "list_audit": lambda world: (None, None, None, None, None, None, None, None, 10),
    "delete_old_audit": lambda world: (LATER,),
    "installation": lambda world: (),
    "is_claimed": lambda world: ("file:///alices-folder/",),
    "remember_claim": lambda world: ("file:///bobs-folder/",),
    "create_webhook": lambda world: (ALICE, uuid4(), "https://b.example", "", None, "standard", True, "ff", 99),
    "list_webhooks": lambda world: (ALICE,),
    "get_webhook": lambda world: (ALICE, world.webhook),
    "change_webhook": lambda world: (ALICE, world.webhook, {"url": "https://b.example"}),
    "delete_webhook": lambda world: (ALICE, world.webhook),
    "webhook_secret": lambda world: (ALICE, world.webhook, "00"),
    "rotate_webhook_secret": lambda world: (ALICE, world.webhook, "00", timedelta(days=1)),
    "list_deliveries": lambda world: (ALICE, world.webhook, LATER, NOBODY, 10),
    "list_deliveries_by_status": lambda world: (ALICE, world.webhook, LATER, NOBODY, 10, "pending"),
    "test_webhook": lambda world: (ALICE, world.webhook),
    "redeliver": lambda world: (ALICE, world.webhook, world.told),
    "take_due_deliveries": lambda world: (10, timedelta(minutes=1)),
    "postpone_deliveries": lambda world: ([world.owed], timedelta(minutes=1)),
    "drop_deliveries": lambda world: ([world.owed],),
    "owed_delivery": lambda world: (world.owed,),
    "record_attempt": lambda world: (world.owed, {}, "delivered", 0.0, 10, timedelta(0)),
    "disable_webhook": lambda world: (world.webhook, "Gone"),
    "delete_old_deliveries": lambda world: (LATER, 10),
    "applied_migrations": lambda world: (),
    "record_migration": lambda world: ("9999_theirs", "00"),
}  # fmt: skip
"""What each query would need to find or to change something of Alice's, or of the service's."""

OF_NOBODY: dict[str, Arguments] = {
    "ping": lambda world: (),
    "ask_for_upload": lambda world: (str(world.upload),),
    "try_lock": lambda world: (1,),
    "unlock": lambda world: (1,),
    "may_remove": lambda world: (),
    "hold_removals": lambda world: (),
    "see_one_moment": lambda world: (),
    "export_snapshot": lambda world: (),
    "roles_of_the_schema": lambda world: (),
    "has_tables": lambda world: (),
    "statements_for_a_role": lambda world: ("streamforge_reader", False, True),
    "has_migrations_table": lambda world: (),
    "schema_of_our_tables": lambda world: (),
    "isolation": lambda world: (Roles().names,),
    "migrations_lock": lambda world: (),
    "migrations_table": lambda world: (),
}
"""What answers everybody the same, or nobody."""

NEEDED = {
    Roles().admin: {
        "workers",
        "drain_worker",
        "record_audit",
        "list_audit",
        "create_api_key",
        "api_keys_named",
        "api_keys",
        "revoke_api_key",
        "record_uses",
        "create_session",
        "sessions_named",
        "end_session",
        "count_hits",
        "forget_hits",
        "hold_slots",
        "leave_slots",
    },
    Roles().caller: {
        "create_job",
        "create_external_job",
        "create_batch",
        "create_uploading_job",
        "create_upload",
        "create_fetched_job",
        "create_fetch",
        "begin_idempotent",
        "idempotent_answer",
        "renew_idempotent",
        "end_idempotent",
        "release_idempotent",
        "create_webhook",
        "list_webhooks",
        "get_webhook",
        "change_webhook",
        "delete_webhook",
        "webhook_secret",
        "rotate_webhook_secret",
        "list_deliveries",
        "list_deliveries_by_status",
        "test_webhook",
        "redeliver",
    },
    "NONE": {"applied_migrations", "record_migration"},
}
"""Who may do it, other than the service itself; NONE is the owner of the tables."""
REFUSED = (asyncpg.PostgresError, DatabaseUnavailable)


def test_every_query_has_a_case() -> None:
    assert QUERIES.keys() == OF_OWNERS.keys() | OF_NOBODY.keys()


async def as_stranger(database: Database, query: str, arguments: Sequence[object]) -> Sequence[Row]:
    """What comes out. Refused is nothing."""
    try:
        return await database.as_caller(BOB).fetch(query, *arguments)
    except REFUSED:
        return []


async def as_one_who_may(dsn: str, database: Database, query: str, arguments: Sequence[object]) -> bool:
    """Whether it comes to anything, in a transaction that is taken back."""
    role = next((role for role, queries in NEEDED.items() if query in queries), Roles().worker)
    connection = await asyncpg.connect(dsn)
    try:
        await database._begin_session(connection)
        await connection.execute("RESET ROLE; BEGIN")
        await connection.execute(f"SET ROLE {role}; SET streamforge.owner = '{ALICE}'")
        rows = await connection.fetch(QUERIES[query], *arguments)
        changed = await connection.fetchval("SELECT pg_current_xact_id_if_assigned() IS NOT NULL")
        return bool(rows) or changed
    finally:
        await connection.close()


async def test_nothing_comes_out_and_nothing_changes_for_a_stranger(
    database: Database, database_dsn: str, world: World, subtests: pytest.Subtests
) -> None:
    before = await what_is_not_bobs(database_dsn)
    for query, arguments_of in (OF_OWNERS | OF_NOBODY).items():
        with subtests.test(query):
            arguments = arguments_of(world)
            found = repr(await as_stranger(database, query, arguments))
            for secret in world.secrets:
                assert secret not in found
            assert await what_is_not_bobs(database_dsn) == before
            if query in OF_OWNERS:
                assert await as_one_who_may(database_dsn, database, query, arguments), "the case asks for nothing"


async def test_nor_for_one_who_names_nobody(database: Database, world: World, subtests: pytest.Subtests) -> None:
    """Null is what administrators give in the place of an owner."""
    for query in (
        "get_job",
        "get_upload",
        "jobs_by_id",
        "list_jobs",
        "job_state",
        "batch_state",
        "list_chunks",
        "request_cancel",
        "request_purge",
        "change_job",
        "set_paused",
        "job_events_after",
        "batch_events_after",
    ):
        with subtests.test(query):
            arguments = [None, *OF_OWNERS[query](world)[1:]]
            assert await as_stranger(database, query, arguments) == []
            assert len(await database.as_admin().fetch(query, *arguments)) > 0


async def test_what_is_ones_own_is_there(database: Database, world: World) -> None:
    mine = Jobs(database).of(BOB)
    assert [job.id for job in await mine.newest(10)] == [world.of_bob]
    assert await mine.request_cancel(world.of_bob)
    everything = await Jobs(database).of(ALICE).newest(10)
    assert {job.id for job in everything} == set(world.ids)
    [running] = [job for job in everything if job.id == world.running.id]
    assert len(running.latest_events) == 3
    [waiting] = [job for job in await mine.newest(10) if job.id == world.of_bob]
    # Before it are two of Alice's: a place in the queue counts everybody's.
    assert waiting.queue_position == 2


async def test_administrators_see_all(database: Database, world: World) -> None:
    jobs = Jobs(database).of_all("root")
    assert {job.id for job in await jobs.newest(10)} == {*world.ids, world.of_bob}
    first = await jobs.newest(2)
    rest = await jobs.newest(10, after=(first[-1].created_at, first[-1].id))
    assert len({job.id for job in first + rest}) == 9
    overview = await jobs.get(world.running.id)
    assert overview is not None
    assert (overview.owner, len(overview.latest_events)) == (ALICE, 3)
    assert await jobs.batch_state(world.batch) is not None
    assert len(await EventLog(database).of_all("root").of_job(world.running.id, 0)) == 3
    assert await jobs.request_cancel(world.of_bob)


async def test_administrators_send_in_what_is_their_own(database: Database, world: World) -> None:
    job = new_job()
    await Jobs(database).of_all("root").create(job, progress=5, message="File received")
    assert await Jobs(database).of("root").get(job.id) is not None


# ── what is written ─────────────────────────────────────────────────────────────────────────────────────────────────
async def test_nothing_is_written_in_the_name_of_another(database: Database, world: World) -> None:
    with pytest.raises(DatabaseUnavailable, match="denies us a right"):
        await database.as_caller(BOB).fetch("create_job", *job_row(ALICE, uuid4(), None))
    with pytest.raises(DatabaseUnavailable, match="denies us a right"):
        await database.as_caller(BOB).fetch("create_batch", ALICE, uuid4(), 1)


async def test_no_job_goes_into_the_batch_of_another(database: Database, world: World) -> None:
    """Its owner would count it."""
    with pytest.raises(DatabaseUnavailable, match="denies us a right"):
        await Jobs(database).of(BOB).create(new_job(batch_id=world.batch), progress=5, message="File received")
    batch = await Jobs(database).of(ALICE).batch_state(world.batch)
    assert batch is not None
    assert len(batch.jobs) == 1


@pytest.mark.parametrize("owner", ["", "*", "a'b", 'a"b', "a;b", "a b", "a\n", "é", "x" * 129])
def test_what_cannot_be_an_owner_is_refused_before_it_is_sql(owner: str) -> None:
    with pytest.raises(ValueError, match="no name of an owner"):
        Roles().begin_as_caller(owner)


# ── streams: one process reads for many owners ──────────────────────────────────────────────────────────────────────
async def test_the_source_of_a_stranger_is_not_there_even_if_its_queries_name_the_owner(
    database: Database, world: World
) -> None:
    """Notifications tell of jobs, whosever they are; what is read after one is read as whoever follows."""
    log, jobs = OwnLog(BOB, database), Jobs(database).of(BOB)
    log._whose = jobs._whose = log.owner = jobs.owner = ALICE
    for source in (JobSource(world.running.id, log, jobs), BatchSource(world.batch, log, jobs)):
        assert await source.snapshot() is None
        assert await source.after(0, 10) == []
    everything = OwnerSource(log, jobs)
    assert (await everything.snapshot()).latest == 0
    assert await everything.after(0, 10) == []


def test_two_readers_never_share_what_they_follow(database: Database) -> None:
    """An administrator with a key that only reads has the same name as one with a key for all."""
    job, jobs, events = uuid4(), Jobs(database), EventLog(database)
    plain = JobSource(job, events.of("root"), jobs.of("root"))
    whole = JobSource(job, events.of_all("root"), jobs.of_all("root"))
    assert plain.key == whole.key
    assert plain.reader != whole.reader


# ── by hand ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def psql(dsn: str, *commands: str) -> subprocess.CompletedProcess[str]:
    tool = [str(binaries() / "psql"), "--no-psqlrc", "--tuples-only", "--no-align", "-v", "ON_ERROR_STOP=1"]
    script = [part for command in commands for part in ("-c", command)]
    return await asyncio.to_thread(
        subprocess.run, [*tool, dsn, *script], capture_output=True, text=True, check=False, timeout=30
    )


async def test_by_hand_in_psql(database_dsn: str, world: World) -> None:
    def as_bob(command: str) -> Any:
        return psql(database_dsn, "SET ROLE streamforge_caller", "SET streamforge.owner = 'bob'", command)

    assert (await as_bob("SELECT key FROM jobs")).stdout.split()[2:] == ["bobs-film.mp4"]
    assert (await as_bob("SELECT DISTINCT owner FROM progress_events")).stdout.split()[2:] == ["bob"]
    assert (await as_bob("SELECT count(*) FROM part_progress")).stdout.split()[2:] == ["0"]
    assert (await as_bob("UPDATE jobs SET cancel_requested_at = now()")).stdout.split()[-2:] == ["UPDATE", "1"]
    for command in (
        "UPDATE jobs SET owner = 'bob'",
        "UPDATE jobs SET status = 'completed'",
        "DELETE FROM jobs",
        "TRUNCATE jobs CASCADE",
        "SELECT * FROM audit_log",
        "SELECT * FROM api_keys",
        "SELECT * FROM installation",
        "SELECT * FROM schema_migrations",
        "ALTER TABLE jobs DISABLE ROW LEVEL SECURITY",
        "DROP POLICY own ON jobs",
        "CREATE TABLE public.jobs_2 (id uuid)",
        "SELECT append_events('[]', '{}', false) UNION SELECT append_event(jsonb_build_object('job_id', "
        f"'{world.of_bob}'), '{{}}', false)",
    ):
        done = await as_bob(command)
        assert done.returncode != 0, command
        assert "permission denied" in done.stderr or "must be owner" in done.stderr, done.stderr


async def test_by_hand_without_an_owner_nothing_is_there(database_dsn: str, world: World) -> None:
    for owner in ("RESET streamforge.owner", "SET streamforge.owner = ''", "SET streamforge.owner = 'nobody'"):
        done = await psql(database_dsn, "SET ROLE streamforge_caller", owner, "SELECT count(*) FROM jobs")
        assert done.stdout.split()[-1] == "0"


async def test_an_owner_ends_with_its_transaction(database: Database, world: World) -> None:
    """The next request on the same connection is another's."""
    async with database.connection() as connection:
        for owner in (ALICE, BOB):
            await connection.execute(Roles().begin_as_caller(owner))
            assert {row["owner"] for row in await connection.fetch("SELECT owner FROM jobs")} == {owner}
            await connection.execute("COMMIT")
            assert await connection.fetchval("SELECT current_user") == "streamforge_worker"
            assert await connection.fetchval("SELECT current_setting('streamforge.owner', true)") == ""
    with suppress(ZeroDivisionError):
        async with database.as_caller(ALICE).transaction():
            raise ZeroDivisionError
    async with database.connection() as connection:
        assert await connection.fetchval("SELECT current_user") == "streamforge_worker"


async def test_nobody_waits_for_the_end_of_what_only_reads_and_it_ends_all_the_same(
    database_dsn: str, world: World
) -> None:
    database = await Database.open(database_dsn, size=1)
    alice = database.as_caller(ALICE)
    assert await alice.look_at_one("get_job", ALICE, world.running.id) is not None
    # The only connection there is: it comes back when its transaction has ended.
    async with database.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_user") == "streamforge_worker"
    with pytest.raises(asyncpg.DataError):
        await alice.look("get_job", ALICE, "no id")
    assert await Jobs(database).of(BOB).get(world.of_bob) is not None
    await alice.look("get_job", ALICE, world.running.id)
    await database.close()
    assert (
        await run_sql(
            database_dsn,
            "SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND datname = current_database()",
        )
        == []
    )


async def test_a_request_that_is_cut_off_leaves_nothing_behind(database_dsn: str, world: World) -> None:
    database = await Database.open(database_dsn, size=1)
    try:
        async with asyncio.timeout(0.2):
            async with database.as_caller(ALICE).transaction() as session:
                await session._connection.execute("SELECT pg_sleep(10)")
    except TimeoutError:
        pass
    async with database.connection() as connection:
        assert not connection.is_in_transaction()
        assert await connection.fetchval("SELECT current_user") == "streamforge_worker"
    await database.close()


# ── what workers and administrators may not ─────────────────────────────────────────────────────────────────────────
async def test_the_audit_log_is_only_appended_to(database_dsn: str, database: Database, world: World) -> None:
    now = "2026-01-01"
    entry = {
        "first_at": now,
        "last_at": now,
        "count": 1,
        "action": "a",
        "outcome": "forbidden",
        "only_of_others": False,
    }
    await database.as_admin().fetch("record_audit", [entry])
    for role in ("streamforge_admin", "streamforge_worker", "streamforge_caller"):
        for command in ("UPDATE audit_log SET owner = 'x'", "TRUNCATE audit_log", "DELETE FROM audit_log"):
            done = await psql(database_dsn, f"SET ROLE {role}", command)
            assert done.returncode != 0
    # Nor by the owner of the table, short of taking away the trigger; only what is older than a day may go.
    for command in ("UPDATE audit_log SET owner = 'x'", "TRUNCATE audit_log", "DELETE FROM audit_log"):
        done = await psql(database_dsn, command)
        assert "only appended to" in done.stderr
    done = await psql(
        database_dsn,
        "SET ROLE streamforge_admin",
        "INSERT INTO audit_log (recorded_at, first_at, last_at, count, action, outcome) "
        "VALUES ('2020-01-01', now(), now(), 1, '', '')",
    )
    assert "permission denied" in done.stderr
    assert len(await run_sql(database_dsn, "SELECT FROM audit_log")) == 2
    assert (await database.fetch_one("delete_old_audit", LATER) or {})["deleted"] == 1
    assert len(await run_sql(database_dsn, "SELECT FROM audit_log")) == 1


async def test_workers_know_no_credentials(database: Database, world: World) -> None:
    """They process what strangers made."""
    for query in ("api_keys", "sessions_named", "create_api_key", "list_audit", "record_audit"):
        with pytest.raises(DatabaseUnavailable, match="denies us a right"):
            await database.fetch(query, *OF_OWNERS[query](world))


async def test_every_table_is_held_by_row_level_security_and_named_in_roles_sql(database_dsn: str) -> None:
    """A table that is added is nobody's until roles.sql says whose."""
    tables = await run_sql(
        database_dsn,
        "SELECT relname, relrowsecurity, EXISTS (SELECT FROM pg_policy WHERE polrelid = pg_class.oid) FROM pg_class "
        "WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace AND relname <> 'schema_migrations'",
    )
    assert len(tables) >= 9
    assert [tuple(row) for row in tables if not (row[1] and row[2])] == []


async def test_only_a_place_in_the_queue_is_told_with_more_rights_than_the_caller_has(database_dsn: str) -> None:
    """And its body is bound when it is made: no search_path puts another table in the place of ours."""
    found = await run_sql(
        database_dsn,
        "SELECT proname, prosqlbody IS NOT NULL FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace",
    )
    assert [tuple(row) for row in found] == [("queue_position", True)]


# ── servers that are not ours ───────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
async def foreign(postgres_dsn: str) -> Any:
    """A database whose owner is an ordinary user; `made(may_make_roles)` gives its DSN, and the prefix of its roles."""
    names: list[str] = []

    async def make(may_make_roles: bool) -> tuple[str, Roles]:
        name = f"of_{uuid4().hex}"
        names.append(name)
        createrole = "CREATEROLE" if may_make_roles else "NOCREATEROLE"
        await run_sql(postgres_dsn, f"CREATE ROLE {name} LOGIN PASSWORD 'x' NOSUPERUSER {createrole}")
        await run_sql(postgres_dsn, f"CREATE DATABASE {name} OWNER {name} TEMPLATE template0")
        return _dsn_of(postgres_dsn, name, name), Roles(name)

    yield make
    for name in names:
        await run_sql(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)")
        for role in [*Roles(name).names, f"{name}_app", name]:
            await run_sql(postgres_dsn, f"DROP ROLE IF EXISTS {role}")


def _dsn_of(dsn: str, user: str, database: str) -> str:
    return f"postgresql://{user}:x@{urlsplit(dsn).netloc.rpartition('@')[2]}/{database}"


async def is_isolated(dsn: str, roles: Roles) -> bool:
    """By what a stranger gets that names another owner, and whether we rely on it."""
    database = await Database.open(dsn, roles=roles)
    try:
        job = new_job()
        await Jobs(database).of(ALICE).create(job, progress=5, message="File received")
        await EventLog(database).append(job.id, COMPLETED)
        row = await database.as_caller(BOB).fetch_one("get_job", ALICE, job.id)
        assert (row is None) == database.is_isolated
        assert await Jobs(database).of(ALICE).get(job.id) is not None
        assert await Jobs(database).of(BOB).get(job.id) is None
        return database.is_isolated
    finally:
        await database.close()


Foreign = Callable[[bool], Awaitable[tuple[str, Roles]]]


async def test_a_user_who_may_make_roles_is_all_it_takes(foreign: Foreign) -> None:
    dsn, roles = await foreign(True)
    assert (await apply_migrations(dsn, roles))[-1].startswith("roles_")
    assert await apply_migrations(dsn, roles) == []
    assert await is_isolated(dsn, roles)


async def test_a_user_who_may_not_is_told_what_the_operator_has_to_do_and_works_meanwhile(
    foreign: Foreign, postgres_dsn: str
) -> None:
    """What is told is SQL, and after it isolation is in force."""
    dsn, roles = await foreign(False)
    with capture_logs() as said:
        applied = await apply_migrations(dsn, roles)
    assert not applied[-1].startswith("roles_")
    assert not await is_isolated(dsn, roles)
    [told] = [entry for entry in said if entry["log_level"] == "warning"]
    statements = re.findall(r"(?:CREATE|GRANT) [^;]+;", told["advice"])
    assert len(statements) == 4
    for statement in statements:
        await run_sql(postgres_dsn, statement)
    assert (await apply_migrations(dsn, roles))[-1].startswith("roles_")
    assert await is_isolated(dsn, roles)


async def test_doctor_says_whether_it_is_in_force(foreign: Foreign, database_dsn: str) -> None:
    """Where callers have to say who they are it is an error if it is not."""

    def settings(dsn: str, roles: Roles, required: bool) -> Settings:
        auth = AuthSettings(required=required, secret="s" * 32)  # type: ignore[arg-type]
        return Settings(database=DatabaseSettings(dsn=dsn, roles=roles.prefix), auth=auth)

    found = await doctor.CHECKS["isolation"](settings(database_dsn, Roles(), True))
    assert (found.level, found.says) == (doctor.Level.OK, "PostgreSQL keeps owners apart")
    dsn, roles = await foreign(False)
    await apply_migrations(dsn, roles)
    for required, level in ((True, doctor.Level.FAILED), (False, doctor.Level.NOTE)):
        found = await doctor.CHECKS["isolation"](settings(dsn, roles, required))
        assert found.level is level
        assert f"CREATE ROLE {roles.caller} NOLOGIN" in found.advice


async def test_an_api_may_refuse_to_start_without(foreign: Foreign, tmp_path: Path) -> None:
    dsn, roles = await foreign(False)
    database = DatabaseSettings(dsn=dsn, roles=roles.prefix, require_isolation=True)
    settings = Settings(
        data_dir=tmp_path,
        server=ServerSettings(port=0),
        database=database,
        temporal=TemporalSettings(address="127.0.0.1:1"),
    )
    with pytest.raises(InvalidSettings, match="`streamforge doctor` says what is missing"):
        async with running(settings):
            pass


async def test_the_service_needs_to_own_nothing(foreign: Foreign, postgres_dsn: str) -> None:
    """An operator may migrate as the owner of the tables, and let the service in as a user who is but a member of the roles."""
    dsn, roles = await foreign(True)
    await apply_migrations(dsn, roles)
    app = f"{roles.prefix}_app"
    await run_sql(postgres_dsn, f"CREATE ROLE {app} LOGIN PASSWORD 'x'")
    await run_sql(postgres_dsn, f"GRANT {', '.join(roles.names)} TO {app}")
    as_app = _dsn_of(dsn, app, roles.prefix)
    assert await apply_migrations(as_app, roles) == []
    assert await is_isolated(as_app, roles)


async def test_a_database_that_was_restored_where_there_are_no_roles_gets_them_again(
    foreign: Foreign, postgres_dsn: str
) -> None:
    """What stands in the catalog counts, not what is recorded."""
    dsn, roles = await foreign(True)
    await apply_migrations(dsn, roles)
    for role in roles.names:
        await run_sql(dsn, f"DROP OWNED BY {role}")
        await run_sql(postgres_dsn, f"DROP ROLE {role}")
    assert not await is_isolated(dsn, roles)
    assert await apply_migrations(dsn, roles) == []
    assert await is_isolated(dsn, roles)


async def test_roles_that_no_policy_holds_are_none(foreign: Foreign, postgres_dsn: str) -> None:
    dsn, roles = await foreign(True)
    await apply_migrations(dsn, roles)
    await run_sql(postgres_dsn, f"ALTER ROLE {roles.caller} BYPASSRLS")
    assert not await is_isolated(dsn, roles)
    await run_sql(postgres_dsn, f"ALTER ROLE {roles.caller} NOBYPASSRLS")
    await run_sql(dsn, "ALTER TABLE jobs DISABLE ROW LEVEL SECURITY")
    assert not await is_isolated(dsn, roles)


async def test_two_installations_on_one_server_do_not_see_each_other(foreign: Foreign) -> None:
    """Roles are of the whole server: what is a member of one installation's is nothing in the database of the other."""
    (one, roles), (other, theirs) = await foreign(True), await foreign(True)
    await apply_migrations(one, roles)
    await apply_migrations(other, theirs)
    intruder = _dsn_of(one, theirs.prefix, roles.prefix)
    for role in theirs.names:
        done = await psql(intruder, f"SET ROLE {role}", "SELECT * FROM jobs")
        assert "permission denied" in done.stderr


async def test_a_version_of_before_works_as_the_owner_of_the_tables(foreign: Foreign) -> None:
    """It knows of no roles; while machines are updated one after the other it finds all that it had."""
    dsn, roles = await foreign(True)
    await apply_migrations(dsn, roles)
    assert await is_isolated(dsn, roles)
    seen = await run_sql(dsn, "SELECT owner FROM jobs UNION SELECT owner FROM progress_events")
    assert [row["owner"] for row in seen] == [ALICE]
    told = await run_sql(dsn, "UPDATE jobs SET cancel_requested_at = now() RETURNING id")
    assert len(told) == 1
