"""Small files that are meant to use up, or to read, what is not theirs. Each is made here, byte by byte."""

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

AV1_16K = Path(__file__).parent / "cases" / "av1-16k.mp4"
"""One grey picture of 16,384×8,704, 1.4 KB. To make it takes six seconds and 3 GB, so it is kept."""


# ── Matroska ────────────────────────────────────────────────────────────────────────────────────────────────────────
def element(identity: int, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return identity.to_bytes((identity.bit_length() + 7) // 8) + (1 << 56 | len(body)).to_bytes(8) + body


def number(identity: int, value: int) -> bytes:
    return element(identity, value.to_bytes(max(1, (value.bit_length() + 7) // 8)))


HEAD = element(0x1A45DFA3, element(0x4282, b"matroska"))
INFO = element(0x1549A966, number(0x2AD7B1, 1_000_000))


def track(identity: int, kind: int, codec: bytes, *more: bytes) -> bytes:
    return element(
        0xAE, number(0xD7, identity), number(0x73C5, identity), number(0x83, kind), element(0x86, codec), *more
    )


VIDEO_TRACK = track(1, 1, b"V_MJPEG", element(0xE0, number(0xB0, 64), number(0xBA, 64)))


def matroska(tracks: bytes, *more: bytes) -> bytes:
    return HEAD + element(0x18538067, INFO, element(0x1654AE6B, tracks), *more)


def cluster(*blocks: bytes) -> bytes:
    return element(0x1F43B675, number(0xE7, 0), *blocks)


def block(identity: int, milliseconds: int, data: bytes) -> bytes:
    return element(0xA3, bytes([0x80 | identity]), struct.pack(">hB", milliseconds, 0x80), data)


def many_streams() -> bytes:
    """10⁵ tracks of subtitles beside one of pictures, in 7 MB."""
    return matroska(VIDEO_TRACK + b"".join(track(2 + i, 0x11, b"S_TEXT/UTF8") for i in range(100_000)), cluster())


def many_events(picture: bytes) -> bytes:
    """10⁶ subtitles within five seconds."""
    subtitles = track(2, 0x11, b"S_TEXT/UTF8")
    pictures = [block(1, 1000 * second, picture) for second in range(5)]
    said = [
        element(0xA0, element(0xA1, b"\x82", struct.pack(">hB", i // 200, 0), b"x"), number(0x9B, 1))
        for i in range(1_000_000)
    ]
    return matroska(VIDEO_TRACK + subtitles, cluster(*pictures, *said))


def many_packets(picture: bytes) -> bytes:
    """10⁶ pictures of one byte within a second, behind one that is a picture."""
    garbage = [block(1, i // 1000, b"\0") for i in range(1_000_000)]
    return matroska(VIDEO_TRACK, cluster(block(1, 0, picture), *garbage))


def many_tags() -> bytes:
    """200,000 tags, each with a name of its own: FFmpeg looks for each among all."""
    tags = [element(0x67C8, element(0x45A3, b"T%d" % i), element(0x4487, b"x")) for i in range(200_000)]
    return matroska(VIDEO_TRACK, element(0x1254C367, element(0x7373, element(0x63C0), *tags)), cluster())


def large_tag() -> bytes:
    tag = element(0x67C8, element(0x45A3, b"COMMENT"), element(0x4487, b"x" * 60_000_000))
    return matroska(VIDEO_TRACK, element(0x1254C367, element(0x7373, element(0x63C0), tag)), cluster())


def attachment(path: Path, size: int) -> None:
    """A font of `size` bytes; all of them zeros that take no room on the disk."""
    told = element(0x466E, b"a.ttf") + element(0x4660, b"font/ttf") + number(0x46AE, 1)
    data = (0x465C).to_bytes(2) + (1 << 56 | size).to_bytes(8)
    attached = (0x61A7).to_bytes(2) + (1 << 56 | len(told) + len(data) + size).to_bytes(8)
    attachments = (0x1941A469).to_bytes(4) + (1 << 56 | len(attached) + len(told) + len(data) + size).to_bytes(8)
    inside = INFO + element(0x1654AE6B, VIDEO_TRACK)
    length = len(inside) + len(attachments) + len(attached) + len(told) + len(data) + size
    segment = (0x18538067).to_bytes(4) + (1 << 56 | length).to_bytes(8)
    with path.open("wb") as file:
        file.write(HEAD + segment + inside + attachments + attached + told + data)
        file.truncate(file.tell() + size)


def compressed_track() -> bytes:
    """Each packet of 10 KB is one of 10 MB, by Matroska's own compression."""
    encoding = element(
        0x6D80, element(0x6240, number(0x5031, 0), number(0x5033, 0), element(0x5034, number(0x4254, 0)))
    )
    pictures = track(1, 1, b"V_MJPEG", element(0xE0, number(0xB0, 64), number(0xBA, 64)), encoding)
    packed = zlib.compress(b"\xff\xd8" + b"\0" * 9_000_000, 9)
    return matroska(pictures, cluster(*(block(1, i, packed) for i in range(200))))


# ── PNG ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int, *more: bytes) -> bytes:
    """Black, and of one bit: 16k×16k in 32 KB."""
    rows = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    drawn = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    header = _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(more) + _chunk(b"IDAT", drawn) + _chunk(b"IEND", b"")


def large_side_data() -> bytes:
    """A colour profile of 1 GB in 1 MB."""
    packing = zlib.compressobj(9)
    packed = b"".join(packing.compress(b"\0" * 2**20) for _ in range(2**10)) + packing.flush()
    return films_of(png(64, 64, _chunk(b"iCCP", b"p\0\0" + packed)))


def films_of(picture: bytes, width: int = 64, height: int = 64) -> bytes:
    """Ten of these."""
    pictures = track(
        1,
        1,
        b"V_MS/VFW/FOURCC",
        element(0xE0, number(0xB0, width), number(0xBA, height)),
        _bitmap_header(width, height),
    )
    return matroska(pictures, cluster(*(block(1, 100 * i, picture) for i in range(10))))


def _bitmap_header(width: int, height: int) -> bytes:
    return element(0x63A2, struct.pack("<IiiHH4sIiiII", 40, width, height, 1, 24, b"MPNG", 0, 0, 0, 0, 0))


# ── MP4 ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def box(kind: bytes, *bodies: bytes) -> bytes:
    body = b"".join(bodies)
    return struct.pack(">I", 8 + len(body)) + kind + body


def _versioned(kind: bytes, data: bytes, *bodies: bytes) -> bytes:
    """Of version 0, without flags."""
    return box(kind, bytes(4), data, *bodies)


MOVIE_HEADER = _versioned(b"mvhd", struct.pack(">IIII", 0, 0, 25, 100), bytes(80))


def _movie_track(identity: int, handler: bytes, header: bytes, entry: bytes, count: int, size: int, at: int) -> bytes:
    """Of `count` samples, all of one size, one behind the other."""
    table = box(
        b"stbl",
        _versioned(b"stsd", struct.pack(">I", 1), entry),
        _versioned(b"stts", struct.pack(">III", 1, count, 1)),
        _versioned(b"stsc", struct.pack(">IIII", 1, 1, count, 1)),
        _versioned(b"stsz", struct.pack(">II", size, count)),
        _versioned(b"stco", struct.pack(">II", 1, at)),
    )
    media = box(
        b"mdia",
        _versioned(b"mdhd", struct.pack(">IIIIHH", 0, 0, 25, 100, 0, 0)),
        _versioned(b"hdlr", struct.pack(">I4s", 0, handler), bytes(13)),
        box(b"minf", header, table),
    )
    return box(b"trak", box(b"tkhd", struct.pack(">IIIII", 3, 0, 0, identity, 0), bytes(64)), media)


def _pictures(count: int, size: int, at: int) -> bytes:
    shape = struct.pack(">HHIIIH", 64, 64, 0x480000, 0x480000, 0, 1)
    entry = box(b"jpeg", bytes(6), struct.pack(">H", 1), bytes(16), shape, bytes(32), struct.pack(">Hh", 24, -1))
    return _movie_track(1, b"vide", box(b"vmhd", bytes(12)), entry, count, size, at)


def many_samples(count: int = 2**31 - 1) -> bytes:
    """A table of two thousand million samples, all of one size and length, in half a kilobyte."""
    head = box(b"ftyp", b"isom", bytes(4))
    return head + box(b"mdat", bytes(64)) + box(b"moov", MOVIE_HEADER, _pictures(count, 1, len(head) + 8))


def with_ttml(document: bytes, picture: bytes) -> bytes:
    """A film of five pictures with this for its subtitles."""
    head = box(b"ftyp", b"isom", bytes(4))
    entry = box(b"stpp", bytes(6), struct.pack(">H", 1), b"http://www.w3.org/ns/ttml\0\0\0")
    at = len(head) + 8
    text = _movie_track(2, b"subt", box(b"sthd", bytes(4)), entry, 1, len(document), at + 5 * len(picture))
    media = box(b"mdat", picture * 5, document)
    return head + media + box(b"moov", MOVIE_HEADER, _pictures(5, len(picture), at), text)


TTML = 'xmlns="http://www.w3.org/ns/ttml"'
LAUGHS = "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
ATTRIBUTES = " ".join(f'a{i}=""' for i in range(100_000))
XML_BOMBS = {
    "a thousand million laughs": f'<!DOCTYPE tt [<!ENTITY a "ha">{LAUGHS}]><tt {TTML}><body><div><p>&j;</p></div></body></tt>',
    "a long entity, often": (
        f'<!DOCTYPE tt [<!ENTITY a "{"a" * 100_000}">]><tt {TTML}><body><div><p>{"&a;" * 100_000}</p></div></body></tt>'
    ),
    "a file of the server": (
        f'<!DOCTYPE tt [<!ENTITY a SYSTEM "file:///etc/passwd">]><tt {TTML}><body><div><p>&a;</p></div></body></tt>'
    ),
    "a hundred thousand storeys": f"<tt {TTML}><body>{'<div>' * 100_000}<p>x</p>{'</div>' * 100_000}</body></tt>",
    "a hundred thousand attributes": (f"<tt {TTML}><body><div {ATTRIBUTES}><p></p></div></body></tt>"),
}


def many_movie_tracks() -> bytes:
    """10⁵ tracks of MP4, each in two boxes."""
    heading = box(b"tkhd", struct.pack(">IIIII", 3, 0, 0, 1, 0), bytes(64))
    return box(b"ftyp", b"isom", bytes(4)) + box(b"moov", MOVIE_HEADER, box(b"trak", heading) * 100_000)


def nested_boxes() -> bytes:
    """50,000 boxes, each in the one before."""
    depth = 50_000
    sizes = range(8 * depth, 0, -8)
    return box(b"ftyp", b"isom", bytes(4)) + b"".join(struct.pack(">I", size) + b"moov" for size in sizes)


# ── files that name others ──────────────────────────────────────────────────────────────────────────────────────────
PLAYLISTS: dict[str, Callable[[str], str]] = {
    "ffconcat": lambda url: f"ffconcat version 1.0\nfile '{url}'\n",
    "ffconcat of itself": lambda _: "ffconcat version 1.0\n" + "file 'film.mp4'\n" * 1000,
    "hls": lambda url: f"#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{url}\n#EXT-X-ENDLIST\n",
    "hls with a key": lambda url: (
        f'#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXT-X-KEY:METHOD=AES-128,URI="{url}"\n#EXTINF:5,\ndata:video/mp4,x\n'
    ),
    "dash": lambda url: (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT5S">'
        f'<Period><AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1"><BaseURL>{url}</BaseURL>'
        "</Representation></AdaptationSet></Period></MPD>"
    ),
    "smooth streaming": lambda url: f'<SmoothStreamingMedia><StreamIndex Url="{url}"/></SmoothStreamingMedia>',
    "sdp": lambda _: (
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
    ),
    "svg": lambda url: (
        f'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="640" height="480"><image xlink:href="{url}" width="640" height="480"/></svg>'
    ),
    "xml bomb": lambda url: (
        '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9))
        + f'<!ENTITY x SYSTEM "{url}">]><tt xmlns="http://www.w3.org/ns/ttml">&j;&x;</tt>'
    ),
    "vobsub": lambda url: (
        f"# VobSub index file, v7\nid: en, index: 0\n# {url}\ntimestamp: 00:00:01:000, filepos: 000000000\n"
    ),
    "avisynth": lambda url: f'FFmpegSource2("{url}")\n',
    "cue": lambda url: f'FILE "{url}" WAVE\n  TRACK 01 AUDIO\n    INDEX 01 00:00:00\n',
    "realtext": lambda url: f"rtsp://{url}\n",
    "ffmetadata": lambda url: f";FFMETADATA1\ntitle={url}\n",
    "ivr playlist": lambda url: f".R1M\x00{url}",
}
