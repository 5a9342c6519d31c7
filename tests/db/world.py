"""What two owners have in one database, with something for every query to find."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
from factories import COMPLETED, FAILED, new_job, progress, run_sql

from streamforge.contracts.events import PartProgress
from streamforge.contracts.job import Stage
from streamforge.db.audit import AuditLog, NewAuditEntry
from streamforge.db.credentials import Credentials, SessionRow
from streamforge.db.jobs import Jobs, NewJob
from streamforge.db.pool import Database
from streamforge.db.uploads import NewUpload, Uploads
from streamforge.events.log import EventLog, Report

SECRET = "alices-film.mp4"
ALICE, BOB = "alice", "bob"


@dataclass
class World:
    """Alice's. `running` has parts and is marked to be cancelled, `over` is completed and is to go, `waiting` not launched, the
    upload of `uploading` has expired."""

    waiting: NewJob
    running: NewJob
    over: NewJob
    of_batch: NewJob
    uploading: NewJob
    failed: NewJob
    completed: NewJob
    external: NewJob
    batch: UUID
    empty_batch: UUID
    arrival: UUID
    of_bob: UUID
    webhook: UUID = field(default_factory=uuid4)
    owed: UUID = field(default_factory=uuid4)
    told: UUID = field(default_factory=uuid4)
    key: str = "sf_aaaaaaaa"
    session: str = "a" * 64

    @property
    def ids(self) -> list[UUID]:
        return [
            self.waiting.id, self.running.id, self.over.id, self.of_batch.id, self.uploading.id, self.failed.id,
            self.completed.id, self.external.id,
        ]  # fmt: skip

    @property
    def upload(self) -> UUID:
        return self.uploading.id

    @property
    def secrets(self) -> list[str]:
        """What nobody else is told."""
        ids = [*self.ids, self.batch, self.empty_batch, self.arrival, self.webhook, self.owed, self.told]
        return [SECRET, ALICE, "alices-machine", self.key, self.session, *map(str, ids)]


async def made(database: Database, dsn: str) -> World:
    jobs, events = Jobs(database), EventLog(database)
    batch, empty, arrival = uuid4(), uuid4(), uuid4()
    world = World(
        new_job(key=SECRET), new_job(key=SECRET), new_job(key=SECRET), new_job(key=SECRET, batch_id=batch), new_job(key=SECRET),
        new_job(key=SECRET), new_job(key=SECRET), new_job(key=SECRET), batch, empty, arrival, uuid4(),
    )  # fmt: skip
    first = {"progress": 5, "message": "File received"}
    for job in (world.waiting, world.running, world.over, world.failed, world.completed):
        await jobs.of(ALICE).create(job, **first)
    await jobs.of(ALICE).create_external(world.external, silence=-timedelta(seconds=1), message="Waits for its worker")
    await jobs.of(ALICE).create_batch(batch, [world.of_batch], **first)
    await jobs.of(BOB).create(new_job(id=world.of_bob, key="bobs-film.mp4"), **first)
    upload = NewUpload(id=world.upload, length=10, metadata=SECRET, job=world.uploading)
    await Uploads(database).of(ALICE).create(upload, "Upload began", -timedelta(seconds=1))
    part = Report(
        Stage.TRANSCODING, PartProgress.model_validate({"part": "1", "done": 5, "whole": 10, "low": 10, "high": 90})
    )
    for job in (world.running, world.over):
        await jobs.mark_launched(job.id)
        await events.append(job.id, progress(20, "Encoding"), [part])
        await events.append(job.id, progress(30, "Encoding"))
    await jobs.of(ALICE).request_cancel(world.running.id)
    await events.append(world.over.id, COMPLETED)
    await events.append(world.completed.id, COMPLETED)
    await events.append(world.failed.id, FAILED)
    await jobs.mark_parts_kept(world.failed.id)
    await run_sql(dsn, "UPDATE jobs SET control_number = 1 WHERE id = $1", world.running.id)
    await run_sql(dsn, "UPDATE jobs SET purge_requested_at = now() WHERE id = $1", world.over.id)
    await jobs.announce([arrival])
    await jobs.remember_claim("file:///alices-folder/")
    await run_sql(dsn, "INSERT INTO batches (owner, id, total) VALUES ($1, $2, 1)", ALICE, empty)
    await run_sql(dsn, "INSERT INTO rate_counters VALUES ('requests/alice', 1, now() - interval '1 s')")
    await run_sql(
        dsn,
        "INSERT INTO idempotency_keys (owner, key, action, token, created_at, lease_until) "
        "VALUES ($1, 'old', 'POST /process', $2, now() - interval '2 days', now())",
        ALICE,
        batch,
    )
    await run_sql(
        dsn,
        "INSERT INTO job_chunks (job_id, chunk, part, starts_at, worker) VALUES ($1, 0, '480p', 0, $2)",
        world.running.id,
        f"1@{SECRET}",
    )
    await run_sql(
        dsn, "INSERT INTO fetches VALUES ($1, $2)", world.waiting.id, f"https://a:{SECRET}@example.org/film.mp4"
    )
    await run_sql(dsn, "INSERT INTO workers VALUES ('1@alices-machine', 'alices-machine', '1', '{}', now())")
    await run_sql(dsn, "INSERT INTO slot_holders VALUES ($1, now())", arrival)
    await run_sql(dsn, "INSERT INTO held_slots VALUES ('streams/owner/alice', $1, 1)", arrival)
    await make_webhooks(world, dsn)
    await run_sql(dsn, "INSERT INTO sinks (name) VALUES ('alices-broker')")
    await run_sql(dsn, "INSERT INTO sink_positions VALUES ('alices-broker', $1, 1)", ALICE)
    credentials = Credentials(database)
    now = datetime.now(UTC)
    await credentials.create_key(world.key, b"hash", ALICE, ["read"], None)
    await credentials.create_session(
        SessionRow(id=world.session, owner=ALICE, scopes=["read"], credential="key:a", prefix=world.key,
                   expires_at=now + timedelta(days=1))
    )  # fmt: skip
    await AuditLog(database).record(
        [NewAuditEntry(first_at=now, last_at=now, owner=ALICE, credential="key:a", action="GET /jobs/{job_id}",
                       target=f"job:{world.waiting.id}", outcome="forbidden")]
    )  # fmt: skip
    await run_sql(dsn, "ALTER TABLE audit_log DISABLE TRIGGER USER")
    await run_sql(dsn, "UPDATE audit_log SET recorded_at = recorded_at - interval '2 days'")
    await run_sql(dsn, "ALTER TABLE audit_log ENABLE TRIGGER USER")
    return world


async def make_webhooks(world: World, dsn: str) -> None:
    """One, with one delivery that is due and one that is over."""
    await run_sql(
        dsn,
        "INSERT INTO webhook_endpoints (id, owner, url) VALUES ($1, $2, 'https://hooks.example/' || $3)",
        world.webhook,
        ALICE,
        SECRET,
    )
    await run_sql(dsn, "INSERT INTO webhook_secrets VALUES ($1, $2, 1, NULL, 'ff')", ALICE, world.webhook)
    for delivery, status in ((world.owed, "pending"), (world.told, "delivered")):
        await run_sql(
            dsn,
            "INSERT INTO webhook_deliveries (id, owner, endpoint_id, job_id, type, status, completed_at) "
            "VALUES ($1, $2, $3, $4, 'job.completed', $5, CASE WHEN $5 <> 'pending' THEN now() END)",
            delivery,
            ALICE,
            world.webhook,
            world.running.id,
            status,
        )


OF_OTHERS = {
    "owners": "id <> 'bob'",
    "batches": "owner <> 'bob'",
    "jobs": "owner <> 'bob'",
    "uploads": "owner <> 'bob'",
    "fetches": "job_id NOT IN (SELECT id FROM jobs WHERE owner = 'bob')",
    "job_terms": "owner <> 'bob'",
    "progress_events": "owner <> 'bob'",
    "job_chunks": "job_id NOT IN (SELECT id FROM jobs WHERE owner = 'bob')",
    "part_progress": "job_id NOT IN (SELECT id FROM jobs WHERE owner = 'bob')",
}
"""What bob may change is left out. Of every other table all rows are whole."""


async def what_is_not_bobs(dsn: str) -> dict[str, list[str]]:
    """Rows of all tables, as text."""
    connection = await asyncpg.connect(dsn)
    try:
        names = await connection.fetch(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        )
        return {name: await _rows(connection, name) for (name,) in names}
    finally:
        await connection.close()


async def _rows(connection: Any, table: str) -> list[str]:
    others = OF_OTHERS.get(table, "true")
    return [row[0] for row in await connection.fetch(f"SELECT t::text FROM {table} AS t WHERE {others} ORDER BY 1")]
