"""What sets a decoder up anew is noticed in packets of any kind, and nothing in them can do harm."""

import av
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streamforge.media.bitstream.nal_units import has_alpha_layer, header_units
from streamforge.media.probe.decoder_set_ups import MAX_KEPT, SetUps

CODECS = ["av1", "h264", "hevc", "mjpeg", "mpeg2video", "mpeg4", "prores", "vp8", "vp9", "unknown"]


def packet(data: bytes, *, is_key: bool = True) -> av.Packet:
    made = av.Packet(data)
    made.is_keyframe = is_key
    return made


def vp8(width: int, height: int) -> bytes:
    """The beginning of a key frame (RFC 6386 §9.1)."""
    return b"\x10\0\0\x9d\x01\x2a" + width.to_bytes(2, "little") + height.to_bytes(2, "little") + bytes(8)


def bits(*fields: tuple[int, int]) -> bytes:
    """(bits, value) one behind the other, filled up with zeros."""
    written = "".join(format(value, f"0{count}b") for count, value in fields if count)
    return int(written.ljust(-(-len(written) // 8) * 8, "0"), 2).to_bytes(-(-len(written) // 8)) + bytes(4)


def vp9(width: int, height: int, *, is_key: bool) -> bytes:
    """The beginning of a picture of profile 0 that is shown (VP9 bitstream specification §6.2)."""
    size = ((16, width - 1), (16, height - 1))
    if is_key:
        return bits((2, 2), (2, 0), (1, 0), (1, 0), (1, 1), (1, 0), (24, 0x498342), (3, 2), (1, 0), *size)
    return bits((2, 2), (2, 0), (1, 0), (1, 1), (1, 1), (1, 0), (2, 0), (8, 1), (12, 0), (3, 0), *size)


def test_a_film_that_does_not_change_has_one_set_up() -> None:
    found = SetUps("vp8", None)
    for number in range(250):
        found.take(packet(vp8(320, 180) if number % 50 == 0 else b"\x11" * 20, is_key=number % 50 == 0))
    assert [each.pictures for each in found.all] == [250]


def test_sizes_that_come_back_are_counted_together() -> None:
    found = SetUps("vp8", None)
    for width in (320, 640, 320, 1280):
        for number in range(10):
            found.take(packet(vp8(width, 180) if number == 0 else b"\x11" * 20, is_key=number == 0))
    assert [each.pictures for each in found.all] == [20, 10, 10]


def test_vp9_may_change_its_size_between_key_frames() -> None:
    found = SetUps("vp9", None)
    found.take(packet(vp9(320, 180, is_key=True)))
    found.take(packet(vp9(640, 360, is_key=False), is_key=False))
    assert [each.size for each in found.all] == [None, (640, 360)]


def test_an_endless_change_is_not_kept_for_ever() -> None:
    found = SetUps("vp8", None)
    for width in range(16, 16 + 4 * MAX_KEPT):
        found.take(packet(vp8(width, 180)))
    assert len(found.all) == MAX_KEPT
    assert sum(each.pictures for each in found.all) == 4 * MAX_KEPT


STARTS = [
    b"\0\0\1\x67",
    b"\0\0\1\x42",
    b"\0\0\1\xb3",
    b"\0\0\1\xb5\x10",
    b"\0\0\1\x20",
    b"\xff\xd8\xff\xc0",
    b"\x12\0\x0a\xff",
]
GARBAGE = st.lists(st.sampled_from(STARTS) | st.binary(max_size=12), max_size=12).map(b"".join)


@pytest.mark.parametrize("codec", CODECS)
@given(data=GARBAGE, extradata=st.sampled_from([b"", b"\1" * 4, b"\1" * 30]) | GARBAGE, is_key=st.booleans())
@example(data=b"\0\0\1", extradata=b"", is_key=True)
@example(data=b"\0\0\1\xb3\0\0\1\xb5", extradata=b"", is_key=True)
def test_no_packet_is_too_broken(codec: str, data: bytes, extradata: bytes, is_key: bool) -> None:
    found = SetUps(codec, extradata)
    for _ in range(2):
        found.take(packet(data, is_key=is_key))
    assert len(found.all) <= 2
    assert len(list(header_units(extradata))) <= 255 * 64
    has_alpha_layer(extradata, packet(data))
