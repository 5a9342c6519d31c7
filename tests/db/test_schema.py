"""schema.sql, functions.sql and roles.sql are the database: what every installation comes to, whichever version it began with."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib import resources
from pathlib import Path
from uuid import uuid4

import pytest
from catalog import catalog
from factories import run_sql

from streamforge.db import migrations
from streamforge.db.migrations import FUNCTIONS, ROLES, MigrationEdited, apply_migrations
from streamforge.db.queries import QUERIES
from streamforge.db.roles import Roles

RECORDED = Path(__file__).parent / "recorded_checksums.json"
"""Of every script that is out there. What is recorded is never changed; a new script is added, in the change that brings it."""

SCRIPTS = migrations._migrations()
NUMBERED = [name for name in SCRIPTS if not name.startswith((FUNCTIONS, ROLES))]
[CURRENT_FUNCTIONS] = [name for name in SCRIPTS if name.startswith(FUNCTIONS)]
[CURRENT_ROLES] = [name for name in SCRIPTS if name.startswith(ROLES)]

Apply = Callable[[str, Mapping[str, str]], Awaitable[list[str]]]


@pytest.fixture
def apply(monkeypatch: pytest.MonkeyPatch) -> Apply:
    """As a version does that has these scripts and no others."""

    async def apply_these(dsn: str, scripts: Mapping[str, str]) -> list[str]:
        with monkeypatch.context() as patches:
            patches.setattr(migrations, "_migrations", lambda: dict(scripts))
            return await apply_migrations(dsn)

    return apply_these


@asynccontextmanager
async def own_database(server: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    await run_sql(server, f"CREATE DATABASE {name} TEMPLATE template0")
    yield f"{server.rpartition('/')[0]}/{name}"
    await run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


async def run_script(dsn: str, script: str) -> None:
    """Several statements in one, which only the simple protocol takes."""
    await run_sql(dsn, f"DO $script$ BEGIN EXECUTE $text${script}$text$; END $script$")


async def as_written(dsn: str) -> dict[str, list[str]]:
    await run_sql(dsn, QUERIES["migrations_table"])
    await run_script(dsn, resources.files("migrations").joinpath("schema.sql").read_text(encoding="utf-8"))
    await run_script(dsn, SCRIPTS[CURRENT_FUNCTIONS])
    await run_script(dsn, Roles().named_in(SCRIPTS[CURRENT_ROLES], "public"))
    return await catalog(dsn)


async def test_every_installation_comes_to_what_schema_sql_says(postgres_dsn: str, apply: Apply) -> None:
    """A new one, one that stood at an early migration, and one that only lacks the functions."""
    async with own_database(postgres_dsn) as dsn:
        wanted = await as_written(dsn)
    for count in (0, 4, len(NUMBERED)):
        async with own_database(postgres_dsn) as dsn:
            before = {name: SCRIPTS[name] for name in NUMBERED[:count]}
            assert await apply(dsn, before) == list(before)
            assert await apply_migrations(dsn) == [*NUMBERED[count:], CURRENT_FUNCTIONS, CURRENT_ROLES]
            found = await catalog(dsn)
        for what, lines in wanted.items():
            assert found[what] == lines, f"{what}, from {count} migrations on"


async def test_every_function_stands_in_functions_sql(empty_database_dsn: str) -> None:
    """Else it could not be changed there."""
    await apply_migrations(empty_database_dsn)
    names = await run_sql(empty_database_dsn, "SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace")
    for (name,) in names:
        assert f"CREATE OR REPLACE FUNCTION {name}(" in SCRIPTS[CURRENT_FUNCTIONS]


# ── functions.sql ───────────────────────────────────────────────────────────────────────────────────────────────────
def functions(number: int, answer: str) -> dict[str, str]:
    script = f"-- functions {number}\nCREATE OR REPLACE FUNCTION answer() RETURNS text LANGUAGE sql AS $$ SELECT '{answer}' $$;"
    return {migrations.name_of(script): script}


async def answer(dsn: str) -> str:
    [row] = await run_sql(dsn, "SELECT answer()")
    return str(row[0])


async def test_functions_with_a_higher_number_replace_those_before(empty_database_dsn: str, apply: Apply) -> None:
    for number in (1, 2, 11):
        assert await apply(empty_database_dsn, functions(number, f"of {number}")) == [f"functions_{number:04}"]
        assert await answer(empty_database_dsn) == f"of {number}"
        assert await apply(empty_database_dsn, functions(number, f"of {number}")) == []


async def test_a_version_that_starts_again_beside_a_later_one_leaves_its_functions_alone(
    empty_database_dsn: str, apply: Apply
) -> None:
    await apply(empty_database_dsn, functions(2, "the later one"))
    assert await apply(empty_database_dsn, functions(1, "the earlier one")) == []
    assert await answer(empty_database_dsn) == "the later one"


async def test_functions_that_were_edited_under_their_number_are_refused(empty_database_dsn: str, apply: Apply) -> None:
    await apply(empty_database_dsn, functions(1, "as it was"))
    with pytest.raises(MigrationEdited, match="raise the number in its first line"):
        await apply(empty_database_dsn, functions(1, "edited"))
    assert await answer(empty_database_dsn) == "as it was"


# ── what is out there ───────────────────────────────────────────────────────────────────────────────────────────────
def test_what_was_applied_somewhere_is_never_edited() -> None:
    """An edit would stop every installation at its next start. New here: add the line that this asks for; for functions.sql and
    roles.sql raise the number in the first line with each change."""
    recorded = json.loads(RECORDED.read_text(encoding="utf-8"))
    now = {name: sha256(script.encode()).hexdigest() for name, script in SCRIPTS.items()}
    assert {name: recorded.get(name) for name in now} == now
    assert set(NUMBERED) == {name for name in recorded if not name.startswith((FUNCTIONS, ROLES))}
