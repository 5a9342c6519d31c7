"""The watch: whoever waits for a store knows it, also while no request of the job has failed."""

import asyncio
from uuid import UUID

import pytest
from factories import PROCESSING, accepted
from obstore.store import MemoryStore

from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.errors import DiskFull
from streamforge.events.log import EventLog
from streamforge.storage.bucket import BucketStorage
from streamforge.worker.store_watch import StoreWatch


class MoodyStore(BucketStorage):
    """Full, or silent, when a test says so."""

    def __init__(self) -> None:
        super().__init__(MemoryStore())
        self.full = False
        self.silent = False

    async def check(self) -> None:
        if self.silent:
            await asyncio.Event().wait()
        if self.full:
            raise DiskFull("The disk of the media store is full; free some space.")


@pytest.fixture
async def job_id(jobs: Jobs, events: EventLog) -> UUID:
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    return job_id


def watching(store: MoodyStore, events: EventLog) -> StoreWatch:
    return StoreWatch(store, events, look_every=0.01, answer_within=0.1)


async def until_told(events: EventLog, job_id: UUID, count: int) -> list[str]:
    """What the job's viewers were told beside its own progress, once it is so much."""
    async with asyncio.timeout(10):
        while len(logged := await events.of(EVERYONE).of_job(job_id, 2)) < count:
            pass
    return [event.message for event in logged]


async def test_a_full_store_is_told_once_and_so_is_its_end(events: EventLog, job_id: UUID) -> None:
    store = MoodyStore()
    async with watching(store, events) as watch:
        with watch.working_on(job_id), watch.working_on(job_id):
            store.full = True
            await until_told(events, job_id, 1)
            store.full = False
            told = await until_told(events, job_id, 2)
    assert told == [
        "The job goes on as far as it can without its store: The disk of the media store is full; free some space.",
        "The media store is well again.",
    ]


async def test_a_store_that_never_answers_is_told(events: EventLog, job_id: UUID) -> None:
    store = MoodyStore()
    store.silent = True
    async with watching(store, events) as watch:
        with watch.working_on(job_id):
            (told,) = await until_told(events, job_id, 1)
    assert told.endswith("No answer from the media store within 0.1 s.")


async def test_a_job_that_nobody_works_on_is_told_nothing(events: EventLog, job_id: UUID) -> None:
    store = MoodyStore()
    store.full = True
    async with watching(store, events) as watch:
        with watch.working_on(job_id):
            pass
        await asyncio.sleep(0.1)
    assert await until_told(events, job_id, 0) == []
