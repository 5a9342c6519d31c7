"""The manifests of a film of twelve hours: what packaging it costs, how that grows, and how long the event loop of the
worker stands still meanwhile. Nothing is encoded: the receipts of six renditions, stereo and 5.1 are made up."""

import asyncio
import tempfile
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any
from unittest.mock import AsyncMock
from uuid import UUID, uuid4

from temporalio.testing import ActivityEnvironment

from activities.package import PackageActivities
from activities.publish import PublishActivities
from activities.store import StoreActivities
from activities.support import work_records
from activities.support.encoded_stream import read_presentation
from bench import report
from streamforge.contracts.media.encoded import EncodedTrack, EncodedTracks, KeyFrame, Segment
from streamforge.contracts.media.plan import AudioRendition, Chunk, Plan, StreamPlan
from streamforge.contracts.media.source import VIDEO_TIMESCALE, AudioSource, Source, VideoSource
from streamforge.contracts.media.timeline import PictureCount
from streamforge.contracts.pipeline import (
    EncodedPart,
    EncodedStream,
    PackagedStream,
    PackageInput,
    PublishInput,
    StoredSource,
    StoreInput,
)
from streamforge.contracts.tasks import Libraries
from streamforge.packaging import dash, hls
from streamforge.packaging.presentation import Presentation, joined, media_files, presentation
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import ObjectInfo, Storage, layout
from streamforge.storage.local import LocalStorage

HOURS = 12
FPS = 25
SHA = "0" * 64
AAC_FRAME = 1024
LOOK_SECONDS = 0.001


def main() -> None:
    report.machine()
    whole = _computed(HOURS)
    report.number(f"{HOURS} h, six renditions and 5.1: manifests", whole, "s", bar=1)
    report.number("… ÷ those of half the length", whole / _computed(HOURS / 2), bar=2.2)
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        asyncio.run(_on_a_loop(LocalStorage(Path(folder))))


# ── the film ────────────────────────────────────────────────────────────────────────────────────────────────────────
def film(hours: float) -> tuple[Source, Plan]:
    seconds = hours * 3600
    video = VideoSource(
        index=0,
        codec="h264",
        coded_width=3840,
        coded_height=2160,
        width=3840,
        height=2160,
        rotation=0,
        pixel_format="yuv420p",
        frame_rate=FPS,
        frame_count=round(seconds * FPS),
        start=0,
        duration=seconds,
        reorder_gap=0.08,
        variable_frame_rate=False,
        seekable=True,
    )
    sound = AudioSource(index=1, codec="ac3", channels=6, layout="5.1(side)", sample_rate=48_000)
    source = Source(container="mov", size_bytes=1, duration=seconds, video=video, audio=[sound])
    return source, make_plan(source, Settings())


def chunk_tracks(plan: Plan, chunk: Chunk, seconds: float) -> list[EncodedTrack]:
    return [
        EncodedTrack(
            name=rendition.name,
            timescale=VIDEO_TIMESCALE,
            codec_string="avc1.640028",
            init_sha256=SHA,
            init_size_bytes=800,
            frames=chunk.expected_frames,
            segments=list(_segments(plan, chunk, seconds)),
        )
        for rendition in plan.renditions
    ]


def _segments(plan: Plan, chunk: Chunk, seconds: float) -> Any:
    start, end = (round(moment * VIDEO_TIMESCALE) for moment in (chunk.start, chunk.end or seconds))
    step, gop = (round(length * VIDEO_TIMESCALE) for length in (plan.segment_seconds, plan.gop_seconds))
    for begin in range(start, end, step):
        duration = min(step, end - begin)
        keys = [KeyFrame(ticks=begin + at, offset=500, size_bytes=20_000) for at in range(0, duration, gop)]
        size = 900_000 + begin % 100_003
        yield Segment(start_ticks=begin, duration_ticks=duration, size_bytes=size, sha256=SHA, key_frames=keys)


def sound_track(rendition: AudioRendition, plan: Plan, seconds: float) -> EncodedTrack:
    """Segments of whole AAC frames: not all are of one length."""
    ends = range(1, round(seconds / plan.segment_seconds) + 1)
    ticks = [round(n * plan.segment_seconds * rendition.sample_rate / AAC_FRAME) * AAC_FRAME for n in (0, *ends)]
    segments = [
        Segment(start_ticks=begin, duration_ticks=end - begin, size_bytes=60_000 + begin % 1009, sha256=SHA)
        for begin, end in pairwise(ticks)
    ]
    return EncodedTrack(
        name=rendition.name,
        timescale=rendition.sample_rate,
        codec_string="mp4a.40.2",
        init_sha256=SHA,
        init_size_bytes=700,
        frames=ticks[-1] // AAC_FRAME,
        segments=segments,
    )


# ── what it costs ───────────────────────────────────────────────────────────────────────────────────────────────────
def _computed(hours: float) -> float:
    """CPU seconds of all that `package` computes, the best of three."""
    source, plan = film(hours)
    chunks = [chunk_tracks(plan, chunk, source.duration) for chunk in plan.chunks]
    sound = [sound_track(rendition, plan, source.duration) for rendition in plan.audio]

    def stream() -> Presentation:
        return presentation(source, plan, joined(chunks), sound)

    def once() -> float:
        began = time.process_time()
        hls.playlists(stream())
        dash.manifest(stream())
        return time.process_time() - began

    return min(once() for _ in range(3))


# ── how long the loop stands still ──────────────────────────────────────────────────────────────────────────────────
async def _on_a_loop(storage: LocalStorage) -> None:
    source, plan = film(HOURS)
    original = StoredSource(job_id=uuid4(), source_object="input/x", size_bytes=1, sha256=SHA)
    encoded = await _receipts(storage, original.job_id, source, plan)
    few, log = StreamPlan.of(plan), AsyncMock()
    publish = PublishInput(original=original, source=source, plan=few, began_at=datetime.now(UTC))
    await _watched("publish_playable", PublishActivities(storage, log).publish_playable, publish)
    package = PackageInput(original=original, source=source, plan=plan, encoded=encoded)
    packaged: PackagedStream = await _watched("package", PackageActivities(storage, log).package, package)
    store = StoreInput(original=original, source=source, plan=plan, encoded=encoded, packaged=packaged)
    stream = await read_presentation(storage, source, plan, encoded)
    everything = _Everything(storage, stream)
    del stream
    storing = StoreActivities(everything, log, Libraries(av="", ffmpeg="", libavcodec="", encoders=[]))
    await _watched("store", storing.store, store)


async def _receipts(storage: LocalStorage, job_id: UUID, source: Source, plan: Plan) -> EncodedStream:
    chunks, audio = [], []
    for chunk in plan.chunks:
        name = layout.work_record(job_id, f"{work_records.CHUNK}{chunk.index:05}-{SHA[:16]}")
        shown = chunk.expected_frames
        count = PictureCount(in_source=shown, decoded=shown, shown=shown)
        done = EncodedTracks(tracks=chunk_tracks(plan, chunk, source.duration), count=count)
        await work_records.write(storage, name, done)
        chunks.append([EncodedPart(receipt=name, frames=shown, size_bytes=1)])
    for rendition in plan.audio:
        name = layout.work_record(job_id, f"{rendition.name}-{SHA[:16]}")
        await work_records.write(storage, name, EncodedTracks(tracks=[sound_track(rendition, plan, source.duration)]))
        audio.append(EncodedPart(receipt=name, frames=1, size_bytes=1))
    return EncodedStream(chunks=chunks, audio=audio)


class _Everything:
    """A store in which every segment is: it knows what is looked for. All else is in the real one."""

    def __init__(self, storage: Storage, stream: Presentation) -> None:
        self._storage = storage
        self._sizes = {name: file.size_bytes for name, file in media_files(stream).items()}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)

    async def stat(self, name: str) -> ObjectInfo | None:
        await asyncio.sleep(0)
        size = self._sizes.get("/".join(name.split("/")[2:]))
        return await self._storage.stat(name) if size is None else ObjectInfo(name, size, datetime.now(UTC), "x")


async def _watched(what: str, work: Callable[[Any], Awaitable[Any]], given: Any) -> Any:
    """In CPU time of this process, which other work on the machine does not lengthen."""
    longest = 0.0

    async def look() -> None:
        nonlocal longest
        while True:
            before = time.process_time()
            await asyncio.sleep(LOOK_SECONDS)
            longest = max(longest, time.process_time() - before)

    looking = asyncio.create_task(look())
    began = time.process_time()
    try:
        return await ActivityEnvironment().run(work, given)
    finally:
        looking.cancel()
        report.number(f"{what}, CPU", time.process_time() - began, "s")
        report.number("… longest that the event loop stood still", 1000 * longest, "ms", bar=50)


if __name__ == "__main__":
    main()
