"""Which renditions a source gets: the ladder, by the short side of the picture, never upscaling."""

from streamforge.contracts.media import VideoRendition, VideoSource
from streamforge.planning.dynamic_range import color_of, dynamic_range_of, pixel_format_of, with_hdr_metadata
from streamforge.planning.encoders import encoder_for
from streamforge.settings import TranscodeSettings

WORTHWHILE_STEP = 0.85
"""A rung needs at most this share of the height above it; closer ones cost an encode and gain a viewer nothing."""


def build_ladder(video: VideoSource, settings: TranscodeSettings) -> list[VideoRendition]:
    """Renditions from the largest to the smallest. The largest has the source's own size, or the largest height set."""
    encoder = encoder_for(settings.codec)
    frame_rate = min(video.frame_rate, settings.max_frame_rate)
    dynamic_range = dynamic_range_of(settings.codec, video)
    renditions = []
    for short_side in _rungs(min(video.width, video.height), settings.heights):
        width, height = _fit(video.width, video.height, short_side)
        max_bitrate = encoder.max_bitrate(width, height, frame_rate)
        options = encoder.options(settings.preset, max_bitrate)
        renditions.append(
            VideoRendition(
                name=f"{short_side}p",
                width=width,
                height=height,
                codec=settings.codec,
                encoder=encoder.name,
                options=options if dynamic_range == "sdr" else with_hdr_metadata(encoder.name, options, video),
                max_bitrate=max_bitrate,
                pixel_format=pixel_format_of(settings.codec, video),
                dynamic_range=dynamic_range,
                color=color_of(dynamic_range, video),
            )
        )
    return renditions


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
    return _even(width * scale, width), _even(height * scale, height)


def _even(length: float, source_length: int) -> int:
    return max(2, min(round(length / 2) * 2, source_length // 2 * 2))
