"""What can be downloaded: which tracks go into the file of a rendition, and what it is called."""

from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.packaging.presentation import Presentation

FOLDER = "downloads"


def download_name(rendition: str) -> str:
    return f"{FOLDER}/{rendition}.mp4"


def downloaded_tracks(stream: Presentation, rendition: str) -> list[EncodedTrack]:
    """The rendition, and with it the sound that is played unless another is chosen; the first one, where nothing of that
    could be decoded."""
    video = [track for track in stream.video if track.rendition.name == rendition]
    sound = [track for track in stream.audio if track.rendition.default] or stream.audio[:1]
    return [*(track.encoded for track in video), *(track.encoded for track in sound)]
