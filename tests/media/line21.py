"""Writes CEA-608 by hand: pairs of bytes with their parity, and films that carry them among their pictures."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import av

Pairs = list[tuple[int, int]]

RCL, BS, RU2, RU3, RDC, TR, EDM, CR, ENM, EOC = 0x20, 0x21, 0x25, 0x26, 0x29, 0x2A, 0x2C, 0x2D, 0x2E, 0x2F
BOTTOM, ABOVE = (0x14, 0x70), (0x14, 0x50)
"""Rows 15 and 14, from the left."""


def control(*codes: int, channel: int = 0, twice: bool = True) -> Pairs:
    """`channel` 0 or 1 of its field."""
    return [(0x14 + 8 * channel, code) for code in codes for _ in range(2 if twice else 1)]


def text(written: str) -> Pairs:
    """ASCII, of which CEA-608 has most."""
    codes = [*written.encode("ascii"), *([0] if len(written) % 2 else [])]
    return list(zip(codes[::2], codes[1::2], strict=True))


def triples(pairs: Pairs, field: int = 0) -> bytes:
    return b"".join(bytes([0xFC | field, _odd(first), _odd(second)]) for first, second in pairs)


def _odd(code: int) -> int:
    return code if code.bit_count() % 2 else code | 0x80


def pop_on(said: str) -> Pairs:
    return [*control(RCL, ENM), BOTTOM, BOTTOM, *text(said), *control(EOC)]


# ── among pictures ──────────────────────────────────────────────────────────────────────────────────────────────────
def captioned(film: Path, said: Mapping[int, bytes], target: Path) -> Path:
    """The film with the cc_data of each picture, by its number on the screen, in the way of its codec; two nothings where
    there is none, as broadcasters send them."""
    with av.open(str(film)) as source, av.open(str(target), "w") as out:
        stream = source.streams.video[0]
        codec = stream.codec_context.codec.canonical_name
        copy = out.add_stream_from_template(stream)
        packets = [packet for packet in source.demux(stream) if packet.size]
        numbers = {time: number for number, time in enumerate(sorted(packet.pts or 0 for packet in packets))}
        for packet in packets:
            data = said.get(numbers[packet.pts or 0], b"\xf8\x80\x80\xf9\x80\x80")
            new = av.Packet(WRITERS[codec](bytes(packet), data))
            new.pts, new.dts, new.time_base = packet.pts, packet.dts, packet.time_base
            new.is_keyframe, new.stream = packet.is_keyframe, copy
            out.mux(new)
    return target


def _user_data(data: bytes) -> bytes:
    return b"GA94\x03" + bytes([0x40 | len(data) // 3, 0xFF]) + data + b"\xff"


def _in_h264(packet: bytes, data: bytes) -> bytes:
    message = b"\xb5\x00\x31" + _user_data(data)
    unit = bytes([6, 4, len(message)]) + message + b"\x80"
    return len(unit).to_bytes(4) + unit + packet


def _in_hevc(packet: bytes, data: bytes) -> bytes:
    message = b"\xb5\x00\x31" + _user_data(data)
    unit = bytes([39 << 1, 1, 4, len(message)]) + message + b"\x80"
    return len(unit).to_bytes(4) + unit + packet


def _in_mpeg2(packet: bytes, data: bytes) -> bytes:
    slices = packet.index(b"\0\0\1\1")
    return packet[:slices] + b"\0\0\1\xb2" + _user_data(data) + packet[slices:]


WRITERS = {"h264": _in_h264, "hevc": _in_hevc, "mpeg2video": _in_mpeg2}


def on_dvd(pairs: Pairs) -> bytes:
    """Both fields of one picture after the other; nothing in the second."""
    blocks = b"".join(bytes([0xFF, _odd(first), _odd(second), 0xFE, 0x80, 0x80]) for first, second in pairs)
    return b"\0\0\1\xb2CC\1\xf8" + bytes([0x80 | len(pairs) << 1]) + blocks


def one_pair_a_picture(first: int, pairs: Pairs, field: int = 0) -> dict[int, bytes]:
    return dict(enumerate(_each(pairs, field), start=first))


def _each(pairs: Pairs, field: int) -> Iterator[bytes]:
    return (triples([pair], field) for pair in pairs)
