"""Encode chunks of video and tracks of audio, each in a child process, each published once and for good."""

import asyncio
import hashlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import structlog
from temporalio import activity

from activities.registration import performs
from activities.support import source_clocks, work_records
from activities.support.chunk_book import ChunkBook
from activities.support.chunk_progress import ChunkProgress, sound_progress
from activities.support.gpu_sessions import GpuSessions
from activities.support.heartbeats import FIRST_ATTEMPT, heartbeats
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.puts import put_file
from activities.support.scratch import Scratch
from activities.support.waiting_puts import retry_while_store_is_away
from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import EncodedTrack, EncodedTracks
from streamforge.contracts.media.scores import PartQuality
from streamforge.contracts.media.stills import TileSet
from streamforge.contracts.pipeline import EncodeAudioInput, EncodeChunkInput, EncodedPart, StoredSource
from streamforge.contracts.steps import ENCODE_AUDIO, ENCODE_CHUNK
from streamforge.contracts.tasks import TILES_FOLDER, AudioTask, EncodeResult, EncodeTask, FramesEncoded, SoundEncoded
from streamforge.db.chunks import Chunks
from streamforge.db.jobs import Jobs
from streamforge.errors import ChunksDoNotFit, DatabaseUnavailable, JobPaused, Superseded
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.keys import Keys
from streamforge.media.worker.children import MediaChildren
from streamforge.observability import metrics
from streamforge.packaging.presentation import INIT_SEGMENT
from streamforge.planning.stills import POSTER, THUMBNAIL, TILES
from streamforge.storage import AlreadyThere, Storage, layout

log = structlog.stdlib.get_logger(__name__)

PROMPT_RECORDS = 16
RECORD_GROWTH = 1.05
"""Sound is encoded far ahead of the picture: after the first minute its record need not be up to the second. Each names all
segments so far, so how often it is written grows with the logarithm of the film's length: all of them together are in
proportion to the film."""


@dataclass(eq=False, repr=False)
class TranscodeActivities:
    storage: Storage
    events: EventLog
    children: MediaChildren
    originals: Originals
    scratch: Scratch
    room: MemoryBudget
    keys: Keys
    gpu: GpuSessions
    jobs: Jobs
    chunks: Chunks

    @performs(ENCODE_CHUNK)
    async def transcode_chunk(self, work: EncodeChunkInput) -> EncodedPart:
        """Some or all renditions of one chunk. What is already in the store is not encoded again. Raises JobPaused."""
        await self._require_unpaused(work.job_id)
        names_ = _PartNames(work)
        async with heartbeats() as checkpoint, Reporter(self.events, work.job_id) as reporter:
            progress, book = ChunkProgress(work), ChunkBook(self.chunks)
            begun = await book.begin(work)

            def on_progress(told: FramesEncoded) -> None:
                checkpoint.set(told.model_dump() | self.gpu.utilisation())
                reporter.report(*progress.at(told))

            if (done := await self._found(names_)) is None:
                done = await self._encode_chunk(work, names_, on_progress, reporter)
            quality = (
                await work_records.find(self.storage, names_.quality, PartQuality)
                if work.plan.quality.enabled
                else None
            )
            await book.end(begun, done, quality)
            # Told when it is published, and as the whole chunk, also where the probe had expected another frame count.
            reporter.report(*progress.finished())
            return names_.part(work, done)

    async def _encode_chunk(
        self,
        work: EncodeChunkInput,
        part: "_PartNames",
        on_progress: Callable[[FramesEncoded], None],
        reporter: Reporter,
    ) -> EncodedTracks:
        with self.scratch.folder_for("chunk") as folder:
            async with self.originals.file(work.original.source_object) as path:
                key = self.keys.for_track(work.job_id, work.plan.protection, "video")
                source = await source_clocks.read(self.storage, work.source)
                task = EncodeTask(path=path, source=source, plan=work.plan, chunk=work.chunk, target=folder, key=key)
                async with self.room.hold(work.source, work.plan.renditions):
                    encoded, exact = await self._run(task, on_progress)
                self.room.learn(work.source, work.plan.renditions, encoded.peak_bytes)
            if (done := await self._found(part)) is not None:
                return done
            try:
                return await self._publish(work, part, folder, encoded, exact=exact, reporter=reporter)
            except AlreadyThere as error:
                raise Superseded("Another attempt has written this piece of the video.", debug=str(error)) from error

    async def _found(self, part: "_PartNames") -> EncodedTracks | None:
        """What an attempt before, or beside, this one came to."""
        found = await work_records.find(self.storage, part.receipt, EncodedTracks)
        if found is None or found.exact or await self.storage.stat(part.replacing) is None:
            return found
        return None

    async def _publish(
        self,
        work: EncodeChunkInput,
        part: "_PartNames",
        folder: Path,
        encoded: EncodeResult,
        *,
        exact: bool,
        reporter: Reporter,
    ) -> EncodedTracks:
        """What is exact, as every attempt but the first one is, may be written over anything: whoever writes it, however
        late, writes the same bytes. A GPU's bytes are no two times the same. They are put only where nothing is, and
        what they told is not believed any more once an exact attempt has begun to write over them."""
        if activity.info().attempt > FIRST_ATTEMPT:
            await self.storage.put_bytes(part.replacing, b"")
        for track in encoded.tracks:
            await retry_while_store_is_away(reporter, self._publish_init, work.original, folder, track)
            for segment in track.segments:
                name = f"{track.name}/{segment.file_name}"
                await retry_while_store_is_away(
                    reporter, self._publish_segment, work.original, folder, name, replace=exact
                )
        if encoded.tiles is not None:
            await self._publish_pictures(part.pictures, folder / TILES_FOLDER, encoded.tiles, reporter)
        if encoded.quality is not None:
            await retry_while_store_is_away(
                reporter, work_records.write, self.storage, part.quality, encoded.quality, replace=exact
            )
        tracks = EncodedTracks(tracks=encoded.tracks, count=encoded.count, exact=exact)
        await retry_while_store_is_away(reporter, work_records.write, self.storage, part.receipt, tracks, replace=exact)
        return tracks

    async def _run(self, task: EncodeTask, on_progress: Callable[[FramesEncoded], None]) -> tuple[EncodeResult, bool]:
        """With a GPU where one has a session free; only the first time, should a driver crash or hang. Whether the same
        bytes would come out again, too."""
        renditions = task.plan.renditions if activity.info().attempt == FIRST_ATTEMPT else []
        with self.gpu.take(renditions) as on_gpu:
            using_gpu = task.model_copy(update={"on_gpu": on_gpu})
            with metrics.timed(metrics.CHUNK_SECONDS.labels("gpu" if on_gpu else "cpu")):
                encoded = await self.children.run(tasks.ENCODE, using_gpu, on_progress)
        if encoded.gpu_failure is not None:
            log.warning(
                "encoded by the CPU, the GPU failed",
                chunk=task.chunk.index,
                renditions=sorted(on_gpu),
                reason=encoded.gpu_failure,
            )
        return encoded, not on_gpu or encoded.gpu_failure is not None

    async def _require_unpaused(self, job_id: UUID) -> None:
        """Of a part that was queued before: the workflow cannot take it back. A database that is away pauses nobody."""
        with suppress(DatabaseUnavailable):
            if await self.jobs.is_paused(job_id):
                raise JobPaused("The job is paused.")

    @performs(ENCODE_AUDIO)
    async def transcode_audio(self, work: EncodeAudioInput) -> EncodedPart:
        """One audio track, whole: AAC that is cut into chunks clicks at the joints. Its segments are published while the
        rest is still encoded."""
        job_id, name = work.job_id, work.rendition.name
        inputs = {"source": work.original.sha256, "rendition": work.rendition, "protection": work.plan.protection}
        record = work_records.record_name(job_id, work_records.of_round(name, work.encoded_before), **inputs)
        async with heartbeats() as checkpoint, Reporter(self.events, job_id) as reporter:

            def on_segment(track: EncodedTrack) -> None:
                checkpoint.set({"segments": len(track.segments)})
                if not work.plan.renditions:
                    reporter.report(*sound_progress(work, track))

            if (done := await work_records.find(self.storage, record, EncodedTracks)) is None:
                done = EncodedTracks(tracks=[await self._encode_audio(work, on_segment, reporter)])
                await retry_while_store_is_away(reporter, work_records.write, self.storage, record, done)
            return _part(record, done)

    async def _encode_audio(
        self, work: EncodeAudioInput, on_segment: Callable[[EncodedTrack], None], reporter: Reporter
    ) -> EncodedTrack:
        written: asyncio.Queue[SoundEncoded | None] = asyncio.Queue()
        with self.scratch.folder_for("audio") as folder:
            publishing = asyncio.create_task(self._publish_audio(work, folder, written, on_segment, reporter))
            try:
                async with self.originals.file(work.original.source_object) as path:
                    task = AudioTask(
                        path=path,
                        source=await source_clocks.read(self.storage, work.source),
                        rendition=work.rendition,
                        segment_seconds=work.plan.segment_seconds,
                        target=folder,
                        protection=work.plan.protection,
                        key=self.keys.for_track(work.job_id, work.plan.protection, "audio"),
                    )
                    track = await self.children.run(tasks.AUDIO, task, written.put_nowait)
                written.put_nowait(None)
                await publishing
            finally:
                publishing.cancel()
                await asyncio.wait([publishing])  # Its last put is over before this activity is, and the folder there.
        return track

    async def _publish_audio(
        self,
        work: EncodeAudioInput,
        folder: Path,
        written: "asyncio.Queue[SoundEncoded | None]",
        on_segment: Callable[[EncodedTrack], None],
        reporter: Reporter,
    ) -> None:
        """Segments as the child writes them; now and then a record of what is there so far. One that the last attempt left
        stays until this one is further: playlists that were told of its segments must not shrink."""
        title = work_records.of_round(f"{work.rendition.name}-so-far", work.encoded_before)
        so_far = layout.work_record(work.job_id, title)
        track: EncodedTrack | None = None
        before = await retry_while_store_is_away(reporter, work_records.find, self.storage, so_far, EncodedTracks)
        told = len(before.tracks[0].segments) if before else 0
        while (message := await written.get()) is not None:
            if message.track is not None:
                track = message.track
                await retry_while_store_is_away(reporter, self._publish_init, work.original, folder, track)
            elif (segment := message.segment) is not None:  # The rest are signs of life.
                assert track is not None
                name = f"{track.name}/{segment.file_name}"
                await retry_while_store_is_away(reporter, self._publish_segment, work.original, folder, name)
                track.segments.append(segment)
                on_segment(track)
                if len(track.segments) >= next_record(told):
                    await retry_while_store_is_away(
                        reporter, work_records.write, self.storage, so_far, EncodedTracks(tracks=[track])
                    )
                    told = len(track.segments)

    async def _publish_segment(self, original: StoredSource, folder: Path, name: str, *, replace: bool = True) -> None:
        """Cancelled in the middle, the next attempt writes the same bytes under the same names again; where a GPU wrote
        some of them, others, and only what the record names is ever shown."""
        await put_file(self.storage, layout.output(original.job_id, name), folder / name, replace=replace)

    async def _publish_pictures(self, record: str, folder: Path, tiles: TileSet, reporter: Reporter) -> None:
        files = ([TILES] if tiles.tiles else []) + ([POSTER, THUMBNAIL] if tiles.poster else [])
        for name in files:
            await retry_while_store_is_away(
                reporter, put_file, self.storage, layout.file_of_record(record, name), folder / name
            )
        await retry_while_store_is_away(reporter, work_records.write, self.storage, record, tiles)

    async def _publish_init(self, original: StoredSource, folder: Path, track: EncodedTrack) -> None:
        """All chunks share one init segment; a decoder set up by one must be able to play all."""
        if not track.init_size_bytes:
            return
        name = layout.output(original.job_id, f"{track.name}/{INIT_SEGMENT}")
        published = await self.storage.get_bytes(name)
        if published is None:
            try:
                await self.storage.put_file(name, folder / track.name / INIT_SEGMENT, replace=False)
            except AlreadyThere:
                published = await self.storage.get_bytes(name)
        if published is not None and hashlib.sha256(published).hexdigest() != track.init_sha256:
            raise ChunksDoNotFit("Chunks of one rendition do not fit together.", debug=f"init segments of {track.name}")


def next_record(told: int) -> int:
    """With how many segments the next record is written, behind one that names `told` of them."""
    return told + 1 if told < PROMPT_RECORDS else int(told * RECORD_GROWTH) + 1


class _PartNames:
    """Where the record of a part lies, and what is known about its quality and kept of its pictures: names derived from
    all that they depend on."""

    def __init__(self, work: EncodeChunkInput) -> None:
        title = f"{work.chunk.index:05}-{work.plan.renditions[0].name}"
        inputs = {"source": work.original.sha256, "chunk": work.chunk, "plan": work.plan}

        def named(kind: str) -> str:
            begin = work_records.of_round(kind, work.encoded_before)
            return work_records.record_name(work.job_id, f"{begin}{title}", **inputs)

        self.receipt = named(work_records.CHUNK)
        self.quality = named(work_records.QUALITY)
        self.pictures = named(work_records.PICTURES)
        self.replacing = named(work_records.REPLACING)

    def part(self, work: EncodeChunkInput, encoded: EncodedTracks) -> EncodedPart:
        quality = self.quality if work.plan.quality.enabled else None
        return _part(self.receipt, encoded, quality, self.pictures if work.plan.pictures else None)


def _part(record: str, encoded: EncodedTracks, quality: str | None = None, pictures: str | None = None) -> EncodedPart:
    return EncodedPart(
        receipt=record,
        frames=encoded.tracks[0].frames,
        size_bytes=sum(segment.size_bytes for track in encoded.tracks for segment in track.segments),
        quality=quality,
        attempt=activity.info().attempt,
        pictures=pictures,
    )
