"""Encryption of what a rendition's muxer wrote, right before it is written to disk: in the clear it reaches no store.

Two schemes. AES-128 of HLS (RFC 8216 §4.3.2.4) encrypts whole segment files. `cbcs` of common encryption (ISO/IEC 23001-7
§10.4) encrypts samples and leaves the boxes around them in the clear: of video one block of 16 bytes in ten, behind the
slice headers, which decoders read before they decrypt; of sound every whole block.
"""

import struct
from typing import Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7

from streamforge.codecs.nal_units import unit_ranges
from streamforge.contracts.keys import ContentKey
from streamforge.contracts.media.plan import Protection
from streamforge.media.bitstream.slice_headers import SliceHeaders
from streamforge.media.cmaf.boxes import (
    Sample,
    full_box,
    plain_box,
    samples,
    with_protected_entry,
    with_sample_maps,
)
from streamforge.packaging.encryption import initialization_vector
from streamforge.packaging.presentation import INIT_SEGMENT

BLOCK = 16
CRYPT, SKIP = 1, 9
"""Blocks that are encrypted, and that stay clear, in turns (ISO/IEC 23001-7 §10.4.2 for video)."""

W3C_COMMON = bytes.fromhex("1077efecc0b24d02ace33c1e52e2fb4b")
"""System id of the W3C's initialization data, that names key ids and nothing else."""

UINT16 = 0xFFFF


class SegmentEncryption(Protocol):
    """What a writer does to each thing it has made. `has_byte_ranges`: whether a piece of a file means anything."""

    has_byte_ranges: bool

    def init(self, init: bytes) -> bytes:
        """The init segment; called before any fragment."""
        ...

    def fragment(self, fragment: bytes) -> bytes:
        """One `moof` with its `mdat`."""
        ...

    def segment(self, name: str, segment: bytes) -> bytes:
        """A whole file of fragments."""
        ...


class NoEncryption:
    """Not protected: everything stays what it is."""

    has_byte_ranges = True

    def init(self, init: bytes) -> bytes:
        return init

    def fragment(self, fragment: bytes) -> bytes:
        return fragment

    def segment(self, name: str, segment: bytes) -> bytes:
        return segment


class Aes128Segments(NoEncryption):
    """AES-128: each segment file in one piece, padded to whole blocks. The init segment stays clear."""

    has_byte_ranges = False

    def __init__(self, key: ContentKey, track: str) -> None:
        self._key = key
        self._track = track

    def segment(self, name: str, segment: bytes) -> bytes:
        vector = initialization_vector(self._key.key_id, self._track, name)
        padder = PKCS7(8 * BLOCK).padder()
        encryptor = Cipher(AES(self._key.value), CBC(vector)).encryptor()
        return encryptor.update(padder.update(segment) + padder.finalize()) + encryptor.finalize()


class CbcsSamples(NoEncryption):
    """cbcs. All samples of a rendition share one initialization vector, as this scheme wants it."""

    def __init__(self, key: ContentKey, track: str) -> None:
        self._key = key
        self._vector = initialization_vector(key.key_id, track, INIT_SEGMENT)
        self._headers: SliceHeaders | None = None

    def init(self, init: bytes) -> bytes:
        self._headers = SliceHeaders.of(init)
        return with_protected_entry(init, self._sinf, self._pssh())

    def fragment(self, fragment: bytes) -> bytes:
        return self._sound(fragment) if self._headers is None else self._video(fragment, self._headers)

    def _sound(self, fragment: bytes) -> bytes:
        data = np.frombuffer(bytearray(fragment), np.uint8)
        for sample in samples(fragment):
            self._encrypt(data[sample.begin : sample.end], crypt=1, skip=0)
        return data.tobytes()

    def _video(self, fragment: bytes, headers: SliceHeaders) -> bytes:
        data = np.frombuffer(bytearray(fragment), np.uint8)
        maps = []
        for sample in samples(fragment):
            found = _subsamples(fragment, sample, headers)
            at = sample.begin
            for clear, protected in found:
                self._encrypt(data[at + clear : at + clear + protected], CRYPT, SKIP)
                at += clear + protected
            maps.append(found)
        return with_sample_maps(data.tobytes(), *_auxiliary_boxes(maps))

    def _encrypt(self, data: "np.ndarray[tuple[int], np.dtype[np.uint8]]", crypt: int, skip: int) -> None:
        """In place; a last block that is not whole stays clear. Each range begins with the initialization vector."""
        blocks = data[: len(data) // BLOCK * BLOCK].reshape(-1, BLOCK)
        chosen = np.arange(len(blocks)) % (crypt + skip) < crypt
        if chosen.any():
            encryptor: CipherContext = Cipher(AES(self._key.value), CBC(self._vector)).encryptor()
            encrypted = encryptor.update(blocks[chosen].tobytes()) + encryptor.finalize()
            blocks[chosen] = np.frombuffer(encrypted, np.uint8).reshape(-1, BLOCK)

    def _sinf(self, entry_format: bytes) -> bytes:
        """ISO/IEC 14496-12 §8.12.1, with the `tenc` of ISO/IEC 23001-7 §8.2: version 1 is for patterns."""
        is_video = self._headers is not None
        pattern = CRYPT << 4 | SKIP if is_video else 0
        defaults = struct.pack(">BBBB", 0, pattern, 1, 0) + bytes.fromhex(self._key.key_id)
        tenc = full_box(b"tenc", int(is_video), 0, defaults + bytes([len(self._vector)]) + self._vector)
        scheme = full_box(b"schm", 0, 0, b"cbcs" + struct.pack(">I", 0x10000))
        return plain_box(b"sinf", plain_box(b"frma", entry_format), scheme, plain_box(b"schi", tenc))

    def _pssh(self) -> bytes:
        """ISO/IEC 23001-7 §8.1."""
        key_ids = struct.pack(">I", 1) + bytes.fromhex(self._key.key_id)
        return full_box(b"pssh", 1, 0, W3C_COMMON + key_ids + struct.pack(">I", 0))


def encryption_for(protection: Protection | None, key: ContentKey | None, track: str) -> SegmentEncryption:
    if protection is None or key is None:
        return NoEncryption()
    return Aes128Segments(key, track) if protection.scheme == "aes-128" else CbcsSamples(key, track)


Subsamples = list[tuple[int, int]]
"""(bytes in the clear, bytes that are protected), one behind the other."""


def _subsamples(fragment: bytes, sample: Sample, headers: SliceHeaders) -> Subsamples:
    """Everything but what lies behind the header of each slice is clear; a slice too short for one block is, too."""
    found: Subsamples = []
    clear = 0
    for begin, end in unit_ranges(fragment, sample.begin, sample.end, headers.length_size):
        header = headers.length(fragment[begin:end])
        clear += headers.length_size
        if header is None or end - begin - header < BLOCK:
            clear += end - begin
            continue
        found += _fitting(clear + header, end - begin - header)
        clear = 0
    return [*found, *_fitting(clear, 0)] if clear else found


def _fitting(clear: int, protected: int) -> Subsamples:
    """A subsample has 16 bits for how much of it is clear."""
    whole, rest = divmod(clear, UINT16)
    return [(UINT16, 0)] * whole + [(rest, protected)]


def _auxiliary_boxes(maps: list[Subsamples]) -> tuple[bytes, bytes, bytes]:
    """`saiz`, `saio` and `senc` of a fragment: how large and where each sample's map is, and the maps. The offset in
    `saio` is filled in when it is known where `senc` comes to lie."""
    entries = [struct.pack(">H", len(found)) + b"".join(struct.pack(">HI", *pair) for pair in found) for found in maps]
    sizes = bytes(len(entry) for entry in entries)
    saiz = full_box(b"saiz", 0, 0, struct.pack(">BI", 0, len(entries)) + sizes)
    saio = full_box(b"saio", 0, 0, struct.pack(">II", 1, 0))
    senc = full_box(b"senc", 0, 2, struct.pack(">I", len(entries)) + b"".join(entries))
    return saiz, saio, senc
