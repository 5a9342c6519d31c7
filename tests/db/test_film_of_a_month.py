"""How much film an owner has had processed in a month: counted once per job, whatever happens to it, and kept when it is gone."""

import asyncio
from uuid import UUID

import pytest
from factories import CANCELLED, COMPLETED, FAILED, new_job, run_sql

from streamforge.contracts.events import JobChange, PartProgress
from streamforge.contracts.job import JobError, JobStatus, RenditionView, Stage
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog, Report

MOST = 600.0
OUR_FAILURE = JobChange(
    stage=Stage.TRANSCODING,
    message="The disk is full.",
    status=JobStatus.FAILED,
    error=JobError(
        code="storage.disk_full", message="The disk is full.", stage=Stage.TRANSCODING, fault="service", retryable=True
    ),
)


async def job_of(jobs: Jobs, owner: str = "alice") -> UUID:
    job = new_job()
    await jobs.of(owner).create(job, progress=5, message="File received")
    return job.id


async def used(jobs: Jobs, owner: str = "alice") -> float:
    return (await jobs.of(owner).usage()).film_seconds


async def encoded(events: EventLog, job_id: UUID, frames: int, of: int = 100) -> None:
    """So many of the frames of its one rendition, of a film of 300 s."""
    plan = [RenditionView(name="360p", width=640, height=360, codec="h264", frames=of)]
    planned = JobChange(stage=Stage.TRANSCODING, message="Planned", renditions=plan, source={"duration": 300.0})
    await events.append(job_id, planned)
    if frames:
        told = {
            "part": "1",
            "done": frames,
            "whole": of,
            "low": 10,
            "high": 60,
            "renditions": {"360p": {"frames": frames}},
        }
        working = JobChange(stage=Stage.TRANSCODING, message="Working")
        await events.append(job_id, working, [Report(Stage.TRANSCODING, PartProgress.model_validate(told))])


async def test_a_film_counts_once_however_often_its_probe_is_tried(jobs: Jobs, events: EventLog) -> None:
    job = await job_of(jobs)
    for _ in range(3):
        assert await jobs.admit_film(job, 300.0, MOST) is None
        assert await used(jobs) == 300
    await encoded(events, job, frames=100)
    await events.append(job, COMPLETED)
    assert await used(jobs) == 300
    assert await used(jobs, "bob") == 0


async def test_what_would_be_too_much_is_not_counted(jobs: Jobs) -> None:
    first, second, third = await job_of(jobs), await job_of(jobs), await job_of(jobs)
    assert await jobs.admit_film(first, 400.0, MOST) is None
    assert await jobs.admit_film(second, 200.5, MOST) == 400
    assert await jobs.admit_film(third, 200.0, MOST) is None
    assert await used(jobs) == 600
    # What was admitted stays so, though the limit was lowered meanwhile.
    assert await jobs.admit_film(first, 400.0, 1.0) is None


async def test_films_that_are_probed_at_once_do_not_pass_together(jobs: Jobs) -> None:
    mine = [await job_of(jobs) for _ in range(8)]
    found = await asyncio.gather(*(jobs.admit_film(job, 250.0, MOST) for job in mine))
    assert sorted(so_far is None for so_far in found) == [False] * 6 + [True] * 2
    assert await used(jobs) == 500


@pytest.mark.parametrize(
    ("frames", "end", "counts"),
    [
        (100, COMPLETED, 300),
        (25, CANCELLED, 75),
        (0, CANCELLED, 0),
        (50, FAILED, 150),
        (50, OUR_FAILURE, 0),
    ],
    ids=["completed", "cancelled", "cancelled before a frame", "failed of the file", "failed of us"],
)
async def test_what_counts_in_the_end_is_what_was_processed(
    jobs: Jobs, events: EventLog, frames: int, end: JobChange, counts: float
) -> None:
    job = await job_of(jobs)
    await jobs.admit_film(job, 300.0, MOST)
    await encoded(events, job, frames)
    await events.append(job, end)
    assert await used(jobs) == counts
    # Nor is it begun again by an attempt that comes late.
    assert await jobs.admit_film(job, 300.0, MOST) is None
    assert await used(jobs) == counts


async def test_what_a_worker_of_a_version_before_has_processed_counts(jobs: Jobs, events: EventLog) -> None:
    """It asks nobody."""
    job = await job_of(jobs)
    await encoded(events, job, frames=100)
    await events.append(job, COMPLETED)
    assert await used(jobs) == 300


@pytest.mark.parametrize(
    "source", [None, {}, {"duration": "300"}, {"duration": None}, {"duration": -1}, {"duration": [1]}]
)
async def test_a_job_ends_whatever_is_written_of_its_source(jobs: Jobs, events: EventLog, source: object) -> None:
    job = await job_of(jobs)
    await events.append(job, JobChange(stage=Stage.TRANSCODING, message="Planned", source=source))  # type: ignore[arg-type]
    assert await events.append(job, COMPLETED) is not None
    assert await used(jobs) == 0


async def test_the_sum_stays_when_the_job_goes_and_begins_anew_with_the_month(
    jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    job, other = await job_of(jobs), await job_of(jobs)
    await jobs.admit_film(job, 300.0, MOST)
    await encoded(events, job, frames=100)
    await events.append(job, COMPLETED)
    await run_sql(database_dsn, "DELETE FROM jobs WHERE id = $1", job)
    assert await used(jobs) == 300
    await run_sql(database_dsn, "UPDATE months_of_film SET month = month - interval '1 month'")
    assert await used(jobs) == 0
    # One that lasts over the end of a month counts where it began.
    await jobs.admit_film(other, 100.0, MOST)
    await run_sql(
        database_dsn,
        "WITH moved AS (UPDATE months_of_film SET month = month - interval '2 months' WHERE seconds = 100 RETURNING month) "
        "UPDATE jobs SET counted_month = moved.month FROM moved WHERE id = $1",
        other,
    )
    await encoded(events, other, frames=50)
    await events.append(other, CANCELLED)
    months = await run_sql(database_dsn, "SELECT seconds FROM months_of_film ORDER BY month")
    assert [row["seconds"] for row in months] == [150, 300]
