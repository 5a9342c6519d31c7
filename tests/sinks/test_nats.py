"""Events in a stream of a real NATS: all of them, once as long as JetStream remembers, whoever is away meanwhile."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

import nats
import pytest
from brokers import Broker
from factories import COMPLETED, new_job, progress
from nats.js.api import StreamConfig
from serving import serving

from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog
from streamforge.settings import NatsSinkSettings, Settings, SinksSettings
from streamforge.sinks import sender
from streamforge.sinks.jetstream import JetStream
from streamforge.sinks.protocol import message_of
from streamforge.sinks.sender import Sender

STREAM = "STREAMFORGE"


@asynccontextmanager
async def context(broker: Broker) -> AsyncIterator[Any]:
    client = await nats.connect(broker.url)
    try:
        yield client.jetstream()
    finally:
        await client.close()


async def messages(broker: Broker, count: int) -> list[Any]:
    """So many as they come, from the first on."""
    async with asyncio.timeout(90), context(broker) as stream:
        while True:
            try:
                if (await stream.stream_info(STREAM)).state.messages >= count:
                    break
            except nats.js.errors.NotFoundError:
                pass
            await asyncio.sleep(0.05)
        return [await stream.get_msg(STREAM, seq=number) for number in range(1, count + 1)]


def numbers(found: list[Any]) -> list[int]:
    return [int(message.headers["Nats-Msg-Id"].rpartition(":")[2]) for message in found]


async def test_events_go_out_under_subjects_that_tell_them_apart(
    settings: Settings, jetstream: Broker, database: Database, events: EventLog
) -> None:
    await database.fetch("begin_sink", "nats")
    sinks = SinksSettings(nats=NatsSinkSettings.model_validate({"url": jetstream.url}))
    async with serving(settings.model_copy(update={"sinks": sinks})) as api:
        job_id = await api.post_ok()
        await events.append(UUID(job_id), COMPLETED)
        found = await messages(jetstream, 2)
    assert [message.subject for message in found] == [f"streamforge.events.{job_id}.progress"] * 2
    assert [message.headers["Nats-Msg-Id"] for message in found] == ["everyone:1", "everyone:2"]
    assert found[1].headers["Streamforge-Owner"] == EVERYONE
    last = json.loads(found[1].data)
    assert (last["id"], last["event"], last["data"]["stage"]) == (2, "progress", "completed")
    assert last["data"]["job_id"] == job_id


async def test_nothing_is_missing_and_nothing_is_there_twice_after_nats_was_away(
    database: Database, jetstream: Broker, jobs: Jobs, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "LOOK_SECONDS", 0.05)
    job = new_job()
    await jobs.of(EVERYONE).create(job, progress=5, message="File received")
    await database.fetch("begin_sink", "nats")
    sink = JetStream(jetstream.url, NatsSinkSettings())
    async with Sender("nats", sink, database):
        await asyncio.gather(*(events.append(job.id, progress(10)) for _ in range(250)))
        assert numbers(await messages(jetstream, 250)) == list(range(2, 252))
        await jetstream.stop()
        await asyncio.gather(*(events.append(job.id, progress(10)) for _ in range(250)))
        await jetstream.start()
        assert numbers(await messages(jetstream, 500)) == list(range(2, 502))
    # A page that is sent again, as after who was killed before it could record that, is known by its ids.
    again = JetStream(jetstream.url, NatsSinkSettings())
    await again.send([message_of(event) for event in await events.of(EVERYONE).after(1, 300)])
    await again.close()
    async with context(jetstream) as stream:
        assert (await stream.stream_info(STREAM)).state.messages == 500


async def test_a_stream_that_is_there_stays_as_it_is(
    database: Database, jetstream: Broker, jobs: Jobs, events: EventLog
) -> None:
    async with context(jetstream) as stream:
        await stream.add_stream(StreamConfig(name="FILMS", subjects=["films.>"], max_msgs=7))
    job = new_job()
    await jobs.of(EVERYONE).create(job, progress=5, message="File received")
    settings = NatsSinkSettings(stream="FILMS", subject="films.told")
    sink = JetStream(jetstream.url, settings)
    told = [message_of(event) for event in await events.of(EVERYONE).after(0)]
    await sink.send(told)
    await sink.send(told)
    await sink.close()
    async with context(jetstream) as stream:
        info = await stream.stream_info("FILMS")
        assert (info.state.messages, info.config.max_msgs) == (1, 7)
        assert (await stream.get_msg("FILMS", seq=1)).subject == f"films.told.{job.id}.progress"
