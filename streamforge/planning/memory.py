"""How much memory encoding a chunk takes: a little for every pixel of every rendition, and of the source."""

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import VideoSource

Footprint = float
"""Bytes for each pixel of all renditions and of the source together."""

FIRST_GUESS: Footprint = 250.0
"""Until one was measured. H.264 in `veryfast` takes 120 with its scoring, in `medium` 190."""

BASE_BYTES = 150 * 2**20
"""An interpreter with FFmpeg's libraries, and the ffmpeg that scores."""

SLOW_DECAY = 0.9
"""What was measured once is not forgotten at once: chunks differ, and the dearest should fit, too."""


def expected_bytes(video: VideoSource, renditions: list[VideoRendition], footprint: Footprint) -> int:
    return BASE_BYTES + round(_pixels(video, renditions) * footprint)


def measured_footprint(
    video: VideoSource, renditions: list[VideoRendition], peak_bytes: int, before: Footprint | None
) -> Footprint:
    """The footprint to go by after a chunk took `peak_bytes`; `before` is None for the first one."""
    measured = max(0, peak_bytes - BASE_BYTES) / _pixels(video, renditions)
    return measured if before is None else max(measured, before * SLOW_DECAY)


def _pixels(video: VideoSource, renditions: list[VideoRendition]) -> int:
    return video.width * video.height + sum(r.width * r.height for r in renditions)
