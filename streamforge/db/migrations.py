"""Plain numbered SQL files, applied in order, each in its own transaction."""

from collections.abc import Mapping
from hashlib import sha256
from importlib import resources
from typing import Any

from streamforge.db.pool import availability_errors, connect
from streamforge.db.queries import QUERIES
from streamforge.errors import ServiceError


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
    fresh = []
    for name, script in migrations.items():
        checksum = sha256(script.encode()).hexdigest()
        if name in applied:
            _refuse_edited(name, checksum, applied[name])
            continue
        async with connection.transaction():
            await connection.execute(script)
            await connection.execute(QUERIES["record_migration"], name, checksum)
        fresh.append(name)
    return fresh


def _refuse_edited(name: str, checksum: str, applied: str) -> None:
    if checksum != applied:
        raise MigrationEdited(
            f"The migration {name} was changed after it was applied; put its change into a new migration instead."
        )


def _migrations() -> dict[str, str]:
    files = [f for f in resources.files("migrations").iterdir() if f.name.endswith(".sql")]
    return {f.name.removesuffix(".sql"): f.read_text(encoding="utf-8") for f in sorted(files, key=lambda f: f.name)}
