"""NAL units of H.264 and HEVC in packets, whichever way these are written, and in the headers of containers."""

from collections.abc import Callable, Iterator
from itertools import islice

from streamforge.codecs.nal_units import unit_ranges
from streamforge.media.container.packet_clock import AnyPacket

HEAD = 16 * 2**10
"""Bytes of a packet in which its headers are looked for."""

MAX_UNITS = 64
"""Of a packet, in front of its first slice."""

PREFIX_SEI = 39
"""ISO/IEC 23008-2 table 7-1."""

ALPHA_CHANNEL_INFORMATION = 165
"""ISO/IEC 23008-2 §F.14.2.8."""


def units_in(codec: str, extradata: bytes) -> Callable[[AnyPacket], Iterator[bytes]]:
    """For the packets of a stream: their units, of which none is empty. Of long ones there is only the beginning."""
    return _length_prefixed(extradata, codec) if extradata[:1] == b"\1" else _annex_b


def _annex_b(packet: AnyPacket) -> Iterator[bytes]:
    """NAL units between start codes; of the last, which is a slice or longer than HEAD, only a part."""
    data = bytes(memoryview(packet)[:HEAD])
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        following = data.find(b"\0\0\1", at + 3)
        yield data[at + 3 : following if following >= 0 else len(data)] or b"\0"
        at = following


def _length_prefixed(extradata: bytes, codec: str) -> Callable[[AnyPacket], Iterator[bytes]]:
    """NAL units behind their lengths (ISO/IEC 14496-15 §5.3.3); avcC and hvcC tell how long those are."""
    place = 4 if codec == "h264" else 21
    length_bytes = (extradata[place] & 3) + 1 if len(extradata) > place else 4

    def units(packet: AnyPacket) -> Iterator[bytes]:
        data = memoryview(packet)
        for begin, end in unit_ranges(data, 0, len(data), length_bytes):
            yield bytes(data[begin : min(end, begin + HEAD)]) or b"\0"

    return units


def header_units(extradata: bytes) -> Iterator[bytes]:
    """Those in an hvcC (ISO/IEC 14496-15 §8.3.3.1.2)."""
    at = 23
    for _ in range(extradata[22] if len(extradata) > 22 and extradata[0] == 1 else 0):
        count, at = int.from_bytes(extradata[at + 1 : at + 3]), at + 3
        for _ in range(min(count, MAX_UNITS)):
            begin = at + 2
            at = begin + int.from_bytes(extradata[at:begin])
            yield extradata[begin:at] or b"\0"


def has_alpha_layer(extradata: bytes, packet: AnyPacket) -> bool:
    """Whether a second layer of an HEVC stream says how opaque its pictures are, by the SEI that comes with it in the
    header, or in the first key frame."""
    units = [*header_units(extradata), *islice(units_in("hevc", extradata)(packet), MAX_UNITS)]
    return any(
        len(unit) > 4 and unit[0] >> 1 & 63 == PREFIX_SEI and unit[2] == ALPHA_CHANNEL_INFORMATION and unit[4] < 128
        for unit in units
    )
