"""Transport and program streams (ISO/IEC 13818-1), written with whatever time stamps the packets have."""

from collections.abc import Iterator
from itertools import count

from film import TICKS, Film, Packet, Track

CLOCK = 2**33
STARTS_AT = TICKS + TICKS * 2 // 5
"""1.4 s, as most recorders begin."""
BUFFERED = TICKS // 2
"""How far the clock is behind what is to be decoded."""

STREAM_TYPES = {"h264": 0x1B, "hevc": 0x24, "mpeg2video": 0x02, "mpeg4": 0x10, "aac": 0x0F, "mp2": 0x03, "mp3": 0x03}
STREAM_TYPES |= {"ac3": 0x81}
TS_PACKET = 188
PROGRAM, PICTURES, SOUND = 0x1000, 0x100, 0x101
SECOND_PART = 0x10
"""How far the PIDs of each next part are from those before it, where they change."""

SAMPLING = (96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350)


# ── packetized elementary streams, in both ──────────────────────────────────────────────────────────────────────────
def _pes(track: Track, packet: Packet, is_sound: bool, bounded: bool) -> bytes:
    payload = _adts(track, packet) if track.codec == "aac" else packet.data
    stamps = b"" if packet.untimed else _stamps(packet, is_sound)
    flags = 0x00 if packet.untimed else (0xC0 if len(stamps) == 10 else 0x80)
    header = bytes([0x80, flags, len(stamps)]) + stamps
    length = len(header) + len(payload) if bounded or is_sound else 0
    return b"\x00\x00\x01" + bytes([_stream_id(track, is_sound)]) + length.to_bytes(2) + header + payload


def _stream_id(track: Track, is_sound: bool) -> int:
    if track.codec == "ac3":
        return 0xBD
    return 0xC0 if is_sound else 0xE0


def _stamps(packet: Packet, is_sound: bool) -> bytes:
    if is_sound or packet.pts == packet.dts:
        return _stamp(0x2, packet.pts)
    return _stamp(0x3, packet.pts) + _stamp(0x1, packet.dts)


def _stamp(mark: int, time: int) -> bytes:
    at = (time + STARTS_AT) % CLOCK
    high, middle, low = at >> 30, (at >> 15) & 0x7FFF, at & 0x7FFF
    return bytes([mark << 4 | high << 1 | 1]) + (middle << 1 | 1).to_bytes(2) + (low << 1 | 1).to_bytes(2)


def _adts(track: Track, packet: Packet) -> bytes:
    rate, length = SAMPLING.index(int(track.rate)), len(packet.data) + 7
    header = 0xFFF1 << 40 | 1 << 38 | rate << 34 | 1 << 30 | length << 13 | 0x7FF << 2
    return header.to_bytes(7) + packet.data


# ── transport streams ───────────────────────────────────────────────────────────────────────────────────────────────
def transport_stream(film: Film, new_pids: bool = False) -> bytes:
    """`new_pids`: each part has PIDs of its own, and the table of the program changes with it."""
    packets = list(_ts_packets(film, new_pids))
    lost = {len(packets) * place // 1000 for place in film.torn}
    return b"".join(packet for number, packet in enumerate(packets) if number not in lost)


def _ts_packets(film: Film, new_pids: bool) -> Iterator[bytes]:
    counters: dict[int, Iterator[int]] = {}
    part = 0
    for track, packet in film.interleaved:
        is_sound = track is film.sound
        moved = SECOND_PART * packet.part if new_pids else 0
        # Where no picture is left to bring them along, PIDs that nobody has heard of would be nobody's.
        is_news = new_pids and packet.part != part
        part = packet.part
        if (not is_sound and packet.key) or is_news:
            yield from _tables(film, moved, packet.part if new_pids else 0, counters)
        pid = (SOUND if is_sound else PICTURES) + moved
        clock = None if is_sound else packet.clock + STARTS_AT - BUFFERED
        yield from _cut_up(pid, _pes(track, packet, is_sound, bounded=False), clock, packet.key, counters)


def _tables(film: Film, moved: int, version: int, counters: dict[int, Iterator[int]]) -> Iterator[bytes]:
    programs = _section(0x00, 1, 0, (1).to_bytes(2) + (0xE000 | PROGRAM).to_bytes(2))
    streams = b"".join(
        bytes([STREAM_TYPES[track.codec]]) + (0xE000 | (pid + moved)).to_bytes(2) + b"\xf0\x00"
        for track, pid in ((film.pictures, PICTURES), (film.sound, SOUND))
    )
    program = _section(0x02, 1, version, (0xE000 | (PICTURES + moved)).to_bytes(2) + b"\xf0\x00" + streams)
    for pid, section in ((0, programs), (PROGRAM, program)):
        number = next(counters.setdefault(pid, count())) & 0xF
        head = bytes([0x47, 0x40 | pid >> 8, pid & 0xFF, 0x10 | number, 0])
        yield (head + section).ljust(TS_PACKET, b"\xff")


def _section(table: int, of: int, version: int, body: bytes) -> bytes:
    head = bytes([table]) + (0xB000 | (len(body) + 9)).to_bytes(2) + of.to_bytes(2)
    section = head + bytes([0xC1 | version << 1, 0, 0]) + body
    return section + _crc(section).to_bytes(4)


def _crc(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte << 24
        for _ in range(8):
            crc = (crc << 1 ^ 0x04C11DB7 if crc & 0x80000000 else crc << 1) & 0xFFFFFFFF
    return crc


def _cut_up(pid: int, pes: bytes, clock: int | None, key: bool, counters: dict[int, Iterator[int]]) -> Iterator[bytes]:
    """The first packet says where a PES packet begins, and what the clock shows; the last is filled up."""
    adaptation = b"" if clock is None else bytes([0x50 if key else 0x10]) + _pcr(clock)
    begins = True
    while pes:
        number = next(counters.setdefault(pid, count())) & 0xF
        room = TS_PACKET - 4 - (1 + len(adaptation) if adaptation else 0)
        if len(pes) < room and not adaptation:
            adaptation, room = (b"\x00", TS_PACKET - 6) if room - len(pes) > 1 else (b"", room - 1)
            lone = not adaptation
        else:
            lone = False
        piece, pes = pes[:room], pes[room:]
        if adaptation or lone:
            stuffed = adaptation.ljust(TS_PACKET - 5 - len(piece), b"\xff")
            field = bytes([len(stuffed)]) + stuffed
        else:
            field = b""
        head = bytes([0x47, (0x40 if begins else 0) | pid >> 8, pid & 0xFF, (0x30 if field else 0x10) | number])
        yield head + field + piece
        begins, adaptation = False, b""


def _pcr(clock: int) -> bytes:
    return ((clock % CLOCK) << 15 | 0x7E00).to_bytes(6)


# ── program streams ─────────────────────────────────────────────────────────────────────────────────────────────────
MOST = 65_000
"""Bytes of a PES packet whose length must be told."""


def program_stream(film: Film) -> bytes:
    return b"".join(_packs(film)) + b"\x00\x00\x01\xb9"


def _packs(film: Film) -> Iterator[bytes]:
    for number, (track, packet) in enumerate(film.interleaved):
        yield _pack_header(packet.clock + STARTS_AT - BUFFERED)
        if number == 0:
            yield _system_header(film)
        assert len(packet.data) < MOST
        yield _pes(track, packet, track is film.sound, bounded=True)


def _pack_header(clock: int) -> bytes:
    base = clock % CLOCK
    bits = 0b01 << 46 | (base >> 30) << 43 | 1 << 42 | ((base >> 15) & 0x7FFF) << 27 | 1 << 26
    bits |= (base & 0x7FFF) << 11 | 1 << 10 | 1
    return b"\x00\x00\x01\xba" + bits.to_bytes(6) + (20_000 << 2 | 3).to_bytes(3) + b"\xf8"


def _system_header(film: Film) -> bytes:
    streams = b"\xe0\xe0\xe8" + bytes([_stream_id(film.sound, True), 0xC0, 0x20])
    body = b"\x80\x4e\x21\x04\x21\x7f" + streams
    return b"\x00\x00\x01\xbb" + len(body).to_bytes(2) + body
