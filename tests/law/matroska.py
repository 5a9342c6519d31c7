"""Matroska (RFC 9559), written with whatever time stamps the packets have; it counts milliseconds here."""

import struct
from collections.abc import Iterator

from film import TICKS, Film, Packet, Track
from marks import HEIGHT, WIDTH

CODEC_IDS = {
    "h264": "V_MPEG4/ISO/AVC",
    "hevc": "V_MPEGH/ISO/HEVC",
    "mpeg2video": "V_MPEG2",
    "mpeg4": "V_MPEG4/ISO/ASP",
    "vp9": "V_VP9",
    "mjpeg": "V_MJPEG",
    "aac": "A_AAC",
    "mp2": "A_MPEG/L2",
    "mp3": "A_MPEG/L3",
    "ac3": "A_AC3",
    "flac": "A_FLAC",
    "opus": "A_OPUS",
    "pcm_s16le": "A_PCM/INT/LIT",
}
PICTURES, SOUND = 1, 2
FARTHEST = 30_000
"""Milliseconds from the time of its cluster that a block can be: 16 bits, with a sign."""
STARTS_AT = TICKS // 5


def matroska(film: Film) -> bytes:
    head = _element(0x1A45DFA3, _text(0x4282, "matroska") + _number(0x4287, 4) + _number(0x4285, 2))
    about = _element(0x1549A966, _number(0x2AD7B1, 1_000_000) + _text(0x4D80, "law") + _text(0x5741, "law"))
    tracks = _element(0x1654AE6B, _picture_track(film.pictures) + _sound_track(film.sound))
    return head + _element(0x18538067, about + tracks + b"".join(_clusters(film)))


def _picture_track(track: Track) -> bytes:
    size = _element(0xE0, _number(0xB0, WIDTH) + _number(0xBA, HEIGHT))
    usual = _number(0x23E383, round(1_000_000_000 / track.rate))
    return _element(0xAE, _described(PICTURES, 1, track) + usual + size)


def _sound_track(track: Track) -> bytes:
    bits = _number(0x6264, 16) if track.codec.startswith("pcm") else b""
    kind = _element(0xE1, _element(0xB5, struct.pack(">d", float(track.rate))) + _number(0x9F, 1) + bits)
    return _element(0xAE, _described(SOUND, 2, track) + kind)


def _described(number: int, kind: int, track: Track) -> bytes:
    private = (b"fLaC\x80" + len(track.private).to_bytes(3) + track.private) if track.codec == "flac" else track.private
    held = _element(0x63A2, private) if private else b""
    return (
        _number(0xD7, number)
        + _number(0x73C5, number)
        + _number(0x83, kind)
        + _text(0x86, CODEC_IDS[track.codec])
        + held
    )


def _clusters(film: Film) -> Iterator[bytes]:
    """A new one for every key frame, and wherever the clock leaps too far for the old one."""
    begins, blocks = 0, []
    starts = max(STARTS_AT, -min(packet.pts for _, packet in film.interleaved))  # FFmpeg reads no times below zero.
    for track, packet in film.interleaved:
        time = _milliseconds(packet.pts + starts)
        is_sound = track is film.sound
        if blocks and ((packet.key and not is_sound) or abs(time - begins) > FARTHEST):
            yield _cluster(begins, blocks)
            blocks = []
        if not blocks:
            begins = max(0, time)
        last = not is_sound and packet is track.packets[-1]
        blocks.append(_block(SOUND if is_sound else PICTURES, time - begins, packet, last))
    yield _cluster(begins, blocks)


def _cluster(begins: int, blocks: list[bytes]) -> bytes:
    return _element(0x1F43B675, _number(0xE7, begins) + b"".join(blocks))


def _block(track: int, after: int, packet: Packet, last: bool) -> bytes:
    """The last picture says how long it stays."""
    head = bytes([0x80 | track]) + struct.pack(">h", after)
    if last:
        lasts = _number(0x9B, round(packet.lasts * 1000 / TICKS))
        refers = b"" if packet.key else _element(0xFB, b"\xff")
        return _element(0xA0, _element(0xA1, head + b"\x00" + packet.data) + lasts + refers)
    return _element(0xA3, head + (b"\x80" if packet.key else b"\x00") + packet.data)


def _milliseconds(time: int) -> int:
    return round(time * 1000 / TICKS)


def _element(identity: int, body: bytes) -> bytes:
    return identity.to_bytes((identity.bit_length() + 7) // 8) + (1 << 56 | len(body)).to_bytes(8) + body


def _number(identity: int, value: int) -> bytes:
    return _element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


def _text(identity: int, value: str) -> bytes:
    return _element(identity, value.encode())
