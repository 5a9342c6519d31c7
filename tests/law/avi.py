"""AVI: no time stamps at all. Its pictures are as many as chunks, and a chunk of no bytes is the picture before it."""

import struct
from collections.abc import Iterator

from film import TICKS, Film, Packet, Track
from marks import HEIGHT, WIDTH

FOURCC = {"h264": b"H264", "mpeg4": b"XVID", "mjpeg": b"MJPG", "mpeg2video": b"mpg2"}
WAVE = {"mp3": 0x55, "ac3": 0x2000, "pcm_s16le": 0x01, "mp2": 0x50}
SAMPLES = {"mp3": 1152, "ac3": 1536, "mp2": 1152}
INDEXED, INTERLEAVED = 0x10, 0x100
KEY = 0x10


def avi(film: Film) -> bytes:
    chunks = list(_chunks(film))
    header = _list(
        b"hdrl",
        _main_header(film) + _stream_headers(film),
    )
    movie = _list(b"movi", b"".join(_chunk(name, data) for name, data, _ in chunks))
    return _chunk(b"RIFF", b"AVI " + header + movie + _chunk(b"idx1", _index(chunks)))


def _chunks(film: Film) -> Iterator[tuple[bytes, bytes, bool]]:
    for track, packet in film.interleaved:
        if track is film.sound:
            yield b"01wb", packet.data, True
        else:
            is_null = packet.number in film.null_frames
            yield b"00dc", b"" if is_null else packet.data, packet.key and not is_null


def _index(chunks: list[tuple[bytes, bytes, bool]]) -> bytes:
    entries, at = [], 4
    for name, data, key in chunks:
        entries.append(name + struct.pack("<III", KEY if key else 0, at, len(data)))
        at += 8 + len(data) + len(data) % 2
    return b"".join(entries)


def _main_header(film: Film) -> bytes:
    track = film.pictures
    microseconds, flags = round(1_000_000 / track.rate), INDEXED | INTERLEAVED
    return _chunk(
        b"avih",
        struct.pack("<14I", microseconds, 0, 0, flags, len(track.packets), 0, 2, 0, WIDTH, HEIGHT, 0, 0, 0, 0),
    )


def _stream_headers(film: Film) -> bytes:
    """What begins later says by how much."""
    begins = min(film.pictures.packets[0].at, film.sound.packets[0].at)
    return _picture_header(film.pictures, begins) + _sound_header(film.sound, begins)


def _picture_header(track: Track, begins: int) -> bytes:
    name, count = FOURCC[track.codec], len(track.packets)
    starts = round((track.packets[0].at - begins) * track.rate / TICKS)
    about = _stream_header(b"vids", name, track.rate.denominator, track.rate.numerator, starts, count, 0)
    size = WIDTH * HEIGHT * 3
    return _list(
        b"strl", about + _chunk(b"strf", struct.pack("<IiiHH4sIiiII", 40, WIDTH, HEIGHT, 1, 24, name, size, 0, 0, 0, 0))
    )


def _sound_header(track: Track, begins: int) -> bytes:
    """`starts`: in units of its own, behind the pictures' beginning."""
    rate, samples = int(track.rate), SAMPLES.get(track.codec, 1)
    block = 2 if samples == 1 else samples
    bytes_a_second = (
        rate * 2 if samples == 1 else sum(len(p.data) for p in track.packets) * TICKS // _length(track.packets)
    )
    starts = round((track.packets[0].at - begins) * rate / samples / TICKS)
    count = sum(len(p.data) for p in track.packets) // 2 if samples == 1 else len(track.packets)
    about = _stream_header(b"auds", bytes(4), samples, rate, starts, count, 2 if samples == 1 else 0)
    form = struct.pack("<HHIIHHH", WAVE[track.codec], 1, rate, bytes_a_second, block, 16 if samples == 1 else 0, 0)
    if track.codec == "mp3":
        form = form[:-2] + struct.pack("<HHIHHH", 12, 1, 0, 1152, 1, 0)
    return _list(b"strl", about + _chunk(b"strf", form))


def _length(packets: tuple[Packet, ...]) -> int:
    return packets[-1].ends - packets[0].at


def _stream_header(kind: bytes, handler: bytes, scale: int, rate: int, starts: int, count: int, sample: int) -> bytes:
    rest = struct.pack(
        "<IHHIIIIIIIIHHHH", 0, 0, 0, 0, scale, rate, starts, count, 100_000, 0xFFFFFFFF, sample, 0, 0, WIDTH, HEIGHT
    )
    return _chunk(b"strh", kind + handler + rest)


def _list(name: bytes, body: bytes) -> bytes:
    return _chunk(b"LIST", name + body)


def _chunk(name: bytes, body: bytes) -> bytes:
    return name + struct.pack("<I", len(body)) + body + bytes(len(body) % 2)
