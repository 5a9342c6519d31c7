"""CMAF at the level of boxes: take FFmpeg's fragmented MP4 apart into one init segment and its fragments.

Boxes are `size:u32 type:4 …` (ISO/IEC 14496-12 §4.2). Only files that StreamForge's own muxer wrote are read here.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate, pairwise

from streamforge.codecs.registry import by_configuration_box
from streamforge.errors import OutputInvalid

MUXER_OPTIONS = {
    # A fragment begins at every key frame; times stay what they are, so fragments of chunks encoded apart line up.
    "movflags": "frag_keyframe+empty_moov+default_base_moof+frag_discont",
    "use_editlist": "0",
    "avoid_negative_ts": "disabled",
}

FTYP = struct.pack(">I4s4sI4s4s4s", 28, b"ftyp", b"cmfc", 0, b"cmfc", b"iso6", b"dash")


def boxes(data: bytes | bytearray) -> Iterator[tuple[str, int, int]]:
    """(type, begin, end) of the boxes that lie side by side in `data`. A last one that is not whole is left out."""
    at = 0
    while at + 16 <= len(data) or (at + 8 <= len(data) and data[at : at + 4] != b"\0\0\0\1"):
        size, kind = struct.unpack_from(">I4s", data, at)
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, at + 8)
        if size < 8:
            raise OutputInvalid("An encoded file is damaged.", debug=f"box {kind!r} of size {size} at {at}")
        if at + size > len(data):
            return
        yield kind.decode("latin-1"), at, at + size
        at += size


class FragmentSplitter:
    """A file for FFmpeg's muxer to write into: takes the stream apart while it is written.

    `on_moov` is called once, before the first `on_fragment`; a fragment is one `moof` with its `mdat`.
    """

    def __init__(self, on_moov: Callable[[bytes], None], on_fragment: Callable[[bytes], None]) -> None:
        self._on_moov = on_moov
        self._on_fragment = on_fragment
        self._pending = bytearray()
        self._moof = b""

    def write(self, data: bytes) -> int:
        self._pending += data
        end = 0
        for kind, begin, end in boxes(self._pending):
            self._take(kind, bytes(self._pending[begin:end]))
        del self._pending[:end]
        return len(data)

    def _take(self, kind: str, box: bytes) -> None:
        if kind == "moov":
            self._on_moov(box)
        elif kind == "moof":
            self._moof = box
        elif kind == "mdat":
            self._on_fragment(self._moof + box)


def init_segment(moov: bytes, edit_offset_ticks: int) -> bytes:
    """`ftyp` + `moov`; if `edit_offset_ticks` are not 0, with an edit list that takes them away from every presentation
    time.

    FFmpeg writes the box only when it sees the first sample before the header, and then differently for each chunk; all
    init segments of a rendition must be the same bytes.
    """
    return FTYP + (_with_edit_list(moov, edit_offset_ticks) if edit_offset_ticks else moov)


def _with_edit_list(moov: bytes, edit_offset_ticks: int) -> bytes:
    elst = struct.pack(">I4sIIIiI", 28, b"elst", 0, 1, 0, edit_offset_ticks, 0x10000)
    edts = struct.pack(">I4s", 8 + len(elst), b"edts") + elst
    patched = bytearray(moov)
    trak = _child(patched, 0, "trak")
    tkhd = _child(patched, trak, "tkhd")
    (tkhd_size,) = struct.unpack_from(">I", patched, tkhd)
    for container in (0, trak):
        (size,) = struct.unpack_from(">I", patched, container)
        struct.pack_into(">I", patched, container, size + len(edts))
    patched[tkhd + tkhd_size : tkhd + tkhd_size] = edts
    return bytes(patched)


def _child(data: bytes | bytearray, container: int, kind: str) -> int:
    """Offset of the first `kind` box inside the container box at `container`."""
    (size,) = struct.unpack_from(">I", data, container)
    for found, begin, _ in boxes(bytes(data[container + 8 : container + size])):
        if found == kind:
            return container + 8 + begin
    raise OutputInvalid("The encoder wrote a header without the expected boxes.", debug=f"no {kind}")


# ── fragments ───────────────────────────────────────────────────────────────────────────────────────────────────────
DATA_OFFSET, FIRST_SAMPLE_FLAGS, SAMPLE_DURATION, SAMPLE_SIZE = 0x1, 0x4, 0x100, 0x200
BASE_DATA_OFFSET, SAMPLE_DESCRIPTION, DEFAULT_DURATION, DEFAULT_SIZE = 0x1, 0x2, 0x8, 0x10
"""Flags of `trun` (ISO/IEC 14496-12 §8.8.8) and of `tfhd` (§8.8.7), which say what fields there are."""


@dataclass(frozen=True)
class Sample:
    """Where in its fragment a sample lies."""

    begin: int
    end: int


def samples(fragment: bytes) -> list[Sample]:
    """Of a fragment of one track whose samples lie one behind the other, as FFmpeg's muxer writes them."""
    traf = _child(fragment, 0, "traf")
    trun = _child(fragment, traf, "trun")
    flags, count, data_offset = struct.unpack_from(">III", fragment, trun + 8)
    if not flags & DATA_OFFSET:
        raise OutputInvalid("A fragment does not say where its samples are.")
    ends = accumulate(_sample_sizes(fragment, traf, trun, flags & 0xFFFFFF, count), initial=int(data_offset))
    return [Sample(begin, end) for begin, end in pairwise(ends)]


def _sample_sizes(fragment: bytes, traf: int, trun: int, flags: int, count: int) -> list[int]:
    if not flags & SAMPLE_SIZE:
        return [_default_sample_size(fragment, _child(fragment, traf, "tfhd"))] * count
    stride = 4 * (flags >> 8 & 0xF).bit_count()
    first = trun + 20 + 4 * bool(flags & FIRST_SAMPLE_FLAGS) + 4 * bool(flags & SAMPLE_DURATION)
    return [int(struct.unpack_from(">I", fragment, first + number * stride)[0]) for number in range(count)]


def first_sample_end(fragment: bytes) -> int:
    """How many bytes of a fragment hold its `moof` and its first sample: enough to decode one key frame."""
    return samples(fragment)[0].end


def _default_sample_size(fragment: bytes, tfhd: int) -> int:
    (flags,) = struct.unpack_from(">I", fragment, tfhd + 8)
    if not flags & DEFAULT_SIZE:
        raise OutputInvalid("A fragment does not say how large its samples are.")
    at = tfhd + 16 + 8 * bool(flags & BASE_DATA_OFFSET)
    at += 4 * bool(flags & SAMPLE_DESCRIPTION) + 4 * bool(flags & DEFAULT_DURATION)
    return int(struct.unpack_from(">I", fragment, at)[0])


# ── common encryption ───────────────────────────────────────────────────────────────────────────────────────────────
def plain_box(kind: bytes, *content: bytes) -> bytes:
    payload = b"".join(content)
    return struct.pack(">I4s", 8 + len(payload), kind) + payload


def full_box(kind: bytes, version: int, flags: int, content: bytes) -> bytes:
    return plain_box(kind, struct.pack(">I", version << 24 | flags), content)


def with_protected_entry(init: bytes, sinf: Callable[[bytes], bytes], pssh: bytes) -> bytes:
    """The init segment with its sample entry renamed to `encv` or `enca` (ISO/IEC 14496-12 §8.12). `sinf` makes the box
    that says what it was, from its format; `pssh` becomes the last box of `moov`."""
    data = bytearray(init)
    containers = [next(begin for kind, begin, _ in boxes(init) if kind == "moov")]
    for kind in ("trak", "mdia", "minf", "stbl", "stsd"):
        containers.append(_child(init, containers[-1], kind))
    entry = containers[-1] + 16
    size, entry_format = struct.unpack_from(">I4s", init, entry)
    protection = sinf(entry_format)
    struct.pack_into(">I4s", data, entry, size + len(protection), b"enca" if entry_format == b"mp4a" else b"encv")
    for container in containers:
        _grow(data, container, len(protection))
    data[entry + size : entry + size] = protection
    (moov_size,) = struct.unpack_from(">I", data, containers[0])
    _grow(data, containers[0], len(pssh))
    data[containers[0] + moov_size : containers[0] + moov_size] = pssh
    return bytes(data)


def with_sample_maps(fragment: bytes, saiz: bytes, saio: bytes, senc: bytes) -> bytes:
    """The fragment with these boxes at the end of its `traf`. The last field of `saio` is filled in: where in `moof` the
    first entry of `senc` lies."""
    data = bytearray(fragment)
    traf = _child(fragment, 0, "traf")
    trun = _child(fragment, traf, "trun")
    (traf_size,) = struct.unpack_from(">I", fragment, traf)
    end = traf + traf_size
    first_entry = end + len(saiz) + len(saio) + 16
    added = saiz + saio[:-4] + struct.pack(">I", first_entry) + senc
    for container in (0, traf):
        _grow(data, container, len(added))
    _grow(data, trun + 16, len(added))  # The samples move back, and with them the offset to the first one.
    data[end:end] = added
    return bytes(data)


def _grow(data: bytearray, at: int, by: int) -> None:
    (before,) = struct.unpack_from(">I", data, at)
    struct.pack_into(">I", data, at, before + by)


# ── RFC 6381 codec strings, from the decoder configuration in the init segment ──────────────────────────────────────
def codec_string(init: bytes) -> str:
    """What a player asks its decoder before it downloads media. avc3: parameter sets may be in the samples."""
    if (found := by_configuration_box(init)) is not None:
        codec, configuration = found
        string = codec.codec_string(configuration)
        return string.replace("avc1", "avc3") if b"avc3" in init else string
    if b"mp4a" in init:
        return "mp4a.40.2"
    raise OutputInvalid("The encoder wrote no decoder configuration.")


def configuration_of(header: bytes) -> bytes:
    """What is in the configuration box of a header of video."""
    if (found := by_configuration_box(header)) is None:
        raise OutputInvalid("The encoder wrote no decoder configuration.")
    return found[1]
