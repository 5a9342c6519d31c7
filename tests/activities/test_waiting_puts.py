"""A store that is away for a moment: what was encoded waits for it, and is not encoded again."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from clips import Clips
from factories import PROCESSING, accepted
from temporalio.testing import ActivityEnvironment

from activities.support import waiting_puts, work_records
from activities.support.fence import FencedStorage
from activities.support.gpu_sessions import GpuSessions
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from activities.transcode import TranscodeActivities
from streamforge.contracts import tasks
from streamforge.contracts.events import JobChange
from streamforge.contracts.media.encoded import EncodedTracks
from streamforge.contracts.pipeline import EncodeAudioInput, EncodeChunkInput, StoredSource
from streamforge.contracts.tasks import Task
from streamforge.db.chunks import Chunks
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.errors import StorageUnavailable
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.gpus import GpuMeter
from streamforge.media.worker.tasks import probe_task
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import Storage
from streamforge.storage.local import LocalStorage


class Hiccups(FencedStorage):
    """The first two puts of each name fail."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.tried = Counter[str]()

    def _try(self, name: str) -> None:
        self.tried[name] += 1
        if self.tried[name] <= 2:
            raise StorageUnavailable("The media store does not answer right now.")

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        self._try(name)
        await super().put_file(name, path, replace=replace)

    async def put_bytes(self, name: str, data: bytes, *, replace: bool = True) -> None:
        self._try(name)
        await super().put_bytes(name, data, replace=replace)


class Counting:
    """Media children that say what was asked of them."""

    def __init__(self, children: MediaChildren) -> None:
        self._children = children
        self.tasks: list[str] = []

    async def run(self, task: Task[Any, Any, Any], *more: Any) -> Any:
        self.tasks.append(task.name)
        return await self._children.run(task, *more)


async def test_a_store_may_be_away_for_longer_than_a_number_can_double(monkeypatch: pytest.MonkeyPatch) -> None:
    """After 1,024 tries, eight and a half hours, the wait before the next one was too large for a float."""
    monkeypatch.setattr(waiting_puts, "FIRST_WAIT", 0.0)
    monkeypatch.setattr(waiting_puts, "LONGEST_WAIT", 0.0)
    failures = [StorageUnavailable("The media store does not answer right now.")] * 1100

    class Told:
        async def state(self, _: JobChange) -> None: ...

    async def put() -> str:
        if failures:
            raise failures.pop()
        return "put"

    assert await waiting_puts.retry_while_store_is_away(Told(), put) == "put"  # type: ignore[arg-type]


@dataclass
class Desk:
    """What is to be encoded, with everything real behind the activities."""

    store: LocalStorage
    children: Counting
    job_id: UUID
    sound: EncodeAudioInput
    picture: EncodeChunkInput
    activities: Callable[[Storage], TranscodeActivities]
    """Over this store."""


@pytest.fixture
async def desk(
    jobs: Jobs, events: EventLog, children: MediaChildren, clips: Clips, tmp_path: Path
) -> AsyncIterator[Desk]:
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    settings = Settings.model_validate({"data_dir": tmp_path, "transcode": {"presets": {"h264": "ultrafast"}}})
    store, scratch = LocalStorage(tmp_path / "store"), Scratch(tmp_path / "scratch")
    original = StoredSource(job_id=job_id, source_object="input/original", size_bytes=1, sha256="0" * 64)
    await store.put_bytes(original.source_object, clips.slow.read_bytes())
    originals = Originals(store, scratch, kept_seconds=0)
    source = await children.run(tasks.PROBE, probe_task(clips.slow, settings.input))
    plan = make_plan(source, settings)
    counting = Counting(children)
    yield Desk(
        store=store,
        children=counting,
        job_id=job_id,
        sound=EncodeAudioInput(original=original, source=source, plan=plan, rendition=plan.audio[0], track_count=1),
        picture=EncodeChunkInput(
            original=original,
            source=source,
            plan=plan.for_part(plan.renditions),
            chunk=plan.chunks[0],
            weight=1,
            chunk_count=1,
            total_frames=plan.total_frames,
        ),
        activities=lambda storage: TranscodeActivities(
            storage,
            events,
            counting,  # type: ignore[arg-type]
            originals=originals,
            scratch=scratch,
            room=MemoryBudget(2**32),
            keys=Keys(settings),
            gpu=GpuSessions([], 1, GpuMeter()),
            jobs=Jobs(events._database),
            chunks=Chunks(events._database),
        ),
    )
    await originals.close()
    scratch.close()


async def test_one_put_that_fails_is_made_again_and_nothing_else(
    desk: Desk, events: EventLog, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failed put of one segment had a track of twelve hours begin anew."""
    monkeypatch.setattr(waiting_puts, "FIRST_WAIT", 0.001)
    activities = desk.activities(Hiccups(desk.store))
    heard = await ActivityEnvironment().run(activities.transcode_audio, desk.sound)
    seen = await ActivityEnvironment().run(activities.transcode_chunk, desk.picture)
    assert desk.children.tasks == ["audio", "encode"]
    for part in (heard, seen):
        for track in (await work_records.read(desk.store, part.receipt, EncodedTracks)).tracks:
            for segment in track.segments:
                info = await desk.store.stat(f"output/{desk.job_id}/{track.name}/{segment.file_name}")
                assert info is not None
                assert info.size_bytes == segment.size_bytes
    said = [event.details for event in await events.of(EVERYONE).of_job(desk.job_id, 0)]
    assert {"code": "storage.unavailable", "attempt": 2} in said


# ── a cancel ────────────────────────────────────────────────────────────────────────────────────────────────────────
class Slow(LocalStorage):
    """Each put of a file takes a while."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.has_begun = asyncio.Event()

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        self.has_begun.set()
        await asyncio.sleep(0.1)
        await super().put_file(name, path, replace=replace)


async def test_the_last_put_of_a_cancelled_sound_track_is_over_before_its_activity_is(desk: Desk) -> None:
    """What it wrote later would be there after everything else of the job was removed."""
    slow = Slow(desk.store.root)
    activities = desk.activities(FencedStorage(slow))
    encoding = asyncio.create_task(ActivityEnvironment().run(activities.transcode_audio, desk.sound))
    await slow.has_begun.wait()
    encoding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await encoding
    assert [info.name async for info in slow.walk("output/")]
