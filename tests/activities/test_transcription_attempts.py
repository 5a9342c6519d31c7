"""What an attempt of a transcription leaves to the next one: its result, or the number of those that died."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from clips import Clips
from factories import PROCESSING, accepted
from obstore.store import MemoryStore
from outages import loses_answers
from speech_model import CAPTIONS
from temporalio.testing import ActivityEnvironment

from activities.captions import MOST_BEGINNINGS, CaptionsActivities
from activities.support import waiting_puts, work_records
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import Text
from streamforge.contracts.pipeline import StoredSource, TranscribeInput
from streamforge.db.jobs import Jobs
from streamforge.errors import CaptionsUnavailable, Superseded
from streamforge.events.log import EventLog
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.tasks import probe_task
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage.bucket import BucketStorage


class Desk:
    """The activity with everything real behind it, and a job with speech."""

    def __init__(self, bucket: BucketStorage, activities: CaptionsActivities, work: TranscribeInput) -> None:
        self.bucket = bucket
        self.work = work
        self._activities = activities

    async def attempt(self, left: dict[str, Any] | None = None, number: int = 1) -> tuple[Text, list[Any]]:
        """One more, after one that left this behind; its result and all it told by heartbeats."""
        environment = ActivityEnvironment()
        told: list[Any] = []
        environment.on_heartbeat = told.append
        info = ActivityEnvironment.default_info()
        environment.info = type(info)(**{**vars(info), "attempt": number, "heartbeat_details": [left] if left else []})
        return await environment.run(self._activities.captions, self.work), told

    def when_transcribed(self, then: Callable[[], Awaitable[None]]) -> None:
        """Before the attempt hears of it."""
        run = self._activities.children.run

        async def run_and_then(*task: Any) -> Any:
            done = await run(*task)
            await then()
            return done

        self._activities.children = SimpleNamespace(run=run_and_then)  # type: ignore[assignment]


@pytest.fixture
async def desk(
    jobs: Jobs, events: EventLog, children: MediaChildren, clips: Clips, tmp_path: Path
) -> AsyncIterator[Desk]:
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    bucket, scratch = BucketStorage(MemoryStore()), Scratch(tmp_path)
    original = StoredSource(job_id=job_id, source_object="input/original", size_bytes=1, sha256="0" * 64)
    await bucket.put_bytes(original.source_object, clips.speech.read_bytes())
    originals = Originals(bucket, scratch, kept_seconds=0)
    source = await children.run(tasks.PROBE, probe_task(clips.speech, Settings().input))
    transcription = make_plan(source, Settings(captions=CAPTIONS)).transcription
    assert transcription is not None
    work = TranscribeInput(original=original, source=source, transcription=transcription)
    activities = CaptionsActivities(bucket, events, children, originals=originals, scratch=scratch)
    yield Desk(bucket, activities, work)
    await originals.close()
    scratch.close()


async def test_what_is_transcribed_is_not_transcribed_again(desk: Desk) -> None:
    first, _ = await desk.attempt()
    await desk.bucket.delete("input/")
    again, _ = await desk.attempt()
    assert first.tracks
    assert again == first
    name = f"output/{desk.work.original.job_id}/captions/text.vtt"
    stored = await desk.bucket.get_bytes(name)
    assert stored is not None
    assert len(stored) == first.tracks[0].size_bytes


async def test_every_beginning_is_counted_before_anything_can_die_of_it(desk: Desk) -> None:
    _, told = await desk.attempt({"begun": 1})
    assert {"begun": 2} in told


async def test_one_that_takes_its_worker_down_each_time_is_given_up(desk: Desk) -> None:
    with pytest.raises(CaptionsUnavailable, match="given up"):
        await desk.attempt({"begun": MOST_BEGINNINGS})


async def test_a_first_attempt_that_comes_late_does_not_write_over_the_second(desk: Desk) -> None:
    """No two transcriptions need be the same."""
    name = f"output/{desk.work.original.job_id}/captions/text.vtt"
    await desk.bucket.put_bytes(name, b"of the second attempt")
    with pytest.raises(Superseded):
        await desk.attempt()
    assert await desk.bucket.get_bytes(name) == b"of the second attempt"


async def test_a_second_attempt_writes_over_what_the_first_one_left(desk: Desk) -> None:
    name = f"output/{desk.work.original.job_id}/captions/text.vtt"
    await desk.bucket.put_bytes(name, b"half of it")
    text, _ = await desk.attempt(number=2)
    stored = await desk.bucket.get_bytes(name)
    assert stored is not None
    assert len(stored) == text.tracks[0].size_bytes


async def test_an_attempt_that_comes_late_does_not_write_over_what_a_newer_one_told(desk: Desk) -> None:
    """It had lost Temporal, not its store, and was not the first one either."""
    job_id = desk.work.original.job_id
    receipt = work_records.record_name(
        job_id, "transcript", source=desk.work.original.sha256, transcription=desk.work.transcription
    )

    async def newer_attempt() -> None:
        await desk.bucket.put_bytes(f"output/{job_id}/captions/text.vtt", b"of the third attempt")
        await work_records.write(desk.bucket, receipt, Text(tracks=[]))

    desk.when_transcribed(newer_attempt)
    text, _ = await desk.attempt(number=2)
    assert text == Text(tracks=[])
    assert await desk.bucket.get_bytes(f"output/{job_id}/captions/text.vtt") == b"of the third attempt"


async def test_an_attempt_does_not_take_its_own_put_for_anothers(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bytes arrived, the answer did not; the next try finds them."""
    monkeypatch.setattr(waiting_puts, "FIRST_WAIT", 0.001)
    unanswered = loses_answers(desk.bucket, monkeypatch)
    text, _ = await desk.attempt()
    assert text.tracks
    assert len(unanswered) == 2  # The text and its receipt.
