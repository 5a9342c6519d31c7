"""Databases of tests: one test after the other gets the same, emptied. To empty one takes 8 ms; to copy and drop one, 70."""

import asyncio
import threading
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg

T = TypeVar("T")

Connection = Any

SHAPE = """
SELECT md5(string_agg(line, ',' ORDER BY line)) FROM (
    SELECT 'relation' || oid || ' ' || xmin FROM pg_class WHERE oid >= 16384
    UNION ALL SELECT 'column' || attrelid || ' ' || attnum || ' ' || xmin FROM pg_attribute WHERE attrelid >= 16384
    UNION ALL SELECT 'constraint' || oid || ' ' || xmin FROM pg_constraint
    UNION ALL SELECT 'function' || oid || ' ' || xmin FROM pg_proc WHERE oid >= 16384
    UNION ALL SELECT 'trigger' || oid || ' ' || xmin FROM pg_trigger
    UNION ALL SELECT 'policy' || oid || ' ' || xmin FROM pg_policy
    UNION ALL SELECT 'schema' || oid || ' ' || xmin FROM pg_namespace
    UNION ALL SELECT 'setting' || setdatabase || ' ' || setrole || ' ' || xmin FROM pg_db_role_setting
) AS lines (line)
"""
"""Of all that is not a row: another one after a test that changed it, be it back again."""

TABLES = "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables WHERE schemaname = 'public'"
SEQUENCES = "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences"
ALONE = """
SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""


@dataclass
class Spare:
    """A database, a connection to it, and what it holds before a test."""

    name: str
    connection: Connection
    shape: str
    rows: dict[str, str]


class Databases:
    """Of one server, copies of one template. Works in a thread: the event loops of tests come and go."""

    def __init__(self, dsn: str, template: str) -> None:
        self._dsn = dsn
        self._template = template
        self._spare: list[Spare] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="databases", daemon=True)
        self._thread.start()

    def take(self) -> Spare:
        return self._spare.pop() if self._spare else self._run(self._made())

    def give_back(self, spare: Spare) -> None:
        if self._run(self._emptied(spare)):
            self._spare.append(spare)

    def close(self) -> None:
        for spare in self._spare:
            self._run(spare.connection.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def dsn_of(self, name: str) -> str:
        return self._dsn.rpartition("/")[0] + f"/{name}"

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _made(self) -> Spare:
        name = f"test_{uuid4().hex}"
        await self._order(f"CREATE DATABASE {name} TEMPLATE {self._template} STRATEGY FILE_COPY")
        connection = await asyncpg.connect(self.dsn_of(name))
        rows = {}
        for (table,) in await connection.fetch(TABLES):
            rows[table] = await connection.fetchval(f"SELECT coalesce(jsonb_agg(t), '[]')::text FROM {table} AS t")
        return Spare(name, connection, await connection.fetchval(SHAPE), rows)

    async def _emptied(self, spare: Spare) -> bool:
        """Whether it is now as it was before the test. If the test changed more than rows, the database is dropped."""
        if spare.connection.is_closed():  # The test cut off everybody.
            spare.connection = await asyncpg.connect(self.dsn_of(spare.name))
        await spare.connection.fetch(ALONE)
        if await spare.connection.fetchval(SHAPE) != spare.shape:
            await spare.connection.close()
            await self._order(f"DROP DATABASE {spare.name} WITH (FORCE)")
            return False
        async with spare.connection.transaction():
            # Neither triggers nor foreign keys.
            await spare.connection.execute("SET LOCAL session_replication_role = replica")
            for table, rows in spare.rows.items():
                await spare.connection.execute(f"DELETE FROM {table}")
                if rows != "[]":
                    as_they_were = f"jsonb_populate_recordset(NULL::{table}, $1::text::jsonb)"
                    await spare.connection.execute(f"INSERT INTO {table} SELECT * FROM {as_they_were}", rows)
            await spare.connection.fetch(SEQUENCES)
        return True

    async def _order(self, statement: str) -> None:
        connection = await asyncpg.connect(self._dsn)
        try:
            await connection.execute(statement)
        finally:
            await connection.close()
