"""Events in a stream of a real Redis: all of them, in order, whoever is killed or away meanwhile."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from brokers import Broker
from factories import COMPLETED, FAILED, new_job, progress
from redis.asyncio import Redis
from redis.exceptions import RedisError
from serving import Api, serving
from sse import read_frames
from structlog.testing import capture_logs

from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog
from streamforge.settings import RedisSinkSettings, Settings, SinksSettings
from streamforge.sinks import sender
from streamforge.sinks.redis_stream import RedisStream
from streamforge.sinks.sender import Sender

HERE = Path(__file__).parent
STREAM = "streamforge:events"


def redis_settings(broker: Broker, **changes: Any) -> RedisSinkSettings:
    return RedisSinkSettings.model_validate({"url": broker.url} | changes)


@pytest.fixture
async def api(settings: Settings, redis: Broker, database: Database) -> AsyncIterator[Api]:
    await database.fetch("begin_sink", "redis")
    sinks = SinksSettings(redis=redis_settings(redis))
    async with serving(settings.model_copy(update={"sinks": sinks})) as api:
        yield api


async def entries(broker: Broker) -> list[dict[str, str]]:
    async with Redis.from_url(broker.url, decode_responses=True) as redis:
        return [fields for _, fields in await redis.xrange(STREAM)]


async def until(broker: Broker, *ids: str) -> list[dict[str, str]]:
    """What is there when all of these are."""
    async with asyncio.timeout(90):
        while True:
            with suppress(RedisError):  # It is just starting.
                found = await entries(broker)
                if set(ids) <= {entry["id"] for entry in found}:
                    return found
            await asyncio.sleep(0.05)


async def made(jobs: Jobs, owner: str = EVERYONE) -> UUID:
    job = new_job()
    await jobs.of(owner).create(job, progress=5, message="File received")
    return job.id


async def told(events: EventLog, job_id: UUID, count: int) -> None:
    await asyncio.gather(*(events.append(job_id, progress(10, f"Event {number}")) for number in range(count)))


def numbers(found: Sequence[dict[str, str]], owner: str = EVERYONE) -> list[int]:
    return [int(entry["id"].rpartition(":")[2]) for entry in found if entry["owner"] == owner]


def once(found: Sequence[int]) -> list[int]:
    """Without what came again: who ends may have sent what it could not record any more."""
    return list(dict.fromkeys(found))


@asynccontextmanager
async def sending(database: Database, broker: Broker, **changes: Any) -> AsyncIterator[Sender]:
    settings = redis_settings(broker, **changes)
    async with Sender("redis", RedisStream(broker.url, settings), database) as running:
        yield running


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sender, "TRY_SECONDS", 0.05)
    monkeypatch.setattr(sender, "LOOK_SECONDS", 0.05)


async def test_events_of_all_owners_go_out_in_the_shape_that_they_have_everywhere(
    api: Api, redis: Broker, jobs: Jobs, events: EventLog
) -> None:
    job_id, of_alice = UUID(await api.post_ok()), await made(jobs, "alice")
    await events.append(job_id, progress(20))
    await events.append(job_id, FAILED)
    await events.append(of_alice, COMPLETED)
    found = await until(redis, "everyone:3", "alice:2")
    assert sorted(entry["id"] for entry in found) == ["alice:1", "alice:2", "everyone:1", "everyone:2", "everyone:3"]
    assert (numbers(found), numbers(found, "alice")) == ([1, 2, 3], [1, 2])
    last = next(entry for entry in found if entry["id"] == "everyone:3")
    assert (last["job_id"], last["event"]) == (str(job_id), "progress")
    async with api.http.stream("GET", "/stream", headers={"Last-Event-ID": "0"}) as response:
        frames = read_frames(response)
        seen = [await anext(frames) for _ in range(4)]
    assert [json.loads(entry["body"])["data"] for entry in found if entry["owner"] == EVERYONE] == [
        frame.data for frame in seen[1:]
    ]
    assert json.loads(last["body"]).keys() == {"id", "event", "data", "created_at"}
    assert json.loads(last["body"])["data"]["error"]["code"] == "input.not_a_video"


@pytest.mark.usefixtures("_impatient")
async def test_a_new_sink_begins_with_what_comes_and_goes_on_where_it_was(
    database: Database, redis: Broker, jobs: Jobs, events: EventLog
) -> None:
    job_id = await made(jobs)
    async with sending(database, redis):
        async with asyncio.timeout(60):
            while not await database.fetch("sink_position", "redis", EVERYONE):
                await asyncio.sleep(0.02)
        await events.append(job_id, progress(20))
        assert numbers(await until(redis, "everyone:2")) == [2]
    await told(events, job_id, 3)
    async with sending(database, redis):
        assert once(numbers(await until(redis, "everyone:5"))) == [2, 3, 4, 5]


@pytest.mark.usefixtures("_impatient")
async def test_who_is_killed_leaves_nothing_out(
    database: Database, database_dsn: str, redis: Broker, jobs: Jobs, events: EventLog
) -> None:
    job_id = await made(jobs)
    await database.fetch("begin_sink", "redis")
    await told(events, job_id, 2500)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(HERE / "killed_sender.py"), database_dsn, redis.url
    )
    async with Redis.from_url(redis.url) as client, asyncio.timeout(100):
        while await client.xlen(STREAM) < 500:
            await asyncio.sleep(0.005)
    process.kill()
    await process.wait()
    async with sending(database, redis):
        found = numbers(await until(redis, "everyone:2501"))
    # A page came twice at most: one that had arrived, and was not recorded.
    assert once(found) == list(range(2, 2502))
    assert len(found) - 2500 <= sender.PAGE


@pytest.mark.usefixtures("_impatient")
async def test_of_many_processes_one_sends_and_another_takes_over(
    database: Database, redis: Broker, jobs: Jobs, events: EventLog
) -> None:
    job_id = await made(jobs)
    await database.fetch("begin_sink", "redis")
    async with sending(database, redis):
        async with sending(database, redis):
            await told(events, job_id, 50)
            assert numbers(await until(redis, "everyone:51")) == list(range(2, 52))
        await told(events, job_id, 50)
        assert once(numbers(await until(redis, "everyone:101"))) == list(range(2, 102))
    async with sending(database, redis):
        await events.append(job_id, COMPLETED)
        assert once(numbers(await until(redis, "everyone:102"))) == list(range(2, 103))


@pytest.mark.usefixtures("_impatient")
async def test_while_redis_is_away_events_wait(database: Database, redis: Broker, jobs: Jobs, events: EventLog) -> None:
    job_id = await made(jobs)
    await database.fetch("begin_sink", "redis")
    async with sending(database, redis):
        await events.append(job_id, progress(20))
        await until(redis, "everyone:2")
        await redis.stop()
        with capture_logs() as logs:
            await told(events, job_id, 20)
            async with asyncio.timeout(60):
                while "events wait for their sink" not in [entry["event"] for entry in logs]:
                    await asyncio.sleep(0.02)
        await redis.start()
        assert sorted(set(numbers(await until(redis, "everyone:22")))) == list(range(2, 23))


@pytest.mark.usefixtures("_impatient")
async def test_the_stream_is_kept_at_about_its_length(
    database: Database, redis: Broker, jobs: Jobs, events: EventLog
) -> None:
    job_id = await made(jobs)
    await database.fetch("begin_sink", "redis")
    await told(events, job_id, 1000)
    async with sending(database, redis, max_length=100):
        found = numbers(await until(redis, "everyone:1001"))
    # Redis lets go of whole nodes of a hundred.
    assert found == list(range(found[0], 1002))
    assert 100 <= len(found) <= 300
