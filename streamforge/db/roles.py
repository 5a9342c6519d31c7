"""The three roles under which the service works, and whether PostgreSQL holds it to them.

Every connection of the pool works as `worker`. What is done for a request is done in a transaction as `caller`, for the
one owner it names, or as `admin`: then row-level security lets nothing else through, whatever a query asks for. Roles are
of the whole server: two installations on one server need a prefix each.
"""

import re
from dataclasses import dataclass
from typing import Any

import asyncpg

from streamforge.db.queries import QUERIES

_OWNER = re.compile(r"[A-Za-z0-9_.@+-]{1,128}")
"""As the table of owners has it. What is something else owns nothing."""


@dataclass(frozen=True)
class Roles:
    """By the beginning of their names, which is a plain identifier (settings: database.roles)."""

    prefix: str = "streamforge"

    @property
    def caller(self) -> str:
        return f"{self.prefix}_caller"

    @property
    def worker(self) -> str:
        return f"{self.prefix}_worker"

    @property
    def admin(self) -> str:
        return f"{self.prefix}_admin"

    @property
    def names(self) -> list[str]:
        return [self.caller, self.worker, self.admin]

    def named_in(self, script: str, schema: str) -> str:
        """roles.sql for these: it names roles as variables of psql."""
        names = {"caller": self.caller, "worker": self.worker, "admin": self.admin, "schema": schema}
        return re.sub(r':"(\w+)"', lambda variable: '"{}"'.format(names[variable[1]].replace('"', '""')), script)

    def begin_as_worker(self) -> str:
        """Of a session."""
        return f'SET ROLE "{self.worker}"'

    def begin_as_caller(self, owner: str) -> str:
        """Of a transaction, in one round trip. Raises ValueError for what cannot be an owner: it stands in SQL here."""
        if _OWNER.fullmatch(owner) is None:
            raise ValueError(f"{owner!r} is no name of an owner")
        return f"BEGIN; SET LOCAL ROLE \"{self.caller}\"; SET LOCAL streamforge.owner = '{owner}'"

    def begin_as_admin(self) -> str:
        return f'BEGIN; SET LOCAL ROLE "{self.admin}"'


@dataclass(frozen=True)
class Isolation:
    """What stands between the rows of an owner and everybody else in this database. `problem`: why it is nothing."""

    problem: str | None
    advice: str = ""
    has_roles: bool = True

    @property
    def is_in_force(self) -> bool:
        return self.problem is None


async def isolation(connection: Any, roles: Roles) -> Isolation:
    """Asked of the catalog, and not of what was done once: a dump that is restored elsewhere has policies for roles that are
    not there."""
    found = await connection.fetchrow(QUERIES["isolation"], roles.names)
    login = found["login"]
    if found["missing"]:
        return Isolation(
            f"PostgreSQL has no role {_and(found['missing'])}, and {login} may not make roles",
            f"A superuser runs: {_make(found['missing'])} {_grant(roles, login)} Then run `streamforge migrate`.",
            has_roles=False,
        )
    if found["closed"]:
        return Isolation(
            f"{login} is no member of {_and(found['closed'])}",
            f"A superuser runs: {_grant(roles, login)} Or give this installation roles of its own with database.roles.",
            has_roles=False,
        )
    if found["mighty"]:
        return Isolation(
            f"{_and(found['mighty'])} is a superuser, has BYPASSRLS, or owns the tables: no policy holds it",
            f"A superuser runs: ALTER ROLE {found['mighty'][0]} NOSUPERUSER NOBYPASSRLS;",
        )
    if found["open"]:
        return Isolation(
            f"the policies of {_and(found['open'])} are missing",
            "Run `streamforge migrate` as the user who owns the tables.",
        )
    return Isolation(None)


async def make_roles(connection: Any, roles: Roles) -> None:
    """Those that are missing, with the login as a member. What it may not do stays undone, and `isolation` says so."""
    found = await connection.fetchrow(QUERIES["isolation"], roles.names)
    for name in found["missing"]:
        await _as_far_as_allowed(connection, f'CREATE ROLE "{name}" NOLOGIN')
    found = await connection.fetchrow(QUERIES["isolation"], roles.names)
    for name in found["closed"]:
        await _as_far_as_allowed(connection, f'GRANT "{name}" TO "{found["login"]}"')


async def _as_far_as_allowed(connection: Any, statement: str) -> None:
    try:
        async with connection.transaction():
            await connection.execute(statement)
    except (asyncpg.InsufficientPrivilegeError, asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
        # The others: an installation beside this one, on the same server, makes the same in this moment.
        return


def _make(names: list[str]) -> str:
    return " ".join(f"CREATE ROLE {name} NOLOGIN;" for name in names)


def _grant(roles: Roles, login: str) -> str:
    return f"GRANT {', '.join(roles.names)} TO {login};"


def _and(names: list[str]) -> str:
    return " and ".join(names)
