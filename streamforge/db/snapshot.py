"""The database as of one moment, for a backup; and that nothing is removed from the store meanwhile."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

from pydantic import BaseModel

from streamforge.db.pool import Database, Session, availability_errors, connect
from streamforge.db.queries import QUERIES
from streamforge.errors import BackupFailed

POLL_SECONDS = 0.2
PATIENCE_SECONDS = 120.0
"""For removals that are under way when a backup begins; another backup holds them for about as long."""


class Role(BaseModel):
    """A role that tables and policies of the database speak of. A dump names roles, and does not make them."""

    name: str
    bypasses_rls: bool
    is_ours: bool
    """Whether the user of the service may act as it."""


@dataclass(frozen=True)
class Snapshot:
    """`id` is what pg_dump takes to see the same. Jobs that came later are not among these."""

    id: str
    installation: UUID
    roles: list[Role]
    unfinished: frozenset[UUID]
    finished: frozenset[UUID]


@asynccontextmanager
async def removal(dsn: str) -> AsyncIterator[None]:
    """Inside the block a worker may remove files of a job. Waits while a backup copies what is not finished: a workflow in
    it must find the files that it knows of. On a connection of its own: to empty a bucket takes long, and those of the pool
    are for events."""
    connection = await connect(dsn)
    try:
        while True:
            with availability_errors():
                transaction = connection.transaction()
                await transaction.start()
                may_remove = await connection.fetchval(QUERIES["may_remove"])
            if may_remove:
                break
            await transaction.rollback()
            await asyncio.sleep(POLL_SECONDS)
        yield
    finally:
        connection.terminate()


@asynccontextmanager
async def removals_held(database: Database) -> AsyncIterator[None]:
    """The other side of it. Ends with its connection, whatever happens to this process. Raises BackupFailed."""
    async with database.transaction() as session:
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                # Polled: a lock that is waited for would hold up whoever comes after.
                while not await _granted(session, "hold_removals"):  # noqa: ASYNC110
                    await asyncio.sleep(POLL_SECONDS)
        except TimeoutError as error:
            raise BackupFailed(
                "Another backup of this installation is being made; wait for it, and try again."
            ) from error
        yield


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Of all rows, as they are when the block is entered; pg_dump can see it as long as the block lasts."""
    async with database.transaction() as session:
        await session.fetch("see_one_moment")
        [name] = await session.fetch("export_snapshot")
        [installation] = await session.fetch("installation")
        jobs = await session.fetch("all_jobs")
        yield Snapshot(
            id=str(name["id"]),
            installation=UUID(str(installation["id"])),
            roles=[Role.model_validate(dict(row)) for row in await session.fetch("roles_of_the_schema")],
            unfinished=frozenset(UUID(str(job["id"])) for job in jobs if not job["is_over"]),
            finished=frozenset(UUID(str(job["id"])) for job in jobs if job["is_over"]),
        )


async def _granted(session: Session, lock: str) -> bool:
    [row] = await session.fetch(lock)
    return bool(row["granted"])
