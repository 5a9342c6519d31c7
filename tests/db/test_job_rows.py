"""Job rows: what is asked about them beside the event log."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from factories import CANCELLED, COMPLETED, FAILED, PROCESSING, accepted, new_job, progress, run_sql

from streamforge.contracts.events import JobChange, PartProgress
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.job_filter import JobFilter
from streamforge.contracts.job_options import JobOptions
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.events.log import EventLog, Report


async def test_an_accepted_job_is_pending_at_five_percent_with_its_first_event(jobs: Jobs) -> None:
    asked = new_job(key="films/intro.mp4", metadata={"tags": ["a", {"ü": None}]}, external_id="42", priority=2)
    await jobs.of(EVERYONE).create(asked, progress=5, message="File received")
    job = await jobs.of(EVERYONE).get(asked.id)
    assert job is not None
    assert (job.status, job.stage, job.progress, job.event_seq) == (JobStatus.PENDING, Stage.UPLOADING, 5, 1)
    assert job.key == "films/intro.mp4"
    assert job.options == JobOptions(metadata={"tags": ["a", {"ü": None}]}, external_id="42", priority=2)
    assert [event.message for event in job.latest_events] == ["File received"]


async def test_accepting_the_same_job_twice_changes_nothing(jobs: Jobs) -> None:
    """A connection may die after the commit and before the answer; the API then asks again."""
    job = new_job()
    await jobs.of(EVERYONE).create(job, progress=5, message="File received")
    await jobs.of(EVERYONE).create(job, progress=5, message="File received")
    state = await jobs.of(EVERYONE).state(job.id)
    assert state is not None
    assert state.event_seq == 1


async def test_only_a_job_that_is_uploading_is_told_that_it_waits(
    jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    """Two APIs may have all bytes of an upload: the lock of the first can be lost with its connection."""
    job_id = await accepted(jobs)
    await run_sql(database_dsn, "UPDATE jobs SET status = 'uploading' WHERE id = $1", job_id)
    waiting = JobChange(stage=Stage.UPLOADING, progress=5, status=JobStatus.PENDING, message="File received")
    assert await events.append(job_id, waiting) is not None
    assert await events.append(job_id, waiting) is None
    await events.append(job_id, PROCESSING)
    assert await events.append(job_id, waiting) is None
    state = await jobs.of(EVERYONE).state(job_id)
    assert state is not None
    assert state.status == JobStatus.PROCESSING


async def test_an_unknown_job_is_none(jobs: Jobs) -> None:
    assert await jobs.of(EVERYONE).get(uuid4()) is None
    assert await jobs.of(EVERYONE).state(uuid4()) is None
    assert await jobs.mark_launched(uuid4()) is None


async def test_latest_events_are_ten_and_newest_first(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    for percent in range(11, 26):
        await events.append(job_id, progress(percent))
    job = await jobs.of(EVERYONE).get(job_id)
    assert job is not None
    assert [event.progress for event in job.latest_events] == list(range(25, 15, -1))


async def test_pages_go_from_new_to_old_without_repeating_when_jobs_arrive_in_between(jobs: Jobs) -> None:
    ids = [await accepted(jobs) for _ in range(5)]
    first = await jobs.of(EVERYONE).newest(2)
    await accepted(jobs)
    second = await jobs.of(EVERYONE).newest(2, after=(first[-1].created_at, first[-1].id))
    third = await jobs.of(EVERYONE).newest(2, after=(second[-1].created_at, second[-1].id))
    assert [job.id for job in first + second + third] == ids[::-1]


async def test_jobs_created_in_the_same_instant_are_paged_by_id(jobs: Jobs, database_dsn: str) -> None:
    ids = {await accepted(jobs) for _ in range(4)}
    await run_sql(database_dsn, "UPDATE jobs SET created_at = now()")
    first = await jobs.of(EVERYONE).newest(3)
    rest = await jobs.of(EVERYONE).newest(3, after=(first[-1].created_at, first[-1].id))
    assert {job.id for job in first} | {job.id for job in rest} == ids
    assert len(first) + len(rest) == 4


async def test_a_page_can_hold_one_status_only(jobs: Jobs, events: EventLog) -> None:
    await accepted(jobs)
    failed = await accepted(jobs)
    await events.append(failed, FAILED)
    assert [job.id for job in await jobs.of(EVERYONE).newest(10, JobFilter(status=JobStatus.FAILED))] == [failed]


async def test_queue_position_counts_who_goes_first_urgency_before_age(jobs: Jobs, events: EventLog) -> None:
    """A job whose bytes are stored and planned waits all the same, until a worker has done a frame of it."""
    ordinary = await accepted(jobs)
    later = await accepted(jobs)
    urgent = await accepted(jobs, priority=1)
    running = await accepted(jobs, priority=1)
    over = await accepted(jobs, priority=1)
    for job_id in (urgent, running):
        await events.append(job_id, PROCESSING)
    part = PartProgress(part="0", done=1, whole=100, low=10, high=50)
    await events.append(running, progress(10), [Report(Stage.TRANSCODING, part)])
    await events.append(over, CANCELLED)
    positions = {job.id: job.queue_position for job in await jobs.of(EVERYONE).newest(10)}
    assert positions == {urgent: 0, ordinary: 1, later: 2, running: None, over: None}


async def test_unlaunched_are_the_pending_jobs_that_temporal_does_not_have(jobs: Jobs, events: EventLog) -> None:
    ordinary, launched, cancelled = [await accepted(jobs) for _ in range(3)]
    urgent = await accepted(jobs, priority=1)
    assert await jobs.mark_launched(launched) is JobStatus.PENDING
    await events.append(cancelled, CANCELLED)
    assert [job.id for job in await jobs.unlaunched()] == [urgent, ordinary]


async def test_they_are_started_by_priority_and_of_the_same_one_each_owner_in_their_turn(jobs: Jobs) -> None:
    asked = [("alice", 3)] * 5 + [("bob", 3), ("carol", 5), ("alice", 3), ("bob", 3), ("carol", 1)]
    made = [(owner, new_job(priority=priority)) for owner, priority in asked]
    for owner, job in made:
        await jobs.of(owner).create(job, progress=5, message="File received")
    names = {job.id: f"{owner} {place}" for place, (owner, job) in enumerate(made)}
    in_order = [
        "carol 9",
        "alice 0",
        "bob 5",
        "alice 1",
        "bob 8",
        "alice 2",
        "alice 3",
        "alice 4",
        "alice 7",
        "carol 6",
    ]
    assert [names[job.id] for job in await jobs.unlaunched()] == in_order
    assert [names[job.id] for job in await jobs.unlaunched(4)] == in_order[:4]


async def test_marking_a_cancelled_job_as_launched_tells_that_it_was_cancelled(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    await events.append(job_id, CANCELLED)
    assert await jobs.mark_launched(job_id) is JobStatus.CANCELLED


@pytest.mark.parametrize("ending", [COMPLETED, FAILED, CANCELLED])
async def test_a_job_expires_by_when_it_ended(jobs: Jobs, events: EventLog, ending: object) -> None:
    over, running = await accepted(jobs), await accepted(jobs)
    await events.append(over, ending)
    await events.append(running, PROCESSING)
    now = datetime.now(UTC)
    assert await jobs.expired(now + timedelta(minutes=1)) == [over]
    assert await jobs.expired(now - timedelta(minutes=1)) == []


async def test_only_jobs_that_are_over_are_deleted_and_their_events_go_with_them(jobs: Jobs, events: EventLog) -> None:
    over, running = await accepted(jobs), await accepted(jobs)
    await events.append(over, COMPLETED)
    assert await jobs.delete([over, running, uuid4()]) == [over]
    assert await jobs.existing([over, running], announced_since=datetime.now(UTC)) == {running}
    assert await events.of(EVERYONE).of_job(over, 0) == []


async def test_what_was_announced_exists_for_as_long_as_it_is_told_again(jobs: Jobs) -> None:
    began = datetime.now(UTC)
    coming, unknown = uuid4(), uuid4()
    await jobs.announce([coming])
    told_again = datetime.now(UTC)
    assert await jobs.existing([coming, unknown], began) == {coming}
    assert await jobs.existing([coming], told_again) == set()
    await jobs.announce([coming])
    assert await jobs.existing([coming], told_again) == {coming}
    await jobs.forget_announced(datetime.now(UTC))
    assert await jobs.existing([coming], began) == set()
