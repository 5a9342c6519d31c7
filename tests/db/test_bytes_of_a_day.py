"""How many bytes an owner has sent today: whoever deletes what was sent does not get them back."""

from datetime import timedelta
from uuid import UUID, uuid4

import pytest
from factories import COMPLETED, new_job, run_sql

from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.db.uploads import NewUpload, Uploads
from streamforge.events.log import EventLog

DAY = timedelta(days=1)


@pytest.fixture
def uploads(database: Database) -> Uploads:
    return Uploads(database)


async def sent(jobs: Jobs, owner: str = "alice") -> int:
    return (await jobs.of(owner).usage()).bytes_today


async def completed(jobs: Jobs, events: EventLog, size_bytes: int, owner: str = "alice") -> UUID:
    job = new_job(size_bytes=size_bytes)
    await jobs.of(owner).create(job, progress=5, message="File received")
    await events.append(job.id, COMPLETED)
    return job.id


async def part(uploads: Uploads, length: int, received: int) -> UUID:
    new = NewUpload(id=uuid4(), length=length, metadata="")
    await uploads.of("alice").create(new, "Upload began", DAY)
    row = await uploads.get(new.id)
    assert row is not None
    assert await uploads.record(row, received, length, DAY)
    return new.id


async def test_what_was_sent_today_and_is_deleted_counts_all_the_same(jobs: Jobs, events: EventLog) -> None:
    of_bob = await completed(jobs, events, 7, "bob")
    ids = [await completed(jobs, events, 100), await completed(jobs, events, 50)]
    for job_id in ids:
        await jobs.delete([job_id])
        assert await sent(jobs) == 150
    await jobs.delete([of_bob])
    assert (await sent(jobs), await sent(jobs, "bob")) == (150, 7)


async def test_what_was_sent_before_today_counts_for_no_day_any_more(
    jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    old = await completed(jobs, events, 100)
    await run_sql(database_dsn, "UPDATE jobs SET created_at = now() - interval '1 day' WHERE id = $1", old)
    await jobs.delete([old])
    assert await sent(jobs) == 0


async def test_a_new_day_begins_with_nothing(jobs: Jobs, events: EventLog, database_dsn: str) -> None:
    await jobs.delete([await completed(jobs, events, 100)])
    await run_sql(database_dsn, "UPDATE deleted_bytes SET day = day - 1")
    assert await sent(jobs) == 0
    await jobs.delete([await completed(jobs, events, 30)])
    assert await sent(jobs) == 30


async def test_a_part_that_is_ended_counts_with_what_had_come(jobs: Jobs, uploads: Uploads) -> None:
    ended = await part(uploads, length=10, received=6)
    assert await sent(jobs) == 10
    await uploads.end_part(ended)
    assert await sent(jobs) == 6
    await uploads.end_part(ended)
    assert await sent(jobs) == 6


async def test_parts_that_became_a_video_count_once(jobs: Jobs, uploads: Uploads) -> None:
    made_of = await part(uploads, length=10, received=10)
    job = new_job(size_bytes=10)
    await jobs.of("alice").create(job, progress=5, message="File received")
    await uploads.delete([made_of])
    assert await sent(jobs) == 10
