"""The ordering argument of streamforge.events.log, tried: any number of writers, jobs and readers at the same time."""

import asyncio
import random
from uuid import UUID, uuid4

from factories import COMPLETED, FAILED, accepted, new_job, progress, run_sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streamforge.contracts.events import LoggedEvent, PartProgress
from streamforge.contracts.job import Stage
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog, Report


async def follow_owner(log: EventLog, last: asyncio.Event) -> list[LoggedEvent]:
    """A reader that remembers the last number it saw, and nothing else."""
    seen: list[LoggedEvent] = []
    while True:
        nothing_more_will_come = last.is_set()
        page = await log.of(EVERYONE).after(seen[-1].owner_seq if seen else 0, limit=7)
        seen += page
        if not page and nothing_more_will_come:
            return seen


async def write(log: EventLog, jobs: list[UUID], part: str, steps: int, chance: random.Random) -> None:
    for done in range(1, steps + 1):
        job_id = chance.choice(jobs)
        report = Report(Stage.TRANSCODING, PartProgress(part=part, done=done, whole=1000, low=10, high=50))
        await log.append(job_id, progress(chance.randrange(100), part), [report] if chance.random() < 0.5 else [])


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    processes=st.integers(1, 4),
    writers=st.integers(1, 5),
    job_count=st.integers(1, 4),
    steps=st.integers(1, 12),
    seed=st.integers(0, 2**32),
)
async def test_every_log_is_numbered_without_gaps_and_read_without_gaps(
    database_dsn: str, processes: int, writers: int, job_count: int, steps: int, seed: int
) -> None:
    await run_sql(database_dsn, "TRUNCATE jobs, batches CASCADE")
    await run_sql(database_dsn, "UPDATE owners SET event_seq = 0, swept_seq = 0")
    pools = [await Database.open(database_dsn, size=3) for _ in range(processes + 1)]
    log, *logs = [EventLog(pool) for pool in pools]
    jobs = [await accepted(Jobs(pools[0])) for _ in range(job_count)]
    over = asyncio.Event()
    reader = asyncio.create_task(follow_owner(log, over))
    await asyncio.gather(
        *(
            write(each, jobs, f"{n}.{m}", steps, random.Random(f"{seed} {n} {m}"))
            for n, each in enumerate(logs)
            for m in range(writers)
        )
    )
    over.set()
    seen = await reader
    assert [event.owner_seq for event in seen] == list(range(1, job_count + processes * writers * steps + 1))
    for job_id in jobs:
        mine = [event for event in seen if event.job_id == job_id]
        assert [event.seq for event in mine] == list(range(1, len(mine) + 1))
        assert [event.progress for event in mine] == sorted(event.progress for event in mine)
        assert mine == await log.of(EVERYONE).of_job(job_id, 0)
    times = [event.created_at for event in seen]
    assert times == sorted(times)
    for pool in pools:
        await pool.close()


async def test_what_waits_for_a_transaction_goes_into_the_next_one_together(jobs: Jobs, database: Database) -> None:
    statements = 0

    class Counting(Database):
        async def fetch(self, query: str, *args: object):  # type: ignore[no-untyped-def]
            nonlocal statements
            statements += query == "append_events"
            return await database.fetch(query, *args)

    log = EventLog(Counting(database.dsn, database.roles))
    ids = [await accepted(jobs) for _ in range(10)]
    written = await asyncio.gather(*(log.append(job_id, progress(n)) for n in range(10, 20) for job_id in ids))
    assert statements <= 2
    assert all(event is not None for event in written)
    assert [event.progress for event in await EventLog(database).of(EVERYONE).of_job(ids[0], 1)] == list(
        range(10, 20)
    ), "in the order given"


async def test_one_event_that_is_refused_takes_no_other_with_it(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    bad = progress(20).model_copy(update={"event": "not a name"})
    results = await asyncio.gather(
        events.append(job_id, progress(10)),
        events.append(job_id, bad),
        events.append(uuid4(), progress(10)),
        events.append(job_id, progress(30)),
        return_exceptions=True,
    )
    assert [type(result).__name__ for result in results] == [
        "LoggedEvent",
        "CheckViolationError",
        "NoneType",
        "LoggedEvent",
    ]
    assert [event.progress for event in await events.of(EVERYONE).of_job(job_id, 1)] == [10, 30]


async def test_in_one_transaction_nothing_follows_the_end_of_a_job(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    last, late, again = await asyncio.gather(
        events.append(job_id, FAILED), events.append(job_id, progress(90)), events.append(job_id, COMPLETED)
    )
    assert last is not None
    assert (late, again) == (None, None)
    assert [event.stage for event in await events.of(EVERYONE).of_job(job_id, 1)] == [Stage.FAILED]


async def test_each_owner_has_a_numbering_of_its_own_from_the_first_job_on(jobs: Jobs, events: EventLog) -> None:
    batch_id = uuid4()
    mine, yours = new_job(), new_job(batch_id=batch_id)
    assert (await jobs.of("alice").owner_state()).event_seq == 0
    await jobs.of("alice").create(mine, progress=5, message="mine")
    await jobs.of("bob@example.org").create_batch(batch_id, [yours], progress=5, message="yours")
    await asyncio.gather(*(events.append(job.id, progress(percent)) for percent in (20, 30) for job in (mine, yours)))
    for owner, job in (("alice", mine), ("bob@example.org", yours)):
        seen = await events.of(owner).after(0)
        assert [(event.owner_seq, event.job_id) for event in seen] == [(number, job.id) for number in (1, 2, 3)]
        assert [summary.job_id for summary in (await jobs.of(owner).owner_state()).jobs] == [job.id]
    assert await events.of(EVERYONE).after(0) == []
