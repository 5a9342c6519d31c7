"""The stream that was encoded, read back from its receipts."""

from activities import receipts
from streamforge.contracts.media import EncodedTracks, Plan, Source
from streamforge.contracts.pictures import Storyboard
from streamforge.contracts.pipeline import EncodedStream
from streamforge.planning.manifests import Presentation, joined, presentation
from streamforge.storage import Storage


async def read_presentation(
    storage: Storage, source: Source, plan: Plan, encoded: EncodedStream, storyboard: Storyboard | None = None
) -> Presentation:
    """Raises StorageCorrupted when a receipt is missing."""
    parts = [part for chunk in encoded.chunks for part in chunk]
    chunks = await receipts.read_all(storage, (part.receipt for part in parts), EncodedTracks)
    audio = await receipts.read_all(storage, (part.receipt for part in encoded.audio), EncodedTracks)
    video = joined([chunk.tracks for chunk in chunks])
    sound = [track for tracks in audio for track in tracks.tracks]
    return presentation(source, plan, video, sound, encoded.text, storyboard=storyboard)
