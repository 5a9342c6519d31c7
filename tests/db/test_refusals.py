"""What a real PostgreSQL refuses for the time being is away; what it refuses for good is a defect."""

import asyncio
import shutil
from pathlib import Path

import asyncpg
import pytest
from factories import new_job, run_sql
from outages import filled, read_only, small_disk

from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database, availability_errors, connect
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.errors import DatabaseUnavailable
from streamforge.retry import until_available


async def refused(dsn: str, sqlstate: str) -> None:
    """The server raises it."""
    connection = await connect(dsn)
    try:
        with availability_errors():
            await connection.execute(f"DO $$ BEGIN RAISE SQLSTATE '{sqlstate}'; END $$")
    finally:
        await connection.close()


PASSING = [
    "08006", "25006", "25P03", "28000", "3D000", "40001", "40P01", "42501", "42P01", "53000", "53100", "53200", "53300",
    "55006", "55P03", "57014", "57P01", "57P03", "58030", "58P01", "XX000", "XX001",
]  # fmt: skip


@pytest.mark.parametrize("sqlstate", PASSING)
async def test_what_passes_is_away_and_says_why(postgres_dsn: str, sqlstate: str) -> None:
    with pytest.raises(DatabaseUnavailable) as caught:
        await refused(postgres_dsn, sqlstate)
    assert caught.value.message.endswith(".")
    assert sqlstate not in caught.value.message


@pytest.mark.parametrize("sqlstate", ["22003", "23505", "23514", "42601", "54000", "P0001"])
async def test_what_would_be_refused_for_ever_is_not_waited_for(postgres_dsn: str, sqlstate: str) -> None:
    with pytest.raises(asyncpg.PostgresError):
        await refused(postgres_dsn, sqlstate)


async def test_wrong_arguments_are_a_defect_and_not_waited_for(database: Database) -> None:
    with pytest.raises(asyncpg.DataError):
        await database.fetch("get_job", EVERYONE, "not a UUID")


async def create(jobs: Jobs) -> None:
    await jobs.of(EVERYONE).create(new_job(), progress=5, message="File received")


async def create_for_ever(jobs: Jobs) -> None:
    while True:
        await create(jobs)


async def test_a_read_only_server_answers_questions_and_says_that_it_takes_no_job(
    jobs: Jobs, database_dsn: str
) -> None:
    async with read_only(database_dsn):
        assert await jobs.of(EVERYONE).newest(1) == []
        for write in (create(jobs), jobs.check()):
            with pytest.raises(DatabaseUnavailable, match="read-only"):
                await write
    await until_available(jobs.check, give_up_after=10)  # A session hears of it between two statements, a moment later.


async def test_the_check_leaves_nothing(jobs: Jobs, database_dsn: str) -> None:
    await jobs.check()
    for table in ("jobs", "progress_events"):
        assert await run_sql(database_dsn, f"SELECT FROM {table}") == []
    assert len(await run_sql(database_dsn, "SELECT FROM owners")) == 1


async def test_a_lock_that_somebody_keeps_is_waited_for(jobs: Jobs, database_dsn: str) -> None:
    await run_sql(database_dsn, f"ALTER DATABASE {database_dsn.rpartition('/')[2]} SET lock_timeout = '10ms'")
    impatient = await Database.open(database_dsn)
    keeper = await asyncpg.connect(database_dsn)
    try:
        async with keeper.transaction():
            await keeper.execute("LOCK TABLE jobs")
            with pytest.raises(DatabaseUnavailable, match="locked"):
                await create(Jobs(impatient))
        await create(Jobs(impatient))
    finally:
        await keeper.close()
        await impatient.close()


async def test_a_cancelled_query_and_a_killed_session_are_asked_again(jobs: Jobs, database_dsn: str) -> None:
    for end in ("pg_cancel_backend", "pg_terminate_backend"):
        keeper = await asyncpg.connect(database_dsn)
        async with keeper.transaction():
            await keeper.execute("LOCK TABLE jobs")
            waiting = asyncio.create_task(create(jobs))
            ended = f"SELECT {end}(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            while not await keeper.fetch(ended):
                pass
            with pytest.raises(DatabaseUnavailable):
                await waiting
        await keeper.close()
    await create(jobs)


async def test_a_role_without_rights_or_connections_is_told_so(jobs: Jobs, database_dsn: str) -> None:
    await run_sql(database_dsn, "CREATE ROLE poor LOGIN PASSWORD 'poor' CONNECTION LIMIT 1")
    poor = f"postgresql://poor:poor@{database_dsn.rpartition('@')[2]}"
    try:
        database = await Database.open(poor)
        with pytest.raises(DatabaseUnavailable, match="denies us a right"):
            await create(Jobs(database))
        with pytest.raises(DatabaseUnavailable, match="no connection left"):
            await connect(poor)
        await database.close()
    finally:
        await run_sql(database_dsn, "DROP ROLE poor")


async def test_a_database_that_has_not_been_migrated_yet_is_waited_for(empty_database_dsn: str) -> None:
    database = await Database.open(empty_database_dsn)
    with pytest.raises(DatabaseUnavailable, match="another version"):
        await Jobs(database).of(EVERYONE).newest(1)
    await apply_migrations(empty_database_dsn)
    assert await Jobs(database).of(EVERYONE).newest(1) == []
    await database.close()


async def test_nothing_to_migrate_needs_no_right_to_write(database_dsn: str) -> None:
    """An API that starts beside a standby serves what can be read."""
    async with read_only(database_dsn):
        assert await apply_migrations(database_dsn) == []


async def test_a_full_disk_is_waited_for(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "pg", settings={"fsync": "off"})
    with small_disk(tmp_path / "disk", "16m") as disk:
        dsn = await server.start()
        try:
            shutil.chown(disk, "nobody")
            await run_sql(dsn, f"CREATE TABLESPACE small LOCATION '{disk}'")
            await run_sql(dsn, "CREATE DATABASE small TABLESPACE small")
            dsn = dsn.rpartition("/")[0] + "/small"
            await apply_migrations(dsn)
            database = await Database.open(dsn)
            with filled(disk), pytest.raises(DatabaseUnavailable, match="disk of the database is full"):
                await create_for_ever(Jobs(database))
            await create(Jobs(database))
            await database.close()
        finally:
            await server.stop()
