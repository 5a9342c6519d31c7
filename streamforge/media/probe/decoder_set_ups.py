"""How often, and for how long, a stream sets its decoder up anew: found by looking into key frames, without decoding one.

What a header says is not read here, only whether it is another one: a key frame of each set-up is kept, and who wants to know
more decodes that. Sizes are the exception of VP9, which may change them in any picture.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from streamforge.media.bitstream.nal_units import HEAD, MAX_UNITS, units_in
from streamforge.media.container.packet_clock import AnyPacket

MAX_KEPT = 32
MAX_KEPT_BYTES = 64 * 2**20
"""A hostile film may change with every picture; what comes after these is not looked at."""


@dataclass
class SetUp:
    """`packet` is the first key frame; `pictures` counts those that follow it. `size` is told where the packet cannot be
    decoded by itself."""

    packet: AnyPacket
    size: tuple[int, int] | None = None
    pictures: int = 0


class SetUps:
    """Takes the packets of one stream in the order of the file."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        """`codec` by FFmpeg's name, `extradata` as the container has it."""
        self._header = _header_of(codec, extradata or b"")
        self._any_packet = codec == "vp9"
        self._kept: dict[bytes, SetUp] = {}
        self._current: SetUp | None = None
        self._told = b""
        self._bytes = 0

    def take(self, packet: AnyPacket) -> None:
        if packet.is_keyframe or self._any_packet:
            told = self._header(packet)
            if packet.is_keyframe and packet.has_sidedata("new_extradata"):
                told += bytes(packet.get_sidedata("new_extradata"))
            if self._current is None or (told and told != self._told):
                self._begin(told, packet)
        if self._current is not None:
            self._current.pictures += 1

    def _begin(self, told: bytes, packet: AnyPacket) -> None:
        self._told = told
        if told in self._kept:
            self._current = self._kept[told]
        elif len(self._kept) < MAX_KEPT and self._bytes + packet.size <= MAX_KEPT_BYTES:
            self._bytes += packet.size
            self._current = self._kept[told] = SetUp(packet, None if packet.is_keyframe else _size_in(told))

    def go_on_with(self, other: "SetUps") -> None:
        """Those of a stream that continues this one."""
        for told, set_up in other._kept.items():
            self._kept.setdefault(told, set_up)

    @property
    def all(self) -> list[SetUp]:
        """In the order in which they came."""
        return list(self._kept.values())


def _size_in(told: bytes) -> tuple[int, int]:
    return int.from_bytes(told[:2]), int.from_bytes(told[2:4])


def _head(packet: AnyPacket) -> bytes:
    return bytes(memoryview(packet)[:HEAD])


# ── what sets a decoder up ──────────────────────────────────────────────────────────────────────────────────────────
def _header_of(codec: str, extradata: bytes) -> Callable[[AnyPacket], bytes]:
    """For the packets of a codec: what is in them of that kind; nothing where there is none, or of a codec that cannot."""
    if codec in {"h264", "hevc"}:
        units = units_in(codec, extradata)
        return lambda packet: _parameter_sets(units(packet), codec)
    return _HEADERS.get(codec, lambda packet: b"")


def _parameter_sets(units: Iterator[bytes], codec: str) -> bytes:
    """The sequence parameter sets in front of the first slice (ISO/IEC 14496-10 table 7-1, 23008-2 table 7-1)."""
    found = b""
    for unit in islice(units, MAX_UNITS):
        kind = unit[0] & 31 if codec == "h264" else unit[0] >> 1 & 63
        if (1 <= kind <= 5) if codec == "h264" else kind < 32:
            break
        if kind == (7 if codec == "h264" else 33):
            found += unit.rstrip(b"\0")
    return found


def _vp8(packet: AnyPacket) -> bytes:
    """RFC 6386 §9.1: width and height of a key frame, 14 bits each."""
    data = memoryview(packet)
    if len(data) < 10 or data[0] & 1 or bytes(data[3:6]) != b"\x9d\x01\x2a":
        return b""
    return (int.from_bytes(data[6:10], "little") & 0x3FFF3FFF).to_bytes(4, "little")


def _mpeg2(packet: AnyPacket) -> bytes:
    """ISO/IEC 13818-2 §6.2.2: of the sequence header what comes before its bit rate, and with it its two extensions."""
    data = _head(packet)
    at = data.find(b"\0\0\1\xb3")
    if at < 0:
        return b""
    found, end = data[at + 4 : at + 8], data.find(b"\0\0\1\0", at)
    while (at := data.find(b"\0\0\1\xb5", at + 4, end if end >= 0 else len(data))) >= 0:
        kind = data[at + 4] >> 4 if at + 4 < len(data) else 0
        if kind == 1:  # Up to the extension of the size; bit rates follow.
            found += data[at + 4 : at + 6] + bytes(byte & 0xE0 for byte in data[at + 6 : at + 7])
        elif kind == 2:
            following = data.find(b"\0\0\1", at + 4)
            found += data[at + 4 : following]
    return found


def _mpeg4(packet: AnyPacket) -> bytes:
    """ISO/IEC 14496-2 §6.2.3: the video object layer, whose start codes are 0x20 to 0x2F."""
    data = _head(packet)
    at = data.find(b"\0\0\1")
    while 0 <= at < len(data) - 3:
        following = data.find(b"\0\0\1", at + 3)
        if data[at + 3] >> 4 == 2:
            return data[at + 3 : following if following >= 0 else len(data)]
        at = following
    return b""


def _vp9(packet: AnyPacket) -> bytes:
    """The size where a picture tells one: width and height, 16 bits each (VP9 bitstream specification §6.2)."""
    bits = _Bits(memoryview(packet)[:24])
    if bits.u(2) != 2:
        return b""
    profile = bits.u(1) | bits.u(1) << 1
    if profile == 3:
        bits.u(1)
    if bits.u(1):  # A picture that was there before.
        return b""
    is_inter, is_shown, is_resilient = bits.u(1), bits.u(1), bits.u(1)
    if not is_inter:
        bits.u(24)
        _skip_vp9_colors(bits, profile)
    else:
        is_intra_only = not is_shown and bits.u(1)
        bits.u(0 if is_resilient else 2)
        if is_intra_only:
            return b""
        bits.u(8 + 3 * 4)
        if bits.u(1) or bits.u(1) or bits.u(1):  # As large as one of those that it refers to.
            return b""
    return (bits.u(16) + 1).to_bytes(3)[-2:] + (bits.u(16) + 1).to_bytes(3)[-2:]


def _skip_vp9_colors(bits: "_Bits", profile: int) -> None:
    if profile >= 2:
        bits.u(1)
    if bits.u(3) != 7:
        bits.u(1)
        bits.u(3 if profile in {1, 3} else 0)
    else:
        bits.u(1 if profile in {1, 3} else 0)


class _Bits:
    """Reads on with zeros behind the end: what comes of that is only ever compared."""

    def __init__(self, data: memoryview) -> None:
        self._value = int.from_bytes(data)
        self._left = 8 * len(data)

    def u(self, count: int) -> int:
        self._left -= count
        return (self._value >> self._left if self._left >= 0 else 0) & ((1 << count) - 1)


def _av1(packet: AnyPacket) -> bytes:
    """The sequence header (AV1 bitstream specification §5.3 and §5.5), which comes in front of the frame."""
    data, at = _head(packet), 0
    for _ in range(MAX_UNITS):
        if at + 1 >= len(data):
            break
        kind, has_extension, has_size = data[at] >> 3 & 15, data[at] >> 2 & 1, data[at] >> 1 & 1
        begin = at + 1 + has_extension
        size, begin = _leb128(data, begin) if has_size else (len(data) - begin, begin)
        if kind == 1:
            return data[begin : begin + size]
        at = begin + size
    return b""


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """The number that begins there, and where it is over (§4.10.5)."""
    value = 0
    for place, byte in enumerate(data[at : at + 8]):
        value |= (byte & 0x7F) << 7 * place
        if byte < 0x80:
            return value, at + place + 1
    return value, at + 8


def _jpeg(packet: AnyPacket) -> bytes:
    """The frame header: depth, size and sampling (ITU-T T.81 §B.2.2)."""
    data, at = _head(packet), 2
    for _ in range(MAX_UNITS):
        if at + 4 > len(data) or data[at] != 0xFF:
            break
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4])
        if marker in {0xC0, 0xC1, 0xC2}:
            return data[at + 4 : at + 2 + length]
        at += 2 + length
    return b""


def _prores(packet: AnyPacket) -> bytes:
    """Of the frame header size, kind of fields, pixel shape and colours (SMPTE RDD 36 §5.1.1)."""
    data = memoryview(packet)
    return bytes(data[16:25]) if bytes(data[4:8]) == b"icpf" else b""


_HEADERS: dict[str, Callable[[AnyPacket], bytes]] = {
    "av1": _av1,
    "mjpeg": _jpeg,
    "mpeg1video": _mpeg2,
    "mpeg2video": _mpeg2,
    "mpeg4": _mpeg4,
    "prores": _prores,
    "vp8": _vp8,
    "vp9": _vp9,
}
