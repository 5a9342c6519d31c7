"""At least once: what happened is told though the API, the worker or Temporal was away, or died, in between."""

import asyncio
import json
from contextlib import suppress
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from factories import COMPLETED, PROCESSING, new_job, progress, run_sql
from outbound_servers import answering
from temporalio.client import Client
from told import settings_of, telling

from streamforge.contracts.webhooks import WebhookRequest
from streamforge.db.jobs import Jobs, job_columns
from streamforge.db.pool import Database
from streamforge.db.webhooks import Deliveries, DueDelivery
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.settings import Settings, WebhooksSettings
from streamforge.worker.webhooks import BeginsDeliveries, overtaken_by_others

OWNER = "alice"
LONG_AFTER = "UPDATE webhook_deliveries SET due_at = now() WHERE due_at > now() + interval '5 minutes'"
"""What is under way is due at once, as if nobody had been at it."""


@pytest.fixture
def settings(database_dsn: str, temporal_address: str, tmp_path: Path) -> Settings:
    return settings_of(database_dsn, temporal_address, tmp_path / "data")


async def asked(settings: Settings, database: Database, url: str, events: list[str] | None = None) -> UUID:
    """A webhook, as an API makes one that goes then."""
    webhook_id = uuid4()
    request = WebhookRequest(url=url, events=events)
    fingerprint = Keys(settings).webhook_fingerprint()
    assert await Deliveries(database).of(OWNER).create(webhook_id, request, fingerprint) is not None
    return webhook_id


async def finished(database: Database) -> UUID:
    """A job from its start to its end, as a worker tells of it."""
    job, events = new_job(), EventLog(database)
    await Jobs(database).of(OWNER).create(job, progress=5, message="File received")
    for change in (PROCESSING, progress(20), COMPLETED):
        await events.append(job.id, change)
    return job.id


async def statuses(database: Database, webhook_id: UUID) -> list[str]:
    rows = await run_sql(database.dsn, "SELECT status FROM webhook_deliveries WHERE endpoint_id = $1", webhook_id)
    return [row["status"] for row in rows]


async def until_delivered(database: Database, webhook_id: UUID) -> None:
    async with asyncio.timeout(90):
        while set(await statuses(database, webhook_id)) != {"delivered"}:
            await asyncio.sleep(0.05)


async def test_what_happened_while_nobody_was_there_to_tell_is_told(settings: Settings, database: Database) -> None:
    """API and worker are killed when the event is committed: it is owed since that moment."""
    async with answering() as receiver:
        webhook_id = await asked(settings, database, receiver.url)
        job_id = await finished(database)
        assert await statuses(database, webhook_id) == ["pending"]
        async with telling(settings):
            [request] = await receiver.until(lambda requests: len(requests) == 1)
            await until_delivered(database, webhook_id)
    assert json.loads(request.body)["data"]["job_id"] == str(job_id)


async def test_an_event_that_is_taken_back_is_not_told(settings: Settings, database: Database) -> None:
    webhook_id = await asked(settings, database, "https://1.1.1.1/", ["*"])
    job = new_job()
    with suppress(ZeroDivisionError):
        async with database.transaction() as session:
            await session.fetch("create_job", OWNER, *job_columns(job), 5, "File received")
            raise ZeroDivisionError
    assert await statuses(database, webhook_id) == []


async def test_while_temporal_is_away_it_stays_owed(settings: Settings, database: Database) -> None:
    deliveries = Deliveries(database)
    nowhere = await Client.connect(f"127.0.0.1:{free_port('127.0.0.1')}", lazy=True)
    async with answering() as receiver:
        webhook_id = await asked(settings, database, receiver.url)
        await finished(database)
        async with BeginsDeliveries(deliveries, nowhere) as begins:
            begins.wake()
            async with asyncio.timeout(60):
                # Taken, and not begun: the lease goes first.
                while not await run_sql(database.dsn, "SELECT FROM webhook_deliveries WHERE due_at > now()"):
                    await asyncio.sleep(0.05)
        assert await statuses(database, webhook_id) == ["pending"]
        await run_sql(database.dsn, "UPDATE webhook_deliveries SET due_at = now()")  # The lease is over.
        async with telling(settings):
            await receiver.until(lambda requests: len(requests) == 1)
            await until_delivered(database, webhook_id)


async def test_a_worker_that_goes_between_two_tries_leaves_the_next_to_another(
    settings: Settings, database: Database
) -> None:
    patient = settings.model_copy(update={"webhooks": WebhooksSettings(retry_after_seconds=[3])})
    async with answering() as receiver:
        receiver.answers_in_turn(503, 200)
        webhook_id = await asked(settings, database, receiver.url)
        await finished(database)
        async with telling(patient):
            await receiver.until(lambda requests: len(requests) == 1)
        async with telling(patient):
            await until_delivered(database, webhook_id)
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_a_workflow_that_temporal_has_lost_is_begun_again(settings: Settings, database: Database) -> None:
    """As after a restored backup, in which the two are of different moments."""
    async with answering(503, {"Retry-After": "3600"}) as receiver:
        webhook_id = await asked(settings, database, receiver.url)
        await finished(database)
        async with telling(settings):
            await receiver.until(lambda requests: len(requests) == 1)
            async with asyncio.timeout(60):
                while not (tried := await run_sql(database.dsn, "SELECT id FROM webhook_deliveries WHERE tries = 1")):
                    await asyncio.sleep(0.05)
            temporal = await Client.connect(str(settings.temporal.address))
            await temporal.get_workflow_handle(f"webhook-{tried[0]['id']}").terminate()
            receiver.answers(200)
            async with asyncio.timeout(90):
                while await statuses(database, webhook_id) != ["delivered"]:
                    await run_sql(database.dsn, LONG_AFTER)
                    await asyncio.sleep(0.5)


async def test_a_worker_with_another_secret_signs_nothing_and_says_why(
    settings: Settings, database: Database, tmp_path: Path
) -> None:
    """Receivers would refuse it, and nobody would know why."""
    elsewhere = settings.model_copy(update={"data_dir": tmp_path / "elsewhere"})
    async with answering() as receiver:
        webhook_id = await asked(settings, database, receiver.url)
        await finished(database)
        async with telling(elsewhere):
            async with asyncio.timeout(90):
                while await statuses(database, webhook_id) != ["failed"]:
                    await asyncio.sleep(0.05)
        assert receiver.requests == []
    [row] = await run_sql(database.dsn, "SELECT attempts FROM webhook_deliveries")
    assert "another keys.secret" in row["attempts"]


async def test_what_was_over_long_ago_is_forgotten(settings: Settings, database: Database) -> None:
    webhook_id = await asked(settings, database, "https://1.1.1.1/")
    await finished(database)
    await finished(database)
    await run_sql(
        database.dsn,
        "UPDATE webhook_deliveries SET status = 'delivered', completed_at = now() - interval '31 days' "
        "WHERE id = (SELECT min(id::text)::uuid FROM webhook_deliveries)",
    )
    [[month_ago]] = await run_sql(database.dsn, "SELECT now() - interval '30 days'")
    await Deliveries(database).forget(month_ago)
    assert await statuses(database, webhook_id) == ["pending"]


# ── how many at once ────────────────────────────────────────────────────────────────────────────────────────────────
def due(number: int, **fields: Any) -> DueDelivery:
    return DueDelivery.model_validate(
        {
            "id": uuid4(), "owner": OWNER, "endpoint_id": UUID(int=1), "job_id": UUID(int=2), "type": "job.progress",
            "stage": "transcoding", "number": number, "tries": 0, **fields,
        }
    )  # fmt: skip


def test_of_progress_that_waits_the_latest_is_told() -> None:
    early, late = due(1), due(3)
    others = [
        due(2, type="job.completed", stage="completed"),
        due(2, endpoint_id=UUID(int=9)),
        due(2, job_id=UUID(int=9)),
        due(2, stage="packaging"),
        due(2, tries=1),
    ]
    assert overtaken_by_others([late, *others, early]) == [early.id]


async def test_two_workers_take_different_ones(settings: Settings, database: Database) -> None:
    await asked(settings, database, "https://1.1.1.1/")
    for _ in range(4):
        await finished(database)
    first, second = await asyncio.gather(*(Deliveries(database).take_due(3) for _ in range(2)))
    rest = await Deliveries(database).take_due(3)
    taken = [each.id for each in (*first, *second, *rest)]
    assert len(taken) == len(set(taken)) == 4


async def test_what_is_due_is_found_without_reading_what_is_over(settings: Settings, database: Database) -> None:
    """However much was told before."""
    await run_sql(
        database.dsn,
        "INSERT INTO webhook_deliveries (owner, endpoint_id, type, status, completed_at) "
        "SELECT 'alice', gen_random_uuid(), 'job.completed', 'delivered', now() FROM generate_series(1, 20000)",
    )
    await run_sql(database.dsn, "ANALYZE webhook_deliveries")
    plan = await run_sql(
        database.dsn,
        "EXPLAIN SELECT id FROM webhook_deliveries WHERE status = 'pending' AND due_at <= clock_timestamp() "
        "ORDER BY due_at LIMIT 100 FOR UPDATE SKIP LOCKED",
    )
    assert "webhook_deliveries_due" in "\n".join(row[0] for row in plan)
