"""Tiny renditions with the real encoder options, to find out at start whether they work."""

from streamforge.contracts.media.plan import VideoRendition
from streamforge.planning.ladder import rendition_of
from streamforge.settings import Settings

SIZE = (320, 180)
FRAME_RATE = 25.0


def trial_renditions(settings: Settings) -> list[VideoRendition]:
    """One for each way in which a profile encodes."""
    found: dict[str, VideoRendition] = {}
    for name in settings.profiles:
        transcode = settings.for_profile(name).transcode
        for codec in transcode.codecs:
            rendition = rendition_of(codec, f"{name}-{codec}", SIZE, FRAME_RATE, transcode)
            found.setdefault(f"{rendition.encoder} {rendition.options}", rendition)
    return list(found.values())
