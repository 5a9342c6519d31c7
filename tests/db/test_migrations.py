"""Migrations: applied once, in order, by whoever comes first."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from factories import run_sql

from streamforge.db.migrations import MigrationEdited, apply_migrations

APPLY = """
import asyncio, sys
from streamforge.db.migrations import apply_migrations
print(asyncio.run(apply_migrations(sys.argv[1])))
"""


async def columns(dsn: str, table: str) -> set[str]:
    rows = await run_sql(dsn, "SELECT column_name FROM information_schema.columns WHERE table_name = $1", table)
    return {row["column_name"] for row in rows}


async def test_an_empty_database_gets_the_tables_of_the_design(empty_database_dsn: str) -> None:
    applied = await apply_migrations(empty_database_dsn)
    assert applied[0] == "0001_jobs_and_events"
    assert applied == sorted(applied)
    assert {
        "id", "key", "bucket", "status", "stage", "progress", "workflow_id", "error_message", "result",
        "created_at", "updated_at", "completed_at",
    } <= await columns(empty_database_dsn, "jobs")  # fmt: skip
    assert {"id", "job_id", "stage", "progress", "message", "details", "created_at"} <= await columns(
        empty_database_dsn, "progress_events"
    )


async def test_a_second_run_has_nothing_to_do(empty_database_dsn: str) -> None:
    await apply_migrations(empty_database_dsn)
    assert await apply_migrations(empty_database_dsn) == []


async def test_processes_that_start_at_once_apply_each_migration_once(empty_database_dsn: str) -> None:
    runs = await asyncio.gather(*(apply_migrations(empty_database_dsn) for _ in range(4)))
    assert sorted(len(run) for run in runs)[:3] == [0, 0, 0]


async def test_an_applied_migration_that_was_edited_is_refused_by_name(empty_database_dsn: str) -> None:
    await apply_migrations(empty_database_dsn)
    await run_sql(empty_database_dsn, "UPDATE schema_migrations SET checksum = 'another'")
    with pytest.raises(MigrationEdited, match="0001_jobs_and_events"):
        await apply_migrations(empty_database_dsn)


async def test_what_is_applied_does_not_depend_on_the_locale(empty_database_dsn: str, tmp_path: Path) -> None:
    """Text files were read as the locale said: the checksums of another machine were others."""
    applied = await apply_migrations(empty_database_dsn)
    command = [sys.executable, "-W", "error", "-c", APPLY, empty_database_dsn]
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONWARNDEFAULTENCODING": "1"}
    again = await asyncio.to_thread(
        subprocess.run, command, env=os.environ | ascii_only, cwd=tmp_path, capture_output=True, check=False
    )
    assert again.stdout == b"[]\n", again.stderr.decode()
    assert applied
