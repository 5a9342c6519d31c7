"""What the header of a container says of a video stream and PyAV does not pass on: how its pictures are to be cropped, and
what kind of Dolby Vision they are.

FFmpeg has read it, from Matroska, MP4 or a transport stream, and keeps it with the stream. So the stream's header is written
once more, as Matroska and into memory, and read from there: one format, and one that we have written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from io import BytesIO

import av
from av.video.stream import VideoStream

from streamforge.contracts.media.source import Crop

# Element ids of Matroska (RFC 9559 §5.1), with the bits that tell their length.
SEGMENT, TRACKS, TRACK_ENTRY, VIDEO = 0x18538067, 0x1654AE6B, 0xAE, 0xE0
CROP_BOTTOM, CROP_TOP, CROP_LEFT, CROP_RIGHT = 0x54AA, 0x54BB, 0x54CC, 0x54DD
ADDITION_MAPPING, ADDITION_TYPE, ADDITION_DATA = 0x41E4, 0x41E7, 0x41ED

CONFIGURATIONS = {int.from_bytes(name) for name in (b"dvcC", b"dvvC", b"dvwC")}
"""Dolby Vision's, by the names of their boxes in MP4."""


@dataclass(frozen=True)
class DolbyVision:
    """`compatible_with`: 0 nothing, 1 HDR10, 2 SDR, 4 HLG, 6 HDR10 of a Blu-ray (Dolby Vision Streams Within the ISO Base
    Media File Format §2.2)."""

    profile: int
    compatible_with: int


@dataclass(frozen=True)
class ContainerHeader:
    crop: Crop = field(default_factory=Crop)
    dolby_vision: DolbyVision | None = None


def read_header(stream: VideoStream) -> ContainerHeader:
    """Empty for codecs that Matroska does not take, of which no container tells such things."""
    written = BytesIO()
    try:
        with av.open(written, "w", format="matroska") as container:
            container.add_stream_from_template(stream, opaque=True)
            container.start_encoding()
    except av.error.MemoryError:
        raise
    except (av.error.FFmpegError, ValueError):
        return ContainerHeader()
    track = written.getvalue()
    for name in (SEGMENT, TRACKS, TRACK_ENTRY):
        track = next(_all(track, name), b"")
    return ContainerHeader(_crop(next(_all(track, VIDEO), b"")), next(_dolby_vision(track), None))


def _crop(video: bytes) -> Crop:
    def element(name: int) -> int:
        return int.from_bytes(next(_all(video, name), b""))

    return Crop(left=element(CROP_LEFT), top=element(CROP_TOP), right=element(CROP_RIGHT), bottom=element(CROP_BOTTOM))


def _dolby_vision(track: bytes) -> Iterator[DolbyVision]:
    """Of a DOVIDecoderConfigurationRecord: two bytes of version, seven bits of profile, six of level, three flags, four bits
    of compatibility."""
    for mapping in _all(track, ADDITION_MAPPING):
        kind = int.from_bytes(next(_all(mapping, ADDITION_TYPE), b""))
        data = next(_all(mapping, ADDITION_DATA), b"")
        if kind in CONFIGURATIONS and len(data) >= 5:
            yield DolbyVision(profile=data[2] >> 1, compatible_with=data[4] >> 4)


# ── EBML (RFC 8794) ─────────────────────────────────────────────────────────────────────────────────────────────────
def _all(data: bytes, name: int) -> Iterator[bytes]:
    """The contents of the elements of that name, one level deep."""
    at = 0
    while at < len(data):
        found, at = _number(data, at, keep_marker=True)
        size, at = _number(data, at, keep_marker=False)
        if found == name:
            yield data[at : at + size]
        at += size


def _number(data: bytes, at: int, *, keep_marker: bool) -> tuple[int, int]:
    """An id or a size, and where it is over. The zeros before its first one tell how many bytes follow; a size of ones
    only is that of an element that goes on to the end."""
    if at >= len(data) or data[at] == 0:
        return 0, len(data)
    length = 9 - data[at].bit_length()
    value = int.from_bytes(data[at : at + length])
    marker = 1 << 7 * length
    if not keep_marker:
        value = len(data) if value == 2 * marker - 1 else value - marker
    return value, at + length
