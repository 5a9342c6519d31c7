"""The version before, on the schema of this one: while machines are updated one after the other, and after a deploy that was
turned back, processes of both work on one database.

`versions/NNNN_queries.sql` is streamforge/db/queries.sql as a version had it whose last migration is NNNN. To record the next:
copy that file beside the others, in the change that brings the next migration.
"""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from streamforge.contracts.job import Stage
from streamforge.db.queries import parse

VERSIONS = sorted((Path(__file__).parent / "versions").glob("*_queries.sql"))
STAGES = [stage.value for stage in Stage]
OF_THE_MIGRATOR = {"migrations_lock", "migrations_table"}


class Version:
    """A process of another version, as far as its database can tell."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]", queries: dict[str, str]) -> None:
        self.connection = connection
        self.queries = queries

    async def ask(self, query: str, *arguments: object) -> list[dict[str, Any]]:
        return [dict(row) for row in await self.connection.fetch(self.queries[query], *arguments)]

    async def accept(self, owner: str, job_id: UUID, priority: int) -> None:
        options = {"priority": priority, "on_damage": "fail"}
        origin = (None,) if "origin" in self.queries["create_job"] else ()
        job = (owner, job_id, "a.mp4", f"workflow-{job_id}", "input/x", 9, "0" * 64, options, None, *origin)
        await self.ask("create_job", *job, 5, "File received")

    async def append(self, job_id: UUID, **change: object) -> dict[str, Any]:
        told = {"job_id": str(job_id), "token": str(uuid4()), "event": "progress", "message": "Working", **change}
        [event] = await self.ask("append_events", [told], STAGES, False)
        return event


@pytest.fixture(params=VERSIONS, ids=lambda path: path.name.partition("_")[0])
async def before(request: pytest.FixtureRequest, database_dsn: str) -> AsyncIterator[Version]:
    connection = await asyncpg.connect(database_dsn)
    await connection.set_type_codec("jsonb", schema="pg_catalog", encoder=json.dumps, decoder=json.loads)
    yield Version(connection, parse(request.param.read_text(encoding="utf-8")))
    await connection.close()


async def test_every_query_of_it_is_understood(before: Version) -> None:
    """Nothing that it names is gone, or of another type."""
    for name, query in before.queries.items():
        if name not in OF_THE_MIGRATOR:
            assert await before.connection.prepare(query) is not None, name


async def test_a_whole_job_of_it(before: Version) -> None:
    """Accepted, started, worked on, shown, completed, and removed."""
    owner, job_id = "everyone", uuid4()
    await before.accept(owner, job_id, priority=2)
    assert [row["id"] for row in await before.ask("unlaunched_jobs", 10)] == [job_id]
    assert (await before.ask("mark_launched", job_id)) == [{"status": "pending"}]
    part = {"stage": "transcoding", "part": "1", "done": 5, "low": 10, "high": 50, "whole": 10, "renditions": {}}
    await before.append(job_id, stage="uploading", status="processing")
    assert (await before.append(job_id, stage="transcoding", parts=[part]))["progress"] == 30
    last = await before.append(job_id, stage="completed", status="completed", result={"file_count": 1})
    assert (last["seq"], last["progress"]) == (4, 100)
    [shown] = await before.ask("get_job", owner, job_id)
    assert (shown["status"], shown["result"], shown["options"]["priority"]) == ("completed", {"file_count": 1}, 2)
    assert [row["id"] for row in await before.ask("list_jobs", owner, None, None, "completed", 10)] == [job_id]
    assert [row["seq"] for row in await before.ask("job_events_after", owner, job_id, 0, None, 10)] == [1, 2, 3, 4]
    assert [row["owner_seq"] for row in await before.ask("owner_events_after", owner, 0, 10)] == [1, 2, 3, 4]
    assert [row["id"] for row in await before.ask("delete_jobs", [job_id])] == [job_id]
    assert await before.ask("get_job", owner, job_id) == []


async def test_a_cancel_of_it(before: Version) -> None:
    owner, job_id = "everyone", uuid4()
    await before.accept(owner, job_id, priority=3)
    assert await before.ask("request_cancel", owner, job_id) == [{"id": job_id}]
    assert [row["id"] for row in await before.ask("jobs_to_cancel", None, None, 10)] == [job_id]
    assert (await before.append(job_id, stage="cancelled", status="cancelled"))["stage"] == "cancelled"
