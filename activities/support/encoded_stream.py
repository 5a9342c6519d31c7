"""The stream that was encoded, read back from its records."""

import asyncio
from dataclasses import dataclass

from activities.support import work_records
from streamforge.contracts.media.encoded import EncodedTrack, EncodedTracks, TextTrack
from streamforge.contracts.media.plan import StreamPlan
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.stills import Storyboard
from streamforge.contracts.media.timeline import PictureCount
from streamforge.contracts.pipeline import EncodedStream
from streamforge.packaging.presentation import Presentation, joined, presentation
from streamforge.storage import Storage


@dataclass(frozen=True)
class Tracks:
    """What was encoded: the parts of each chunk, and the sound."""

    chunks: list[list[EncodedTracks]]
    sound: list[EncodedTrack]

    @property
    def counts(self) -> list[PictureCount | None]:
        """Of each chunk. All of its parts have seen the same pictures."""
        return [parts[0].count for parts in self.chunks]


async def read_tracks(storage: Storage, encoded: EncodedStream) -> Tracks:
    """Raises StorageCorrupted when a record is missing."""
    parts = [part for chunk in encoded.chunks for part in chunk]
    found = iter(await work_records.read_all(storage, (part.receipt for part in parts), EncodedTracks))
    chunks = [[next(found) for _ in chunk] for chunk in encoded.chunks]
    audio = await work_records.read_all(storage, (part.receipt for part in encoded.audio), EncodedTracks)
    return Tracks(chunks, [track for tracks in audio for track in tracks.tracks])


def presentation_of(
    tracks: Tracks, source: Source, plan: StreamPlan, text: list[TextTrack], storyboard: Storyboard | None = None
) -> Presentation:
    video = joined([part.tracks for parts in tracks.chunks for part in parts])
    return presentation(source, plan, video, tracks.sound, text, storyboard=storyboard)


async def read_presentation(storage: Storage, source: Source, plan: StreamPlan, encoded: EncodedStream) -> Presentation:
    """Raises StorageCorrupted when a record is missing."""
    tracks = await read_tracks(storage, encoded)
    return await asyncio.to_thread(presentation_of, tracks, source, plan, encoded.text)
