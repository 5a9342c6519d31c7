"""The pool: what it says when the database is away, and that it comes back by itself."""

from pathlib import Path

import pytest
from factories import run_sql

from streamforge.db.pool import Database
from streamforge.db.queries import QUERIES, parse
from streamforge.embedded.ports import free_port
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.errors import DatabaseUnavailable
from streamforge.retry import until_available


async def test_nobody_listening_is_database_unavailable() -> None:
    with pytest.raises(DatabaseUnavailable):
        await Database.open(f"postgresql://nobody@127.0.0.1:{free_port('127.0.0.1')}/none")


async def test_a_database_that_does_not_exist_yet_is_worth_waiting_for(postgres_dsn: str) -> None:
    with pytest.raises(DatabaseUnavailable):
        await Database.open(postgres_dsn.rpartition("/")[0] + "/no_such_database")


async def test_a_connection_killed_in_the_pool_is_replaced(database: Database, database_dsn: str) -> None:
    await run_sql(database_dsn, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid()")
    row = await until_available(lambda: database.fetch_one("ping"), give_up_after=5)
    assert row is not None


async def test_the_pool_survives_a_restart_of_postgres(tmp_path: Path) -> None:
    port = free_port("127.0.0.1")
    server = EmbeddedPostgres(tmp_path, port, settings={"fsync": "off"})
    database = await Database.open(await server.start())
    await server.stop()
    with pytest.raises(DatabaseUnavailable):
        await database.fetch_one("ping")
    again = EmbeddedPostgres(tmp_path, port, settings={"fsync": "off"})
    await again.start()
    try:
        assert await database.fetch_one("ping") is not None
    finally:
        await database.close()
        await again.stop()


async def test_waiting_for_the_database_ends_with_its_error() -> None:
    tries = 0

    async def always_away() -> None:
        nonlocal tries
        tries += 1
        raise DatabaseUnavailable("The database does not answer.")

    with pytest.raises(DatabaseUnavailable):
        await until_available(always_away, give_up_after=0.3)
    assert tries >= 2


def test_every_query_has_one_name() -> None:
    assert QUERIES["ping"] == "SELECT 1;"
    with pytest.raises(ValueError, match="twice"):
        parse("-- name: a\nSELECT 1;\n-- name: a\nSELECT 2;\n")
