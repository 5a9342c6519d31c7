"""The reporter: cheap, coalesced, in order, and patient with a database that is away."""

import asyncio

import pytest
from factories import COMPLETED, PROCESSING, accepted, progress

from streamforge.contracts.events import JobChange, LoggedEvent, PartProgress
from streamforge.contracts.job import Stage
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.errors import DatabaseUnavailable
from streamforge.events import reporter as reporter_module
from streamforge.events.log import Entry, EventLog
from streamforge.events.reporter import Reporter


class FlakyLog(EventLog):
    """The real log behind a database that can be taken away. `refused` tells that somebody tried meanwhile."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.away = False
        self.refused = asyncio.Event()

    async def write(self, entry: Entry) -> LoggedEvent | None:
        if self.away:
            self.refused.set()
            raise DatabaseUnavailable("The database does not answer.")
        return await super().write(entry)


@pytest.fixture
def flaky(database: Database) -> FlakyLog:
    return FlakyLog(database)


async def said(events: EventLog, job_id: object) -> list[str]:
    return [event.message for event in await events.of(EVERYONE).of_job(job_id, 1)]  # type: ignore[arg-type]


async def test_the_last_report_is_written_when_it_closes(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    async with Reporter(events, job_id) as reporter:
        reporter.report(progress(20, "a fifth"))
    assert await said(events, job_id) == ["a fifth"]


async def test_a_flood_of_reports_becomes_few_rows_that_end_with_the_latest(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    async with Reporter(events, job_id, min_interval=10) as reporter:
        for percent in range(11, 50):
            reporter.report(progress(percent, f"{percent} %"))
            await asyncio.sleep(0)
    messages = await said(events, job_id)
    assert len(messages) <= 2
    assert messages[-1] == "49 %"


async def test_an_unchanged_report_is_not_repeated_at_once(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    async with Reporter(events, job_id) as reporter:
        reporter.report(progress(20, "same"))
        await reporter.state(progress(20, "between"))
        reporter.report(progress(20, "same"))
    assert await said(events, job_id) == ["same", "between"]


async def test_parts_that_report_at_the_same_time_share_a_row_which_counts_all_of_them(
    jobs: Jobs, events: EventLog
) -> None:
    job_id = await accepted(jobs)
    async with Reporter(events, job_id, min_interval=10) as reporter:
        for done in (10, 50):
            for name in ("a", "b"):
                part = PartProgress(part=name, done=done, whole=100, low=10, high=50)
                reporter.report(progress(0, f"{name} {done}"), part)
    logged = await events.of(EVERYONE).of_job(job_id, 1)
    assert [(event.message, event.progress) for event in logged] == [("b 50", 50)]


async def test_however_many_activities_report_on_a_job_it_gets_four_rows_a_second(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)

    async def encode(name: str, until: float) -> None:
        async with Reporter(events, job_id) as reporter:
            done = 0
            while clock.time() < until:
                done += 1
                part = PartProgress(part=name, done=done, whole=1e6, low=10, high=50)
                reporter.report(progress(0, f"{name} {done}"), part)
                await asyncio.sleep(0.005)

    clock = asyncio.get_running_loop()
    await asyncio.gather(*(encode(f"chunk {n}", clock.time() + 1.2) for n in range(5)))
    # One at once, four a second, and each activity's last word.
    assert len(await events.of(EVERYONE).of_job(job_id, 1)) <= 1 + 5 + 5


async def test_a_write_that_died_unheard_is_not_written_twice(jobs: Jobs, database: Database) -> None:
    """The connection dies after the commit and before the answer."""

    class DiesAfterCommit(EventLog):
        deaths = 2

        async def write(self, entry: Entry) -> LoggedEvent | None:
            written = await super().write(entry)
            if self.deaths:
                self.deaths -= 1
                entry.may_be_there = True
                raise DatabaseUnavailable("The connection died.")
            return written

    log = DiesAfterCommit(database)
    job_id = await accepted(jobs)
    async with Reporter(log, job_id) as reporter:
        reporter.report(progress(20, "progress"))
        state = await reporter.state(JobChange(stage=Stage.VALIDATION, message="Validating"))
    log.deaths = 1
    async with Reporter(log, job_id) as reporter:
        again = await reporter.state(COMPLETED)
    assert state is not None
    assert again is not None
    assert await said(log, job_id) == ["progress", "Validating", "Completed"]


async def test_a_state_change_comes_after_the_progress_before_it_and_is_written_on_return(
    jobs: Jobs, events: EventLog
) -> None:
    job_id = await accepted(jobs)
    async with Reporter(events, job_id, min_interval=10) as reporter:
        reporter.report(progress(40, "almost"))
        written = await reporter.state(JobChange(stage=Stage.VALIDATION, progress=50, message="Validating"))
        assert written is not None
        assert await said(events, job_id) == ["almost", "Validating"]


async def test_a_state_change_for_a_job_that_is_over_is_none(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    await events.append(job_id, COMPLETED)
    async with Reporter(events, job_id) as reporter:
        reporter.report(progress(99))
        assert await reporter.state(PROCESSING) is None


async def test_while_the_database_is_away_work_goes_on_and_nothing_is_missing_afterwards(
    jobs: Jobs, flaky: FlakyLog
) -> None:
    job_id = await accepted(jobs)
    async with Reporter(flaky, job_id, min_interval=0) as reporter:
        flaky.away = True
        reporter.report(progress(20, "written in the dark"))
        await flaky.refused.wait()
        state = asyncio.create_task(reporter.state(JobChange(stage=Stage.VALIDATION, message="Validating")))
        flaky.refused.clear()
        await flaky.refused.wait()
        assert not state.done()
        flaky.away = False
        await state
    assert await said(flaky, job_id) == ["written in the dark", "Validating"]


async def test_newer_progress_replaces_what_could_not_be_written(jobs: Jobs, flaky: FlakyLog) -> None:
    job_id = await accepted(jobs)
    async with Reporter(flaky, job_id, min_interval=0) as reporter:
        flaky.away = True
        reporter.report(progress(20, "old"))
        await flaky.refused.wait()
        reporter.report(progress(30, "new"))
        flaky.away = False
    assert await said(flaky, job_id) == ["new"]


async def test_closing_does_not_wait_for_ever(jobs: Jobs, flaky: FlakyLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reporter_module, "LAST_PROGRESS_TIMEOUT_SECONDS", 0.05)
    job_id = await accepted(jobs)
    flaky.away = True
    async with Reporter(flaky, job_id) as reporter:
        reporter.report(progress(20))
    flaky.away = False
    assert await said(flaky, job_id) == []


async def test_a_report_the_log_refuses_never_fails_the_work(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    async with Reporter(events, job_id) as reporter:
        reporter.report(progress(20).model_copy(update={"event": "not a name"}))
    assert await said(events, job_id) == []
