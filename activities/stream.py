"""The stream that was encoded, read back from its receipts."""

import asyncio

from activities import receipts
from streamforge.contracts.media import EncodedTracks, Plan, Source
from streamforge.contracts.pictures import Storyboard
from streamforge.contracts.pipeline import EncodedPart, EncodedStream
from streamforge.planning.manifests import Presentation, joined, presentation
from streamforge.storage import Storage

AT_ONCE = 16


async def read_presentation(
    storage: Storage, source: Source, plan: Plan, encoded: EncodedStream, storyboard: Storyboard | None = None
) -> Presentation:
    """Raises StorageCorrupted when a receipt is missing."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def read(part: EncodedPart) -> EncodedTracks:
        async with limit:
            return await receipts.read(storage, part.receipt, EncodedTracks)

    parts = [part for chunk in encoded.chunks for part in chunk]
    chunks = await asyncio.gather(*(read(part) for part in parts))
    audio = await asyncio.gather(*(read(part) for part in encoded.audio))
    video = joined([chunk.tracks for chunk in chunks])
    sound = [track for tracks in audio for track in tracks.tracks]
    return presentation(source, plan, video, sound, encoded.text, storyboard=storyboard)
