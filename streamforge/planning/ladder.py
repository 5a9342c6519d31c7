"""Which renditions a source gets: the ladder, by the short side of the picture, never upscaling."""

from itertools import groupby

from streamforge.codecs.base import reorders
from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import VideoSource
from streamforge.planning.color.dynamic_range import suited_to
from streamforge.planning.sizes import largest_even, nearest_even
from streamforge.settings import CodecName, TranscodeSettings

WORTHWHILE_STEP = 0.85
"""A rung needs at most this share of the height above it; closer ones cost an encode and gain a viewer nothing."""


def build_ladder(video: VideoSource, settings: TranscodeSettings) -> list[VideoRendition]:
    """For each codec, in the order of the setting, renditions from the largest to the smallest. The largest has the
    source's own size, or the largest height set."""
    rungs = _rungs(min(video.width, video.height), settings.heights)
    frame_rate = video.frame_rate_up_to(settings.max_frame_rate)
    renditions = [
        rendition_of(codec, _name(rung, codec, settings), _fit(video.width, video.height, rung), frame_rate, settings)
        for codec in settings.codecs
        for rung in rungs
    ]
    if not reorders(frame_rate):
        renditions = [_without_reordering(rendition) for rendition in renditions]
    return [suited_to(video, rendition) for rendition in renditions]


def _without_reordering(rendition: VideoRendition) -> VideoRendition:
    options = CODECS[rendition.codec].without_reordering(rendition.options)
    return rendition.model_copy(update={"options": options})


def rendition_of(
    codec: CodecName, name: str, size: tuple[int, int], frame_rate: float, settings: TranscodeSettings
) -> VideoRendition:
    made_by = CODECS[codec]
    width, height = size
    max_bitrate = made_by.max_bitrate(width, height, frame_rate, settings.max_bitrate_1080p)
    return VideoRendition(
        name=name,
        width=width,
        height=height,
        codec=codec,
        encoder=made_by.encoder,
        options=made_by.options(getattr(settings.presets, codec), getattr(settings.crf, codec), max_bitrate),
        max_bitrate=max_bitrate,
    )


def by_codec(renditions: list[VideoRendition]) -> list[list[VideoRendition]]:
    """The ladders of a plan: one for each codec."""
    return [list(ladder) for _, ladder in groupby(renditions, key=lambda rendition: rendition.codec)]


def _name(rung: int, codec: CodecName, settings: TranscodeSettings) -> str:
    return f"{rung}p" if len(settings.codecs) == 1 else f"{rung}p-{codec}"


def _rungs(source_short_side: int, heights: list[int]) -> list[int]:
    rungs = [min(source_short_side, max(heights))]
    for height in sorted(heights, reverse=True):
        if height <= rungs[-1] * WORTHWHILE_STEP:
            rungs.append(height)
    return rungs


def _fit(width: int, height: int, short_side: int) -> tuple[int, int]:
    """The picture scaled so that its short side is `short_side`: the nearest even lengths, as 4:2:0 asks, and never
    larger than the source."""
    scale = short_side / min(width, height)
    return (
        min(nearest_even(width * scale), largest_even(width)),
        min(nearest_even(height * scale), largest_even(height)),
    )
