"""What an attempt writes that was taken for dead: nothing that a newer one, or the end, relies upon. The workers themselves
are stopped in tests/pipeline/test_late_workers.py."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from bucket_server import BUCKET, Gateway
from factories import PROCESSING, accepted
from sources import audio, source, stream, track, video
from temporalio.testing import ActivityEnvironment

from activities.outcome import OutcomeActivities
from activities.package import PackageActivities
from activities.publish import PublishActivities
from activities.support import heartbeats, work_records
from activities.support.fence import FencedStorage
from activities.support.gpu_sessions import GpuSessions
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from activities.transcode import TranscodeActivities
from streamforge.contracts.media.encoded import EncodedTracks
from streamforge.contracts.pipeline import (
    DiscardInput,
    EncodeAudioInput,
    EncodedPart,
    EncodedStream,
    PackageInput,
    PublishInput,
    StoredSource,
)
from streamforge.contracts.tasks import AudioTask, SoundEncoded
from streamforge.db.chunks import Chunks
from streamforge.db.jobs import Jobs
from streamforge.errors import MediaChildCrashed, Superseded
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.worker.gpus import GpuMeter
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import ObjectInfo, Storage, layout
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage

TIMEOUT = timedelta(seconds=10)


def attempt(number: int = 1) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    info = ActivityEnvironment.default_info()
    environment.info = replace(info, attempt=number, heartbeat_timeout=TIMEOUT)
    return environment


class Clock:
    """Of the process, as it finds it when it goes on after a while: its machine was asleep, and Linux does not count that
    as monotonic time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return 0.0

    def clock_gettime(self, clock: int) -> float:
        return self.seconds if clock == time.CLOCK_BOOTTIME else 0.0


# ── the fence ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_attempt_that_stood_still_for_too_long_writes_and_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, store = Clock(), LocalStorage(tmp_path / "store")
    fenced = FencedStorage(store)
    monkeypatch.setattr(heartbeats, "time", clock)

    async def work() -> None:
        async with heartbeats.heartbeats() as checkpoint:
            clock.seconds += TIMEOUT.total_seconds() - 1
            await fenced.put_bytes("in time", b"1")
            clock.seconds += TIMEOUT.total_seconds() + 1
            checkpoint.beat()  # It does beat again. Nobody listens.
            with pytest.raises(Superseded):
                await fenced.put_bytes("late", b"1")
            with pytest.raises(Superseded):
                await asyncio.create_task(fenced.put_file("late", tmp_path / "file"))
            with pytest.raises(Superseded):
                await fenced.delete("in time/")
            assert await fenced.get_bytes("in time") == b"1"

    await attempt().run(work)
    assert [info.name async for info in store.walk("")] == ["in time"]
    await fenced.put_bytes("no activity", b"1")


async def test_an_attempt_that_stands_still_while_it_lists_removes_nothing(
    bucket_environment: pytest.MonkeyPatch,
    endpoint: tuple[str, Gateway],
    monkeypatch: pytest.MonkeyPatch,
    jobs: Jobs,
    events: EventLog,
) -> None:
    """Of a round that did not fit: another attempt removed it, and the next round has written the same names."""
    clock, bucket, job_id = Clock(), BucketStorage.from_url(f"s3://{BUCKET}/{uuid4().hex}"), uuid4()
    segment = layout.output(job_id, "360p/0.m4s")
    await bucket.put_bytes(segment, b"of the next round")
    monkeypatch.setattr(heartbeats, "time", clock)
    walk = bucket.walk

    async def slow_walk(prefix: str) -> AsyncIterator[ObjectInfo]:
        async for info in walk(prefix):
            yield info
        clock.seconds += TIMEOUT.total_seconds() + 1

    monkeypatch.setattr(bucket, "walk", slow_walk)
    outcome = OutcomeActivities(FencedStorage(bucket), events, jobs)
    with pytest.raises(Superseded):
        await attempt().run(
            outcome.discard, DiscardInput(job_id=job_id, output=False, original=False, renditions=["360p"])
        )
    assert await bucket.get_bytes(segment) == b"of the next round"


async def test_a_put_is_over_before_its_activity_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread writes on when its activity was cancelled: into a folder that has been removed meanwhile."""
    began, may_end = threading.Event(), threading.Event()
    store = LocalStorage(tmp_path)

    def slow(*_: object) -> None:
        began.set()
        may_end.wait()
        (tmp_path / "written").touch()

    monkeypatch.setattr(store, "_put_bytes", slow)
    putting = asyncio.create_task(FencedStorage(store).put_bytes("written", b"1"))
    await asyncio.to_thread(began.wait)
    putting.cancel()
    asyncio.get_running_loop().call_soon(may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert (tmp_path / "written").exists()


# ── manifests that grow ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def gateway(endpoint: tuple[str, Gateway]) -> Iterator[Gateway]:
    yield endpoint[1]
    endpoint[1].before_put = None


@pytest.fixture
async def job(jobs: Jobs, events: EventLog) -> StoredSource:
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    return StoredSource(job_id=job_id, source_object="input/original", size_bytes=1, sha256="0" * 64)


class Film:
    """Two chunks in the store, of one rendition and without sound."""

    def __init__(self, storage: Storage, events: EventLog, original: StoredSource) -> None:
        whole = stream()
        self.storage, self.original = storage, original
        self.source = whole.source.model_copy(update={"audio": []})
        self.plan = whole.plan.model_copy(update={"audio": [], "renditions": whole.plan.renditions[-1:]})
        self.name = self.plan.renditions[0].name
        self.publishing = PublishActivities(storage, events)
        self.packaging = PackageActivities(storage, events)
        self.parts: list[list[EncodedPart]] = []

    async def encode(self, chunk: int) -> None:
        """Four seconds."""
        made = track(self.name, [360_000], [1000], start=chunk * 360_000)
        receipt = layout.work_record(self.original.job_id, f"{work_records.CHUNK}{chunk:05}-{self.name}")
        await work_records.write(self.storage, receipt, EncodedTracks(tracks=[made]))
        self.parts.append([EncodedPart(receipt=receipt, frames=100, size_bytes=1000)])

    async def publish(self, number: int, attempt_number: int = 1) -> None:
        work = PublishInput(
            original=self.original, source=self.source, plan=self.plan, began_at=datetime.now(UTC), number=number
        )
        await attempt(attempt_number).run(self.publishing.publish_playable, work)

    async def package(self) -> None:
        encoded = EncodedStream(chunks=self.parts, audio=[])
        work = PackageInput(original=self.original, source=self.source, plan=self.plan, encoded=encoded)
        await attempt().run(self.packaging.package, work)

    async def final(self) -> dict[str, bytes | None]:
        found = [info.name async for info in self.storage.walk(layout.output_folder(self.original.job_id))]
        return {name: await self.storage.get_bytes(name) for name in found}


async def test_a_put_that_arrives_after_the_end_hits_nothing(
    bucket_environment: pytest.MonkeyPatch, gateway: Gateway, events: EventLog, job: StoredSource
) -> None:
    """The request of a growing playlist was under way to the bucket when its worker stood still: nobody can refuse it."""
    film = Film(BucketStorage.from_url(f"s3://{BUCKET}/{uuid4().hex}"), events, job)
    arrived, may_go_on = threading.Event(), threading.Event()

    async def hold_the_first(name: str) -> None:
        if name.endswith(".m3u8") and not arrived.is_set():
            arrived.set()
            await asyncio.to_thread(may_go_on.wait)

    gateway.before_put = hold_the_first
    await film.encode(0)
    late = asyncio.create_task(film.publish(number=0))
    await asyncio.to_thread(arrived.wait)
    await film.publish(number=0, attempt_number=2)
    await film.encode(1)
    await film.package()
    final = await film.final()
    may_go_on.set()
    await late
    assert await film.final() == final
    playlist = final[layout.output(job.job_id, f"{film.name}/index.m3u8")]
    assert playlist is not None
    assert playlist.endswith(b"360000.m4s\n#EXT-X-ENDLIST\n")


async def test_growing_manifests_are_never_among_the_files_of_the_stream(
    tmp_path: Path, events: EventLog, job: StoredSource
) -> None:
    film = Film(LocalStorage(tmp_path), events, job)
    await film.encode(0)
    await film.publish(number=0)
    assert await film.final() == {}


async def test_a_round_that_begins_anew_shows_nothing_that_is_removed(
    tmp_path: Path, events: EventLog, jobs: Jobs, job: StoredSource
) -> None:
    film = Film(LocalStorage(tmp_path), events, job)
    await film.encode(0)
    await film.publish(number=0)
    again = DiscardInput(job_id=job.job_id, output=False, original=False, renditions=[film.name])
    await attempt().run(OutcomeActivities(film.storage, events, jobs).discard, again)
    assert [info async for info in film.storage.walk(layout.growing_folder(job.job_id))] == []
    assert await work_records.find(film.storage, film.parts[0][0].receipt, EncodedTracks)


class KilledSoundEncoder:
    """Media children of a worker that dies when so many segments are in the store."""

    def __init__(self, storage: Storage, job_id: UUID, segments: int) -> None:
        self._storage, self._job_id, self._segments = storage, job_id, segments

    async def run(self, _: object, task: AudioTask, told: Callable[[SoundEncoded], None]) -> None:
        made = track(task.rendition.name, [192_000] * self._segments, [10] * self._segments, timescale=48_000)
        told(SoundEncoded(track=made.model_copy(update={"segments": [], "init_size_bytes": 0})))
        (task.target / made.name).mkdir()
        for segment in made.segments:
            (task.target / made.name / segment.file_name).write_bytes(bytes(10))
            told(SoundEncoded(segment=segment))
        last = layout.output(self._job_id, f"{made.name}/{made.segments[-1].file_name}")
        while await self._storage.stat(last) is None:
            await asyncio.sleep(0.001)
        raise MediaChildCrashed("Killed.")


async def test_sound_that_was_playable_stays_playable_while_another_worker_begins_anew(
    tmp_path: Path, events: EventLog, job: StoredSource
) -> None:
    """Its next attempt told of its first segment, over all that the last one had: a playlist that shrank."""
    store, scratch = LocalStorage(tmp_path / "store"), Scratch(tmp_path / "scratch")
    await store.put_bytes(job.source_object, b"film")
    film = source(video(), audio())
    plan = make_plan(film, Settings())
    sound = EncodeAudioInput(original=job, source=film, plan=plan, rendition=plan.audio[0], track_count=1)
    so_far = layout.work_record(job.job_id, f"{plan.audio[0].name}-so-far")
    shown = []
    for number, segments in enumerate([4, 3, 7], start=1):
        await store.delete(layout.output_folder(job.job_id))
        activities = TranscodeActivities(
            FencedStorage(store),
            events,
            KilledSoundEncoder(store, job.job_id, segments),  # type: ignore[arg-type]
            originals=Originals(store, scratch, kept_seconds=0),
            scratch=scratch,
            room=MemoryBudget(2**32),
            keys=Keys(Settings(data_dir=tmp_path)),
            gpu=GpuSessions([], 1, GpuMeter()),
            jobs=Jobs(events._database),
            chunks=Chunks(events._database),
        )
        with pytest.raises(MediaChildCrashed):
            await attempt(number).run(activities.transcode_audio, sound)
        shown.append(len((await work_records.read(store, so_far, EncodedTracks)).tracks[0].segments))
    scratch.close()
    assert [shown[0] >= 3, shown[1] >= shown[0], shown[2] > shown[0]] == [True, True, True], shown
