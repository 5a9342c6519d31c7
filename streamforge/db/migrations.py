"""Plain numbered SQL files, applied in order, and after them the functions of the database: all that is new in one
transaction, so that others find the database of one version or of the next, and nothing in between. Last come the rights
of the roles, which a login that may not make roles leaves to the operator.

A migration is applied once and never changes. The functions are one file that does change: each number of it is applied
once, unless a higher one was before. So a version that starts again beside a later one does not undo its functions.
"""

import re
from collections.abc import Collection, Mapping
from hashlib import sha256
from importlib import resources
from typing import Any

import asyncpg
import structlog

from streamforge.db.pool import availability_errors, connect
from streamforge.db.queries import QUERIES
from streamforge.db.roles import Roles, isolation, make_roles
from streamforge.errors import ServiceError

FUNCTIONS = "functions_"
"""Begins what the functions are recorded as, with their number behind it in four digits: they sort as they follow."""

ROLES = "roles_"
"""The same of roles.sql."""

_NUMBERED = re.compile(r"\d{4}_\w+\.sql")
_NUMBER = re.compile(r"-- (functions|roles) (\d+)\n")

log = structlog.stdlib.get_logger(__name__)


class MigrationEdited(ServiceError):
    """A migration that was applied has other content now. What the schema really is can no longer be known."""

    code = "database.migration_edited"
    retryable = False


async def apply_migrations(dsn: str, roles: Roles | None = None) -> list[str]:
    """Bring the schema up to date; the names of what was applied. Any number of processes may call it at once: an
    advisory lock lets one work and the others find nothing left to do.

    Raises DatabaseUnavailable, MigrationEdited.
    """
    connection = await connect(dsn)
    try:
        with availability_errors():
            # The lock ends with the connection, whatever happens to this process.
            await connection.execute(QUERIES["migrations_lock"])
            scripts = _migrations()
            of_roles = {name: scripts.pop(name) for name in list(scripts) if name.startswith(ROLES)}
            return await _apply(connection, scripts) + await _apply_roles(connection, of_roles, roles or Roles())
    finally:
        connection.terminate()


async def _apply(connection: Any, migrations: Mapping[str, str]) -> list[str]:
    # Not `IF NOT EXISTS`: that asks for the right to write where nothing has to be written.
    if not await connection.fetchval(QUERIES["has_migrations_table"]):
        await connection.execute(QUERIES["migrations_table"])
    applied = await _applied(connection)
    fresh = [name for name, script in migrations.items() if _is_missing(name, script, applied)]
    if fresh:
        async with connection.transaction():
            for name in fresh:
                await connection.execute(migrations[name])
                await connection.execute(QUERIES["record_migration"], name, _checksum(migrations[name]))
    return fresh


async def _apply_roles(connection: Any, scripts: Mapping[str, str], roles: Roles) -> list[str]:
    """Once for each number, and again where the catalog has them not: a database that was restored on another server, or
    settings that name other roles. What the login may not do is told to the operator and tried again at the next start."""
    applied = await _applied(connection)
    fresh = [name for name, script in scripts.items() if _is_missing(name, script, applied)]
    found = await isolation(connection, roles)
    if not scripts or (found.is_in_force and not fresh):
        return []
    if not found.has_roles:
        await make_roles(connection, roles)
        found = await isolation(connection, roles)
    done = found.has_roles and all([await _grant(connection, scripts[name], roles) for name in scripts])
    found = await isolation(connection, roles)
    if not found.is_in_force:
        log.warning("isolation by PostgreSQL is not in force", problem=found.problem, advice=found.advice)
    if not done:
        return []
    for name in fresh:
        await connection.execute(QUERIES["record_migration"], name, _checksum(scripts[name]))
    return fresh


async def _grant(connection: Any, script: str, roles: Roles) -> bool:
    """All of it or nothing. False when only the owner of the tables may."""
    try:
        async with connection.transaction():
            schema = await connection.fetchval(QUERIES["schema_of_our_tables"])
            await connection.execute(roles.named_in(script, schema))
    except asyncpg.InsufficientPrivilegeError:
        return False
    return True


async def _applied(connection: Any) -> dict[str, str]:
    return {row["name"]: row["checksum"] for row in await connection.fetch(QUERIES["applied_migrations"])}


def _is_missing(name: str, script: str, applied: Mapping[str, str]) -> bool:
    """Raises MigrationEdited."""
    if name not in applied:
        return not _is_overtaken(name, applied)
    if applied[name] == _checksum(script):
        return False
    if (again := _kind(name)) is not None:
        raise MigrationEdited(
            f"{again}sql was changed after it was applied; raise the number in its first line, too.".replace("_", ".")
        )
    raise MigrationEdited(
        f"The migration {name} was changed after it was applied; put its change into a new migration instead."
    )


def _is_overtaken(name: str, applied: Collection[str]) -> bool:
    kind = _kind(name)
    return kind is not None and any(each.startswith(kind) and each > name for each in applied)


def _kind(name: str) -> str | None:
    """Of a script that is applied again with each number."""
    return next((kind for kind in (FUNCTIONS, ROLES) if name.startswith(kind)), None)


def _checksum(script: str) -> str:
    return sha256(script.encode()).hexdigest()


def _migrations() -> dict[str, str]:
    """By the names that are recorded, in the order in which they are applied."""
    folder = resources.files("migrations")
    names = sorted(file.name for file in folder.iterdir() if _NUMBERED.fullmatch(file.name))
    scripts = {name.removesuffix(".sql"): folder.joinpath(name).read_text(encoding="utf-8") for name in names}
    again = [folder.joinpath(name).read_text(encoding="utf-8") for name in ("functions.sql", "roles.sql")]
    return scripts | {name_of(script): script for script in again}


def name_of(script: str) -> str:
    """What functions.sql and roles.sql are recorded as, by the number in their first line."""
    first = _NUMBER.match(script)
    if first is None:
        raise ValueError("functions.sql and roles.sql begin with `-- functions` or `-- roles` and their number")
    return f"{first[1]}_{int(first[2]):04}"
