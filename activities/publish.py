"""Let it play before everything is done: manifests of what is encoded so far, written again as it grows."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime

from temporalio import activity

from activities.package import write_manifests
from activities.registration import performs
from activities.support import work_records
from activities.support.garbage import no_full_collections
from activities.support.heartbeats import heartbeats
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.media.encoded import EncodedTrack, EncodedTracks
from streamforge.contracts.pipeline import PublishedSoFar, PublishInput
from streamforge.contracts.steps import PUBLISH
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.packaging.presentation import (
    GrowingStream,
    Presentation,
    planned_so_far,
    playable_so_far,
    presentation,
    seconds,
)
from streamforge.storage import ObjectInfo, Storage, layout
from streamforge.storage.growing import forget_older

SOUND_PATIENCE_SECONDS = 3.0
LOOK_AGAIN_SECONDS = 0.1


@dataclass(eq=False, repr=False)
class PublishActivities:
    storage: Storage
    events: EventLog

    @performs(PUBLISH)
    async def publish_playable(self, work: PublishInput) -> PublishedSoFar:
        """Manifests that grow: players fetch them again and again under the address that stays valid to the end. Each time
        they are other objects, which the API finds: whoever writes late, writes what nobody reads."""
        async with heartbeats(), Reporter(self.events, work.job_id) as reporter:
            with no_full_collections():
                published = await self._publish(work)
            if published.renditions:
                await self._announce(work, published, reporter)
            return published

    async def _publish(self, work: PublishInput) -> PublishedSoFar:
        stream, growing = await self._presentable(work)
        if not stream.video:
            return PublishedSoFar(seconds=0, renditions=[])
        folder = layout.growing(work.job_id, work.number, activity.info().attempt)
        await write_manifests(self.storage, folder, stream, growing)
        await self.storage.put_bytes(f"{folder}{layout.COMPLETE}", b"")
        await forget_older(self.storage, work.job_id, folder)
        return PublishedSoFar(
            seconds=seconds(stream.video[0].encoded), renditions=[track.rendition.name for track in stream.video]
        )

    async def _presentable(self, work: PublishInput) -> tuple[Presentation, GrowingStream]:
        """What can be played, with its sound, and all that is there: a film that begins silent and never finds its voice
        is worse than a second's wait."""
        deadline = asyncio.get_running_loop().time() + SOUND_PATIENCE_SECONDS
        while True:
            chunks, audio = await self._encoded_so_far(work)
            stream, growing = await asyncio.to_thread(_so_far, work, chunks, audio)
            if _can_be_heard(stream) or asyncio.get_running_loop().time() > deadline:
                return stream, growing
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def _encoded_so_far(self, work: PublishInput) -> tuple[list[list[EncodedTrack]], list[EncodedTrack]]:
        """Tracks of each part of a chunk, in order, and of each audio rendition as far as it is."""
        chunks: list[list[EncodedTrack]] = []
        audio: dict[str, EncodedTrack] = {}
        begin = layout.work_folder(work.job_id)
        of_chunks, of_sound = (
            f"{begin}{work_records.of_round(kind, work.encoded_before)}"
            for kind in (work_records.CHUNK, work_records.AUDIO)
        )
        found = [info async for info in self.storage.walk(begin) if info.name.startswith((of_chunks, of_sound))]
        kept = _latest_of_each(found)
        for name, encoded in zip(kept, await work_records.read_all(self.storage, kept, EncodedTracks), strict=True):
            if name.startswith(of_chunks):
                chunks.append(encoded.tracks)
                continue
            for track in encoded.tracks:  # The final record of a track lies beside the one of how far it was.
                if len(track.segments) >= len(audio[track.name].segments if track.name in audio else []):
                    audio[track.name] = track
        return chunks, list(audio.values())

    async def _announce(self, work: PublishInput, published: PublishedSoFar, reporter: Reporter) -> None:
        """An event of its own when it can be played for the first time, and when more renditions can."""
        name = layout.work_record(work.job_id, "published")
        before = await work_records.find(self.storage, name, PublishedSoFar)
        if before is None or before.renditions != published.renditions:
            await reporter.state(
                JobChange(
                    event="playable",
                    stage=Stage.TRANSCODING,
                    message=f"Playable in {', '.join(published.renditions)}",
                    playback=layout.playback(work.job_id, work.plan),
                    details=published.model_dump(mode="json"),
                )
            )
        await work_records.write(self.storage, name, published)


def _latest_of_each(found: list[ObjectInfo]) -> list[str]:
    """In order. A piece has two records where another version of the encoders wrote it again, after a killed worker."""
    latest: dict[str, ObjectInfo] = {}
    for info in sorted(found, key=lambda info: info.modified_at):
        latest[info.name.rpartition("-")[0]] = info
    return sorted(info.name for info in latest.values())


def _so_far(
    work: PublishInput, chunks: list[list[EncodedTrack]], audio: list[EncodedTrack]
) -> tuple[Presentation, GrowingStream]:
    """In a thread: of a long film it takes longer than an event loop may stand still."""
    growing = GrowingStream(
        began_at=work.began_at,
        now=datetime.now(UTC),
        segment_seconds=work.plan.segment_seconds,
        source_seconds=work.source.duration,
        video=planned_so_far(work.plan, chunks),
    )
    return presentation(work.source, work.plan, playable_so_far(chunks), audio), growing


def _can_be_heard(stream: Presentation) -> bool:
    """Every track, be it only in stereo: surround sound may come later."""
    there = {track.rendition.name for track in stream.audio}
    return all(rendition.name in there for rendition in stream.plan.audio if not rendition.is_surround)
