"""What a decoded picture says beside its samples: colours, how it is to be turned, and the metadata of HDR."""

import struct
from math import atan2, degrees
from typing import Any

from av.filter import Graph
from av.sidedata.sidedata import Type
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media.source import VIDEO_TIMESCALE, ContentLight, MasteringDisplay
from streamforge.planning.color.tags import UNSPECIFIED, Samples, Tags

SIDE_DATA_TYPES = 64
"""More than FFmpeg has (AVFrameSideDataType): 33 in its version 8."""


def orientation(frame: VideoFrame) -> tuple[int, bool] | None:
    """Degrees clockwise, in quarters, and whether it is mirrored left to right before that (FFmpeg's display matrix). None
    where it does not say."""
    data = _side_data(frame, Type.DISPLAYMATRIX)
    if data is None or len(data) < 36:
        return None
    a, b, _, c, d = struct.unpack("=5i", data[:20])
    mirrored = a * d - b * c < 0
    if mirrored:
        a, b = -a, -b
    return round(degrees(atan2(b, a)) / 90) * 90 % 360, mirrored


def color_tags(frame: VideoFrame, stream: VideoStream) -> Tags:
    context = stream.codec_context
    return Tags(
        primaries=_either(frame.color_primaries, context.color_primaries),
        transfer=_either(frame.color_trc, context.color_trc),
        matrix=_either(frame.colorspace, context.colorspace),
        range=int(frame.color_range) or int(context.color_range) or 2 * frame.format.name.startswith("yuvj"),
    )


def declared_tags(stream: VideoStream) -> Tags:
    """By the container, as long as nothing was decoded; from then on by the stream."""
    context = stream.codec_context
    return Tags(
        primaries=int(context.color_primaries),
        transfer=int(context.color_trc),
        matrix=int(context.colorspace),
        range=int(context.color_range),
    )


def told_tags(frame: VideoFrame) -> Tags:
    """By the picture alone."""
    return Tags(
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
        range=int(frame.color_range) or 2 * frame.format.name.startswith("yuvj"),
    )


def _either(by_picture: int, by_container: int) -> int:
    return int(by_container if by_picture == UNSPECIFIED else by_picture)


def samples(frame: VideoFrame) -> Samples:
    return Samples(
        is_rgb=is_rgb(frame),
        is_gray=frame.format.name.startswith(("gray", "mono", "ya")),
        bit_depth=max(8, *(component.bits for component in frame.format.components)),
        width=frame.width,
        height=frame.height,
    )


def is_rgb(frame: VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.has_palette


def has_alpha(frame: VideoFrame) -> bool:
    """So may every palette."""
    return frame.format.has_palette or any(component.is_alpha for component in frame.format.components)


def mastering_display(frame: VideoFrame) -> MasteringDisplay | None:
    """FFmpeg's AVMasteringDisplayMetadata: ten fractions (red, green, blue, white as x and y, least and most light), and
    which half of them is set."""
    data = _side_data(frame, Type.MASTERING_DISPLAY_METADATA)
    if data is None or len(data) < 88:
        return None
    numbers = struct.unpack("=22i", data[:88])
    values = [over / under if under else 0.0 for over, under in zip(numbers[0:20:2], numbers[1:20:2], strict=True)]
    if not (numbers[20] and numbers[21]):
        return None
    red, green, blue, white = zip(values[0:8:2], values[1:8:2], strict=True)
    return MasteringDisplay(
        red=red, green=green, blue=blue, white=white, min_luminance=values[8], max_luminance=values[9]
    )


def content_light(frame: VideoFrame) -> ContentLight | None:
    data = _side_data(frame, Type.CONTENT_LIGHT_LEVEL)
    if data is None or len(data) < 8:
        return None
    most, average = struct.unpack("=2I", data[:8])
    return ContentLight(max_content=most, max_frame_average=average) if most or average else None


def _side_data(frame: VideoFrame, kind: Type) -> bytes | None:
    return next((bytes(data) for data in _named_side_data(frame) if data.type == kind), None)


def _named_side_data(frame: VideoFrame) -> Any:
    """PyAV gives none of it when there is one among it that it has no name for, like the EXIF of a JPEG."""
    try:
        return frame.side_data
    except ValueError:
        return _without_nameless(frame).side_data


def _without_nameless(frame: VideoFrame) -> VideoFrame:
    """The same picture without those kinds of side data; a filter for each, which costs half a millisecond."""
    graph = Graph()
    graph.threads = 1
    source = last = graph.add("buffer", buffer_of(frame))
    for kind in sorted(set(range(SIDE_DATA_TYPES)) - {each.value for each in Type}):
        last.link_to(following := graph.add("sidedata", f"mode=delete:type={kind}"))
        last = following
    last.link_to(sink := graph.add("buffersink"))
    graph.configure(auto_buffer=False)
    source.push(frame)
    named = sink.pull()
    assert isinstance(named, VideoFrame)
    return named


def buffer_of(picture: VideoFrame) -> str:
    """Options of a filter graph's `buffer` for pictures like this one."""
    return (
        f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
        f":time_base=1/{VIDEO_TIMESCALE}:pixel_aspect=1/1"
        f":colorspace={int(picture.colorspace)}:range={int(picture.color_range)}"
    )
