"""A pool of connections to PostgreSQL that speaks in named queries and in StreamForge's errors."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import Any, Self
from weakref import WeakSet

import asyncpg
import structlog

from streamforge.db.queries import QUERIES
from streamforge.db.refusals import AWAY, refusal
from streamforge.db.roles import Roles, isolation
from streamforge.errors import DatabaseUnavailable, InvalidSettings
from streamforge.observability import metrics

Row = Mapping[str, Any]

log = structlog.stdlib.get_logger(__name__)

CONNECT_TIMEOUT = 10.0
COMMAND_TIMEOUT = 30.0

_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
"""As JSON writes it, behind an even number of backslashes."""

# Ways of being away that the server itself does not tell: nobody listens, the connection died under us, nothing came back
# in time. And a plan that a migration has just overtaken.
_UNHEARD = (
    OSError,
    TimeoutError,
    asyncpg.InterfaceError,
    # What asyncpg says when the server's farewell (FATAL, then closed) arrives between two of our queries.
    asyncpg.InternalClientError,
    asyncpg.InvalidCachedStatementError,
)


@contextmanager
def availability_errors() -> Iterator[None]:
    """Turn every way in which the database is away, or refuses for the time being, into DatabaseUnavailable."""
    try:
        yield
    except asyncpg.ClientConfigurationError as error:
        raise InvalidSettings(f"Settings are not valid: database.dsn: {error}.") from error
    except _UNHEARD as error:
        raise DatabaseUnavailable(AWAY, debug=repr(error)) from error
    except asyncpg.PostgresError as error:
        sentence = refusal(error.sqlstate)
        if sentence is None:
            raise
        raise DatabaseUnavailable(sentence, debug=repr(error)) from error


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """One connection outside of any pool, for migrations and LISTEN. Raises DatabaseUnavailable."""
    with availability_errors():
        return await asyncpg.connect(dsn, timeout=CONNECT_TIMEOUT)


class Session:
    """Queries on one connection, inside a transaction."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        rows: Sequence[Row] = await self._connection.fetch(QUERIES[query], *args)
        return rows

    async def fetch_one(self, query: str, *args: object) -> Row | None:
        row: Row | None = await self._connection.fetchrow(QUERIES[query], *args)
        return row


class Database:
    """The pool. Survives restarts of PostgreSQL: dead connections are replaced on their next use, and calls in between
    raise DatabaseUnavailable, which is retryable.

    Itself it sees the jobs of all, as the service must; what is done for a request goes through `as_caller` or `as_admin`.
    """

    def __init__(self, dsn: str, roles: Roles) -> None:
        self.dsn = dsn
        self.roles = roles
        self.is_isolated = False
        """Whether PostgreSQL holds us to the roles. Once it does it is relied on: where a role is taken away later, it is
        refused what needs it."""
        self._pool: Any = None
        self._ending: set[asyncio.Task[None]] = set()

    @classmethod
    async def open(cls, dsn: str, size: int = 10, roles: Roles | None = None) -> Self:
        """Raises DatabaseUnavailable when nobody answers."""
        database = cls(dsn, roles or Roles())
        with availability_errors():
            database._pool = await asyncpg.create_pool(
                dsn,
                min_size=1,
                max_size=size,
                timeout=CONNECT_TIMEOUT,
                command_timeout=COMMAND_TIMEOUT,
                init=database._begin_session,
                reset=_as_it_is,
            )
        _open.add(database)
        return database

    async def _begin_session(self, connection: Any) -> None:
        await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=_to_json, decoder=_from_json)
        if (await isolation(connection, self.roles)).is_in_force:
            await connection.execute(self.roles.begin_as_worker())
            self.is_isolated = True

    def as_caller(self, owner: str) -> "Restricted":
        """What belongs to one owner, and nothing else. Raises ValueError for what cannot be an owner."""
        return Restricted(self, self.roles.begin_as_caller(owner))

    def as_admin(self) -> "Restricted":
        """What administrators may see and do with all that is there."""
        return Restricted(self, self.roles.begin_as_admin())

    def end_later(self, stack: AsyncExitStack) -> None:
        """End a transaction that has told all it had to tell. Its connection stays taken meanwhile."""
        task = asyncio.create_task(_end(stack), name="end of a transaction")
        # The event loop itself keeps no task alive.
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    @property
    def size(self) -> int:
        """Connections that there may be."""
        return int(self._pool.get_max_size())

    @property
    def in_use(self) -> int:
        return int(self._pool.get_size() - self._pool.get_idle_size())

    async def close(self) -> None:
        """Waits a moment for running queries, then cuts them off."""
        _open.discard(self)
        try:
            async with asyncio.timeout(5):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        async with self._session() as session:
            return await session.fetch(query, *args)

    async def fetch_one(self, query: str, *args: object) -> Row | None:
        async with self._session() as session:
            return await session.fetch_one(query, *args)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        with availability_errors():
            async with self._acquired() as connection, connection.transaction():
                yield Session(connection)

    @asynccontextmanager
    async def rehearsal(self) -> AsyncIterator[Session]:
        """A transaction that is taken back at its end."""
        with availability_errors():
            async with self._acquired() as connection:
                transaction = connection.transaction()
                await transaction.start()
                try:
                    yield Session(connection)
                finally:
                    await transaction.rollback()

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Session]:
        async with self.connection() as connection:
            yield Session(connection)

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Any]:
        with availability_errors():
            async with self._acquired() as connection:
                yield connection

    @asynccontextmanager
    async def _acquired(self) -> AsyncIterator[Any]:
        with metrics.POOL_WAITING.track_inprogress(), metrics.timed(metrics.POOL_WAIT):
            connection = await self._pool.acquire(timeout=CONNECT_TIMEOUT)
        try:
            yield connection
        finally:
            await self._pool.release(connection)


_open: WeakSet[Database] = WeakSet()
metrics.POOL_SIZE.set_function(lambda: sum(database.size for database in list(_open)))
metrics.POOL_IN_USE.set_function(lambda: sum(database.in_use for database in list(_open)))


class Restricted:
    """The database as one role sees it: each call is a transaction that begins as that role and ends with it.

    Where isolation is not in force (see Database.is_isolated) nothing but the queries themselves asks whose a row is.
    """

    def __init__(self, database: Database, opening: str) -> None:
        self._database = database
        self._opening = opening

    async def fetch(self, query: str, *args: object) -> Sequence[Row]:
        async with self.transaction() as session:
            return await session.fetch(query, *args)

    async def fetch_one(self, query: str, *args: object) -> Row | None:
        async with self.transaction() as session:
            return await session.fetch_one(query, *args)

    async def look(self, query: str, *args: object) -> Sequence[Row]:
        """`fetch` for what only reads: nobody waits for the end of its transaction, which is a round trip."""
        async with AsyncExitStack() as stack:
            session = await stack.enter_async_context(self.transaction())
            rows = await session.fetch(query, *args)
            self._database.end_later(stack.pop_all())
        return rows

    async def look_at_one(self, query: str, *args: object) -> Row | None:
        return next(iter(await self.look(query, *args)), None)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Session]:
        async with self._database.connection() as connection:
            # Not connection.transaction(): BEGIN and the role are one message to the server, for every request there is.
            await connection.execute(self._opening if self._database.is_isolated else "BEGIN")
            try:
                yield Session(connection)
            except BaseException:
                await _roll_back(connection)
                raise
            await connection.execute("COMMIT")


async def _end(stack: AsyncExitStack) -> None:
    """A connection that dies now takes nothing along, and the pool replaces it."""
    try:
        await stack.aclose()
    except DatabaseUnavailable as error:
        log.debug("a connection died after it was read from", reason=error.debug)


async def _roll_back(connection: Any) -> None:
    """Of a connection that may be dead by now; then there is nothing to take back, and the pool replaces it."""
    with suppress(asyncpg.PostgresError, *_UNHEARD):
        await connection.execute("ROLLBACK")


async def _as_it_is(_connection: Any) -> None:
    """Nothing we do outlives its transaction but the role, which stays. What asyncpg would reset costs a round trip for each
    query; open transactions are rolled back all the same."""


def _to_json(value: object) -> str:
    """What a video says of itself, as titles of tracks, may hold what PostgreSQL's text cannot: NUL, and halves of
    surrogate pairs. It has replacement characters instead, rather than no row at all."""
    written = json.dumps(value, ensure_ascii=False).encode(errors="replace").decode()
    return _NUL.sub(r"\1\\ufffd", written)


def _from_json(text: str) -> Any:
    """What is nested too deep for Python stays text: its reader refuses that, and not the whole page of rows."""
    try:
        return json.loads(text)
    except RecursionError:
        return text
