"""Plain numbered SQL files, applied in order, and after them the functions of the database: all that is new in one
transaction, so that others find the database of one version or of the next, and nothing in between.

A migration is applied once and never changes. The functions are one file that does change: each number of it is applied
once, unless a higher one was before. So a version that starts again beside a later one does not undo its functions.
"""

import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from importlib import resources
from typing import Any

from streamforge.db.pool import availability_errors, connect
from streamforge.db.queries import QUERIES
from streamforge.errors import ServiceError

FUNCTIONS = "functions_"
"""Begins what the functions are recorded as, with their number behind it in four digits: they sort as they follow."""

_NUMBERED = re.compile(r"\d{4}_\w+\.sql")
_NUMBER_OF_FUNCTIONS = re.compile(r"-- functions (\d+)\n")


class MigrationEdited(ServiceError):
    """A migration that was applied has other content now. What the schema really is can no longer be known."""

    code = "database.migration_edited"
    retryable = False


async def apply_migrations(dsn: str) -> list[str]:
    """Bring the schema up to date; the names of what was applied. Any number of processes may call it at once: an
    advisory lock lets one work and the others find nothing left to do.

    Raises DatabaseUnavailable, MigrationEdited.
    """
    connection = await connect(dsn)
    try:
        with availability_errors():
            # The lock ends with the connection, whatever happens to this process.
            await connection.execute(QUERIES["migrations_lock"])
            return await _apply(connection, _migrations())
    finally:
        connection.terminate()


async def _apply(connection: Any, migrations: Mapping[str, str]) -> list[str]:
    # Not `IF NOT EXISTS`: that asks for the right to write where nothing has to be written.
    if not await connection.fetchval(QUERIES["has_migrations_table"]):
        await connection.execute(QUERIES["migrations_table"])
    applied = {row["name"]: row["checksum"] for row in await connection.fetch(QUERIES["applied_migrations"])}
    fresh = [name for name, script in migrations.items() if _is_missing(name, script, applied)]
    if fresh:
        async with connection.transaction():
            for name in fresh:
                await connection.execute(migrations[name])
                await connection.execute(QUERIES["record_migration"], name, _checksum(migrations[name]))
    return fresh


def _is_missing(name: str, script: str, applied: Mapping[str, str]) -> bool:
    """Raises MigrationEdited."""
    if name not in applied:
        return not _is_overtaken(name, applied)
    if applied[name] == _checksum(script):
        return False
    if name.startswith(FUNCTIONS):
        raise MigrationEdited(
            "functions.sql was changed after it was applied; raise the number in its first line, too."
        )
    raise MigrationEdited(
        f"The migration {name} was changed after it was applied; put its change into a new migration instead."
    )


def _is_overtaken(name: str, applied: Collection[str]) -> bool:
    return name.startswith(FUNCTIONS) and any(each.startswith(FUNCTIONS) and each > name for each in applied)


def _checksum(script: str) -> str:
    return sha256(script.encode()).hexdigest()


def _migrations() -> dict[str, str]:
    """By the names that are recorded, in the order in which they are applied."""
    folder = resources.files("migrations")
    names = sorted(file.name for file in folder.iterdir() if _NUMBERED.fullmatch(file.name))
    scripts = {name.removesuffix(".sql"): folder.joinpath(name).read_text(encoding="utf-8") for name in names}
    functions = folder.joinpath("functions.sql").read_text(encoding="utf-8")
    return scripts | {name_of_functions(functions): functions}


def name_of_functions(script: str) -> str:
    """What functions.sql is recorded as, by the number in its first line."""
    first = _NUMBER_OF_FUNCTIONS.match(script)
    if first is None:
        raise ValueError("functions.sql begins with `-- functions` and its number")
    return f"{FUNCTIONS}{int(first[1]):04}"
