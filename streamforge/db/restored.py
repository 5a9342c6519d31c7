"""A database that a dump is loaded into: what the dump takes for granted, and what no longer is as it says."""

from collections.abc import Iterable
from typing import Any

from streamforge.db.pool import availability_errors, connect
from streamforge.db.queries import QUERIES
from streamforge.db.snapshot import Role


class RestoredDatabase:
    """All methods raise DatabaseUnavailable."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn

    async def is_empty(self) -> bool:
        [row] = await self._ask("has_tables")
        return not row["found"]

    async def make_roles(self, roles: Iterable[Role]) -> None:
        """Those that are not there yet; the user of the service may act as those that are its own."""
        connection = await connect(self._dsn)
        try:
            with availability_errors():
                for role in roles:
                    await _make_role(connection, role)
        finally:
            connection.terminate()

    async def owe_starts(self, new_workflows: str | None) -> None:
        """Have the launcher see to every job that is not over: it starts what Temporal does not know. With an ending for
        their workflows' ids all begin anew, whatever Temporal knows."""
        await self._ask("owe_starts", new_workflows)

    async def _ask(self, query: str, *arguments: object) -> Any:
        connection = await connect(self._dsn)
        try:
            with availability_errors():
                return await connection.fetch(QUERIES[query], *arguments)
        finally:
            connection.terminate()


async def _make_role(connection: Any, role: Role) -> None:
    """The server itself quotes the name: what makes a role takes no parameters."""
    query = QUERIES["statements_for_a_role"]
    for row in await connection.fetch(query, role.name, role.bypasses_rls, role.is_ours):
        await connection.execute(row["statement"])
