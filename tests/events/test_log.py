"""The event log: numbered without gaps, one transaction with the job row, and final when the job is over."""

import asyncio
import json
from uuid import UUID

import asyncpg
import pytest
from factories import CANCELLED, COMPLETED, FAILED, PROCESSING, accepted, progress, run_sql

from streamforge.contracts.events import JobChange, LoggedEvent, PartProgress
from streamforge.contracts.job import JobStatus, Playback, RenditionView, Stage
from streamforge.db.jobs import EVERYONE, JobOverview, Jobs
from streamforge.db.listener import EVENTS_CHANNEL
from streamforge.db.pool import Database
from streamforge.events.log import EventLog, Report


async def append_part(events: EventLog, job_id: UUID, change: JobChange, part: PartProgress) -> LoggedEvent | None:
    return await events.append(job_id, change, [Report(change.stage, part)])


async def row(jobs: Jobs, job_id: object) -> JobOverview:
    job = await jobs.of(EVERYONE).get(job_id)  # type: ignore[arg-type]
    assert job is not None
    return job


async def test_an_event_and_the_row_it_describes_say_the_same(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    event = await events.append(job_id, progress(45, "Transcoded 2 resolutions"))
    job = await row(jobs, job_id)
    assert event is not None
    assert (event.seq, event.stage, event.progress, event.message) == (
        2,
        Stage.TRANSCODING,
        45,
        "Transcoded 2 resolutions",
    )
    assert (job.event_seq, job.stage, job.progress) == (2, Stage.TRANSCODING, 45)
    assert job.updated_at >= job.created_at


async def test_progress_never_goes_down(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    reports = [await events.append(job_id, progress(percent)) for percent in (30, 20, 31)]
    assert [event.progress for event in reports if event] == [30, 30, 31]


async def test_a_late_report_of_an_earlier_stage_does_not_bring_that_stage_back(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    await events.append(job_id, progress(55, stage=Stage.VALIDATION))
    late = await events.append(job_id, progress(48, stage=Stage.TRANSCODING))
    assert late is not None
    assert (late.stage, late.progress) == (Stage.VALIDATION, 55)


async def test_what_a_change_leaves_out_stays(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    rendition = RenditionView(name="720p", width=1280, height=720, codec="h264")
    await events.append(job_id, JobChange(stage=Stage.TRANSCODING, message="Planned", renditions=[rendition]))
    playback = Playback(hls="/media/x/master.m3u8", dash="/media/x/manifest.mpd")
    await events.append(job_id, JobChange(stage=Stage.PACKAGING, message="Packaged", playback=playback))
    await events.append(job_id, JobChange(stage=Stage.STORAGE, message="Stored", result={"files": 3}))
    job = await row(jobs, job_id)
    assert job.renditions == [rendition]
    assert job.playback == playback
    assert job.result == {"files": 3}
    assert job.progress == 5


async def test_the_first_processing_sets_started_at_and_a_retry_keeps_it(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    first = await row(jobs, job_id)
    await events.append(job_id, PROCESSING)
    again = await row(jobs, job_id)
    assert first.status is JobStatus.PROCESSING
    assert first.started_at is not None
    assert again.started_at == first.started_at


@pytest.mark.parametrize("ending", [COMPLETED, FAILED, CANCELLED])
async def test_a_job_that_is_over_takes_no_more_events(jobs: Jobs, events: EventLog, ending: JobChange) -> None:
    job_id = await accepted(jobs)
    last = await events.append(job_id, ending)
    part = PartProgress(part="0", done=1, whole=1, low=10, high=50)
    assert await events.append(job_id, progress(99)) is None
    assert await events.append(job_id, COMPLETED) is None
    assert await append_part(events, job_id, progress(0), part) is None
    job = await row(jobs, job_id)
    assert last is not None
    assert (job.event_seq, job.status, job.stage) == (last.seq, ending.status, Stage(str(ending.status)))
    assert job.completed_at is not None


async def test_completed_is_a_hundred_percent(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    last = await events.append(job_id, COMPLETED)
    assert last is not None
    assert (last.stage, last.progress) == (Stage.COMPLETED, 100)


async def test_a_failed_job_says_why_in_its_row_and_in_its_last_event(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    last = await events.append(job_id, FAILED)
    job = await row(jobs, job_id)
    assert last is not None
    assert last.stage is Stage.FAILED
    assert last.details == {"error": json.loads(job.error.model_dump_json())} if job.error else False
    assert job.error_message == "The file is not a video."
    assert job.error is not None
    assert job.error.stage is Stage.TRANSCODING


async def test_an_unknown_job_takes_no_events(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    await events.append(job_id, COMPLETED)
    await jobs.delete([job_id])
    assert await events.append(job_id, progress(20)) is None


@pytest.mark.parametrize("name", ["error", "status", "done", "reset", "a\ndata: x", ""])
async def test_event_names_that_would_break_a_stream_are_refused(jobs: Jobs, events: EventLog, name: str) -> None:
    job_id = await accepted(jobs)
    with pytest.raises(asyncpg.CheckViolationError):
        await events.append(job_id, progress(20).model_copy(update={"event": name}))
    state = await jobs.of(EVERYONE).state(job_id)
    assert state is not None
    assert state.event_seq == 1, "a refused append leaves no gap"


async def test_concurrent_writers_leave_no_gap_and_no_step_back(jobs: Jobs, events: EventLog) -> None:
    """Eight writers over a pool of ten connections, each with its own idea of the progress."""
    job_id = await accepted(jobs)

    async def write(offset: int) -> None:
        for percent in range(10, 90, 8):
            await events.append(job_id, progress(percent + offset % 8, f"writer {offset}"))

    await asyncio.gather(*(write(offset) for offset in range(8)))
    logged = await events.of(EVERYONE).of_job(job_id, 0)
    assert [event.seq for event in logged] == list(range(1, 82))
    percents = [event.progress for event in logged]
    assert percents == sorted(percents)
    times = [event.created_at for event in logged]
    assert times == sorted(times)


async def test_a_reader_that_remembers_the_last_number_misses_nothing_while_others_write(
    jobs: Jobs, events: EventLog, database_dsn: str
) -> None:
    job_id = await accepted(jobs)
    other = await Database.open(database_dsn, size=5)
    writers = asyncio.gather(
        *(EventLog(other).append(job_id, progress(10 + n % 80, f"{n}")) for n in range(100)),
    )
    seen: list[int] = []
    while len(seen) < 101:
        seen += [event.seq for event in await events.of(EVERYONE).of_job(job_id, seen[-1] if seen else 0)]
    await writers
    await other.close()
    assert seen == list(range(1, 102))


async def test_parts_that_are_written_at_once_add_up(jobs: Jobs, events: EventLog) -> None:
    """Chunks encoded on several machines: each writer knows only its own frames."""
    job_id = await accepted(jobs)

    async def encode(chunk: int) -> None:
        for frames in (25, 50, 75, 100):
            part = PartProgress(part=f"chunk {chunk}", done=frames, whole=800, low=10, high=50)
            await append_part(events, job_id, progress(0, f"Chunk {chunk}: {frames} frames"), part)

    await asyncio.gather(*(encode(chunk) for chunk in range(8)))
    logged = await events.of(EVERYONE).of_job(job_id, 1)
    assert [event.seq for event in logged] == list(range(2, 34))
    assert logged[-1].progress == 50
    # Every event counts all that was committed before it: 25 of 800 frames at a time, rounded down.
    assert [event.progress for event in logged] == [10 + 40 * n * 25 // 800 for n in range(1, 33)]


async def test_a_part_that_begins_again_takes_nothing_back(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    whole = {"whole": 100, "low": 10, "high": 50}
    await append_part(events, job_id, progress(0), PartProgress(part="a", done=50, **whole))
    again = await append_part(events, job_id, progress(0), PartProgress(part="a", done=10, **whole))
    other = await append_part(events, job_id, progress(0), PartProgress(part="b", done=50, **whole))
    assert again is not None
    assert other is not None
    assert (again.progress, other.progress) == (30, 50)


async def test_parts_of_one_stage_do_not_count_in_another(jobs: Jobs, events: EventLog) -> None:
    job_id = await accepted(jobs)
    await append_part(events, job_id, progress(0), PartProgress(part="0", done=100, whole=100, low=10, high=50))
    scored = await append_part(
        events, job_id, progress(0, stage=Stage.VALIDATION), PartProgress(part="0", done=10, whole=100, low=50, high=60)
    )
    assert scored is not None
    assert scored.progress == 51


async def test_more_done_than_planned_does_not_leave_the_stage(jobs: Jobs, events: EventLog) -> None:
    """The frame count of a plan is an estimate."""
    job_id = await accepted(jobs)
    event = await append_part(events, job_id, progress(0), PartProgress(part="a", done=130, whole=100, low=10, high=50))
    assert event is not None
    assert event.progress == 50


async def test_a_notification_names_the_job_and_the_number(jobs: Jobs, events: EventLog, database_dsn: str) -> None:
    job_id = await accepted(jobs)
    heard: asyncio.Queue[object] = asyncio.Queue()
    connection = await asyncpg.connect(database_dsn)
    await connection.add_listener(EVENTS_CHANNEL, lambda *said: heard.put_nowait(said[-1]))
    await events.append(job_id, progress(20))
    assert await heard.get() == f"{job_id}:2:everyone:2"
    await connection.close()


async def test_an_append_that_is_rolled_back_is_never_seen(jobs: Jobs, events: EventLog, database_dsn: str) -> None:
    job_id = await accepted(jobs)
    await run_sql(database_dsn, "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''no''; END'")
    await run_sql(
        database_dsn,
        "CREATE CONSTRAINT TRIGGER fail AFTER INSERT ON progress_events "
        "DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.message = 'bad') EXECUTE FUNCTION fail()",
    )
    with pytest.raises(asyncpg.RaiseError):
        await events.append(job_id, progress(90, "bad"))
    await events.append(job_id, progress(20, "good"))
    assert [(event.seq, event.progress) for event in await events.of(EVERYONE).of_job(job_id, 1)] == [(2, 20)]
