"""Which pictures a codec gets of a source: HDR is kept where a codec carries it and its players show it, and tone-mapped
elsewhere.

H.264 is 8 bits and SDR: 10 bits in it play nearly nowhere. HEVC and AV1 have 10 bits in the profile that every decoder
of them has (Main 10, Main), so a source of more than 8 bits keeps 10 there, HDR or not.
"""

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import Color, DynamicRange, VideoSource

BT709 = Color()
HDR_TRANSFERS: dict[int, DynamicRange] = {16: "hdr10", 18: "hlg"}
WIDE_GAMUTS = {9, 11, 12}
"""Primaries of BT.2020 and of P3."""

CLOSE_TO_BT709 = {1, 5, 6}
"""Matrices and primaries of BT.709 and of both kinds of BT.601, which every player knows."""


def suited_to(video: VideoSource, rendition: VideoRendition) -> VideoRendition:
    """The rendition with the kind of pictures that its codec gets of this source."""
    dynamic_range = dynamic_range_of(rendition.codec, video)
    options = rendition.options
    return rendition.model_copy(
        update={
            "pixel_format": pixel_format_of(rendition.codec, video),
            "dynamic_range": dynamic_range,
            "color": color_of(dynamic_range, video),
            "options": options if dynamic_range == "sdr" else CODECS[rendition.codec].with_hdr_metadata(options, video),
        }
    )


def dynamic_range_of(codec: str, video: VideoSource) -> DynamicRange:
    return video.dynamic_range if CODECS[codec].keeps_hdr else "sdr"


def pixel_format_of(codec: str, video: VideoSource) -> str:
    return "yuv420p10le" if CODECS[codec].keeps_hdr and video.bit_depth > 8 else "yuv420p"


def color_of(dynamic_range: DynamicRange, video: VideoSource) -> Color:
    """HDR keeps what it has. SDR stays in BT.601, as old sources are, because every player reads that tag and nothing is
    lost; what is rarer than that becomes BT.709."""
    if dynamic_range != "sdr":
        return video.color
    kept = video.dynamic_range == "sdr" and {video.color.matrix, video.color.primaries} <= CLOSE_TO_BT709
    return video.color.model_copy(update={"transfer": 1}) if kept else BT709


def needs_mapping(dynamic_range: DynamicRange, video: VideoSource) -> bool:
    """Whether colours have to be moved, and not only written in another way: between HDR and SDR, or from a wide gamut."""
    is_too_wide = dynamic_range == "sdr" and video.color.primaries in WIDE_GAMUTS
    return dynamic_range != video.dynamic_range or is_too_wide
