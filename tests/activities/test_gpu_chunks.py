"""A chunk whose job may use a GPU, on a worker whose GPU has gone: the activity itself, with a real database and encoder."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clips import Clips
from factories import accepted
from obstore.store import MemoryStore
from outages import loses_answers
from structlog.testing import capture_logs
from temporalio.testing import ActivityEnvironment

from activities.support import heartbeats, waiting_puts, work_records
from activities.support.fence import FencedStorage
from activities.support.gpu_sessions import GpuSessions
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from activities.transcode import TranscodeActivities
from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import EncodedTracks
from streamforge.contracts.pipeline import EncodeChunkInput, EncodedPart, StoredSource
from streamforge.contracts.tasks import EncodeResult, EncodeTask
from streamforge.db.chunks import Chunks as ChunkRows
from streamforge.db.jobs import Jobs
from streamforge.errors import Superseded
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.worker.capabilities import Gpu, gpus
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.gpus import GpuMeter
from streamforge.media.worker.tasks import probe_task
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import Storage, layout
from streamforge.storage.bucket import BucketStorage

NVENC = {"h264_nvenc"}
BUSY = Gpu(name="A", memory_bytes=100, memory_used_bytes=40, utilisation_percent=70)

pytestmark = pytest.mark.skipif(bool(gpus()), reason="says what happens where there is no GPU")


class Chunks:
    """A worker that could use a GPU when it started."""

    def __init__(
        self, film: Path, settings: Settings, events: EventLog, children: MediaChildren, scratch: Scratch
    ) -> None:
        self.film = film
        self.settings = settings
        self.children = children
        self.bucket = BucketStorage(MemoryStore())
        self.originals = Originals(self.bucket, scratch)
        meter = GpuMeter()
        meter.latest = [BUSY]
        self.activities = TranscodeActivities(
            self.bucket,
            events,
            children,
            originals=self.originals,
            scratch=scratch,
            room=MemoryBudget(2**32),
            keys=Keys(settings),
            gpu=GpuSessions(NVENC, 3, meter),
            jobs=Jobs(events._database),
            chunks=ChunkRows(events._database),
        )

    async def work(self, jobs: Jobs) -> EncodeChunkInput:
        job_id = await accepted(jobs)
        original = StoredSource(
            job_id=job_id, source_object=layout.original(job_id), size_bytes=self.film.stat().st_size, sha256="0" * 64
        )
        await self.bucket.put_bytes(original.source_object, self.film.read_bytes())
        source = await self.children.run(tasks.PROBE, probe_task(self.film, self.settings.input))
        plan = with_gpu(make_plan(source, self.settings), NVENC)
        return EncodeChunkInput(
            original=original,
            source=source,
            plan=plan.for_part(plan.renditions),
            chunk=plan.chunks[0],
            weight=1,
            chunk_count=len(plan.chunks),
            total_frames=plan.total_frames,
        )


@asynccontextmanager
async def made(
    film: Path, events: EventLog, children: MediaChildren, folder: Path, **transcode: Any
) -> AsyncIterator[Chunks]:
    settings = Settings.model_validate({"data_dir": folder, "transcode": transcode, "validation": {"enabled": False}})
    scratch = Scratch(folder / "scratch")
    chunks = Chunks(film, settings, events, children, scratch)
    yield chunks
    await chunks.originals.close()
    scratch.close()


@pytest.fixture
async def chunks(
    clips: Clips, events: EventLog, children: MediaChildren, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Chunks]:
    """Enough heartbeats for a little work."""
    monkeypatch.setattr(heartbeats, "INTERVAL_SECONDS", 0.02)
    transcode = {"presets": {"h264": "ultrafast"}, "heights": [360, 180]}
    async with made(clips.small_bunny, events, children, tmp_path, **transcode) as chunks:
        yield chunks


async def test_the_cpu_encodes_what_the_gpu_cannot_and_the_receipt_and_the_log_say_so(
    chunks: Chunks, jobs: Jobs
) -> None:
    work, beats = await chunks.work(jobs), list[Any]()
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    with capture_logs() as said:
        part = await environment.run(chunks.activities.transcode_chunk, work)
    [warning] = [entry for entry in said if entry["event"] == "encoded by the CPU, the GPU failed"]
    assert warning["renditions"] == ["180p", "360p"]
    assert "h264_nvenc" in warning["reason"]
    done = await work_records.find(chunks.bucket, part.receipt, EncodedTracks)
    assert done is not None
    for track in done.tracks:
        [(written_by, chunk_count)] = track.encoders.items()
        assert (written_by.split()[0], chunk_count) == ("libx264", 1)
        assert track.codec_string.startswith("avc3.")
        assert track.frames == work.chunk.expected_frames
    told = [beat["gpus"] for beat in beats if beat and "gpus" in beat]
    assert told
    assert told[-1] == [BUSY.model_dump()]


async def test_a_second_attempt_does_without_the_gpu(quick: Chunks, jobs: Jobs) -> None:
    work = await quick.work(jobs)
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), attempt=2)
    with capture_logs() as said:
        await environment.run(quick.activities.transcode_chunk, work)
    assert not [entry for entry in said if "GPU" in entry["event"]]


# ── two attempts at the same time ───────────────────────────────────────────────────────────────────────────────────
FREE_BOX = bytes([0, 0, 0, 8]) + b"free"


class PretendedGpu:
    """Encodes without a GPU, and never the same bytes twice."""

    def __init__(self, children: MediaChildren) -> None:
        self._children = children
        self.encodings = 0

    async def run(self, name: str, task: EncodeTask, *more: Any) -> EncodeResult:
        self.encodings += 1
        encoded = await self._children.run(name, task.model_copy(update={"on_gpu": frozenset()}), *more)
        for track in encoded.tracks if task.on_gpu else []:
            for segment in track.segments:
                path = task.target / track.name / segment.file_name
                path.write_bytes(path.read_bytes() + FREE_BOX * self.encodings)
                segment.size_bytes = path.stat().st_size
                segment.sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        return encoded


class Held(FencedStorage):
    """Before the segment number `after` is put, it waits."""

    def __init__(self, storage: Storage, after: int) -> None:
        super().__init__(storage)
        self.left = after
        self.is_held, self.may_go_on = asyncio.Event(), asyncio.Event()

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        if name.endswith(".m4s"):
            self.left -= 1
            if self.left == 0:
                self.is_held.set()
                await self.may_go_on.wait()
        await super().put_file(name, path, replace=replace)


@pytest.fixture
async def quick(clips: Clips, events: EventLog, children: MediaChildren, tmp_path: Path) -> AsyncIterator[Chunks]:
    """Two segments of each rendition."""
    transcode = {"presets": {"h264": "ultrafast"}, "heights": [180, 120]}
    async with made(clips.silent, events, children, tmp_path, **transcode) as chunks:
        yield chunks


@pytest.fixture
def gpu(quick: Chunks, monkeypatch: pytest.MonkeyPatch) -> PretendedGpu:
    pretended = PretendedGpu(quick.children)
    monkeypatch.setattr(quick.activities, "children", pretended)
    return pretended


async def encode(chunks: Chunks, work: EncodeChunkInput, attempt: int, storage: Storage | None = None) -> EncodedPart:
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), attempt=attempt)
    activities = copy(chunks.activities)
    activities.storage = storage or chunks.bucket
    return await environment.run(activities.transcode_chunk, work)


async def assert_as_told(chunks: Chunks, work: EncodeChunkInput, part: EncodedPart, *, exact: bool) -> None:
    """Every segment has the bytes that the receipt tells of."""
    done = await work_records.read(chunks.bucket, part.receipt, EncodedTracks)
    assert done.exact == exact
    for track in done.tracks:
        for segment in track.segments:
            data = await chunks.bucket.get_bytes(
                layout.output(work.original.job_id, f"{track.name}/{segment.file_name}")
            )
            assert data is not None
            assert hashlib.sha256(data).hexdigest() == segment.sha256


@pytest.mark.parametrize("after", [1, 3], ids=["with nothing put", "in the middle"])
async def test_a_gpu_that_wakes_up_late_writes_over_nothing(
    quick: Chunks, gpu: PretendedGpu, jobs: Jobs, after: int
) -> None:
    work = await quick.work(jobs)
    held = Held(quick.bucket, after)
    late = asyncio.create_task(encode(quick, work, 1, held))
    await held.is_held.wait()
    part = await encode(quick, work, 2)
    await assert_as_told(quick, work, part, exact=True)
    held.may_go_on.set()
    with pytest.raises(Superseded):
        await late
    await assert_as_told(quick, work, part, exact=True)


async def test_what_a_gpu_has_finished_is_not_done_again(quick: Chunks, gpu: PretendedGpu, jobs: Jobs) -> None:
    work = await quick.work(jobs)
    part = await encode(quick, work, 1)
    await assert_as_told(quick, work, part, exact=False)
    assert (await encode(quick, work, 2)).receipt == part.receipt
    assert gpu.encodings == 1


async def test_an_attempt_does_not_take_its_own_put_for_anothers(
    quick: Chunks, gpu: PretendedGpu, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bytes arrived, the answer did not; the next try finds them."""
    monkeypatch.setattr(waiting_puts, "FIRST_WAIT", 0.001)
    work = await quick.work(jobs)
    unanswered = loses_answers(quick.bucket, monkeypatch)
    part = await encode(quick, work, 1)
    await assert_as_told(quick, work, part, exact=False)
    assert part.receipt in unanswered


async def test_what_a_gpu_finished_beside_a_newer_attempt_is_not_believed(
    quick: Chunks, gpu: PretendedGpu, jobs: Jobs
) -> None:
    """The second one was killed while it wrote its own segments over those of the first: some are of one, some of the
    other."""
    work = await quick.work(jobs)
    second = Held(quick.bucket, 3)
    killed = asyncio.create_task(encode(quick, work, 2, second))
    await second.is_held.wait()
    killed.cancel()
    with suppress(asyncio.CancelledError):
        await killed
    part = await encode_elsewhere(quick, work)
    assert (await encode(quick, work, 3)).receipt == part.receipt
    await assert_as_told(quick, work, part, exact=True)


async def encode_elsewhere(chunks: Chunks, work: EncodeChunkInput) -> EncodedPart:
    """The first attempt to its end, its receipt in the store and its segments there only where nothing was."""
    elsewhere = copy(chunks)
    elsewhere.bucket = BucketStorage(MemoryStore())
    elsewhere.activities = copy(chunks.activities)
    part = await encode(elsewhere, work, 1)
    told = await elsewhere.bucket.get_bytes(part.receipt)
    assert told is not None
    await chunks.bucket.put_bytes(part.receipt, told, replace=False)
    return part
