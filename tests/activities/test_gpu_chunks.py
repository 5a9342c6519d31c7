"""A chunk whose job may use a GPU, on a worker whose GPU has gone: the activity itself, with a real database and encoder."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from clips import BUNNY
from factories import accepted
from obstore.store import MemoryStore
from structlog.testing import capture_logs
from temporalio.testing import ActivityEnvironment

from activities import receipts
from activities.gpu_sessions import GpuSessions
from activities.originals import Originals
from activities.room import Room
from activities.scratch import Scratch
from activities.transcode import TranscodeActivities
from streamforge.contracts.media import EncodedTracks, Source
from streamforge.contracts.pipeline import EncodeChunkInput, StoredSource
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.capabilities import Gpu, gpus
from streamforge.media.child import MediaChildren
from streamforge.media.gpu import GpuMeter
from streamforge.media.probe import probe_task
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import layout
from streamforge.storage.bucket import BucketStorage

NVENC = {"h264_nvenc"}
BUSY = Gpu(name="A", memory_bytes=100, memory_used_bytes=40, utilisation_percent=70)

pytestmark = pytest.mark.skipif(bool(gpus()), reason="says what happens where there is no GPU")


class Chunks:
    """A worker that could use a GPU when it started."""

    def __init__(self, settings: Settings, events: EventLog, children: MediaChildren, scratch: Scratch) -> None:
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
            room=Room(2**32),
            keys=Keys(settings),
            gpu=GpuSessions(NVENC, 3, meter),
        )

    async def work(self, jobs: Jobs) -> EncodeChunkInput:
        job_id = await accepted(jobs)
        original = StoredSource(
            job_id=job_id, source_object=layout.original(job_id), size_bytes=BUNNY.stat().st_size, sha256="0" * 64
        )
        await self.bucket.put_bytes(original.source_object, BUNNY.read_bytes())
        source = await self.children.run("probe", probe_task(BUNNY, self.settings.input), Source)
        plan = with_gpu(make_plan(source, self.settings), NVENC)
        return EncodeChunkInput(
            original=original,
            source=source,
            plan=plan.only(plan.renditions),
            chunk=plan.chunks[0],
            weight=1,
            chunk_count=len(plan.chunks),
            total_frames=plan.total_frames,
        )


@pytest.fixture
async def chunks(events: EventLog, tmp_path: Path) -> AsyncIterator[Chunks]:
    transcode = {"presets": {"h264": "medium"}, "heights": [720, 360]}  # Enough work for some heartbeats.
    settings = Settings.model_validate({"data_dir": tmp_path, "transcode": transcode, "validation": {"enabled": False}})
    scratch = Scratch(tmp_path / "scratch")
    async with MediaChildren(memory_bytes=2**31, stall_seconds=30) as children:
        made = Chunks(settings, events, children, scratch)
        yield made
        await made.originals.close()
    scratch.close()


async def test_the_cpu_encodes_what_the_gpu_cannot_and_the_receipt_and_the_log_say_so(
    chunks: Chunks, jobs: Jobs
) -> None:
    work, beats = await chunks.work(jobs), list[Any]()
    environment = ActivityEnvironment()
    environment.on_heartbeat = lambda *details: beats.append(details[0])
    with capture_logs() as said:
        part = await environment.run(chunks.activities.transcode_chunk, work)
    [warning] = [entry for entry in said if entry["event"] == "encoded by the CPU, the GPU failed"]
    assert warning["renditions"] == ["360p", "720p"]
    assert "h264_nvenc" in warning["reason"]
    done = await receipts.find(chunks.bucket, part.receipt, EncodedTracks)
    assert done is not None
    for track in done.tracks:
        [(written_by, chunk_count)] = track.encoders.items()
        assert (written_by.split()[0], chunk_count) == ("libx264", 1)
        assert track.codec_string.startswith("avc3.")
        assert track.frames == work.chunk.expected_frames
    told = [beat["gpus"] for beat in beats if beat and "gpus" in beat]
    assert told
    assert told[-1] == [BUSY.model_dump()]


async def test_a_second_attempt_does_without_the_gpu(chunks: Chunks, jobs: Jobs) -> None:
    work = await chunks.work(jobs)
    environment = ActivityEnvironment()
    environment.info = replace(ActivityEnvironment.default_info(), attempt=2)
    with capture_logs() as said:
        await environment.run(chunks.activities.transcode_chunk, work)
    assert not [entry for entry in said if "GPU" in entry["event"]]
