"""Where the header of a slice ends: everything that decoders must read before they can decrypt stays clear."""

import struct
from typing import Protocol

from streamforge.media.bitstream import avc, hevc

LONGEST_HEADER = 1024
"""Bytes of a unit that are looked at; headers have some ten, and some hundred with every weight there can be."""


class Headers(Protocol):
    def header_bytes(self, unit: bytes) -> int | None:
        """None for a unit that is no slice."""
        ...


class SliceHeaders:
    """Of one rendition, by the parameter sets in its init segment."""

    def __init__(self, headers: Headers, length_size: int) -> None:
        self._headers = headers
        self.length_size = length_size

    @classmethod
    def of(cls, init: bytes) -> "SliceHeaders | None":
        """None for sound."""
        if (at := init.find(b"avcC")) >= 0:
            config = init[at + 4 :]
            return cls(avc.Headers(*_avc_parameter_sets(config)), (config[4] & 3) + 1)
        if (at := init.find(b"hvcC")) >= 0:
            config = init[at + 4 :]
            return cls(hevc.Headers(*_hevc_parameter_sets(config)), (config[21] & 3) + 1)
        return None

    def length(self, unit: bytes) -> int | None:
        """Bytes of a NAL unit up to the first one that belongs to a slice's data alone; None when it is no slice."""
        return self._headers.header_bytes(unit[:LONGEST_HEADER])


def _avc_parameter_sets(config: bytes) -> tuple[bytes, bytes]:
    """The sequence and the picture parameter set (ISO/IEC 14496-15 §5.3.3.1); encoders here write one of each."""
    sps, at = _unit(config, 6)
    pps, _ = _unit(config, at + 1)
    return sps, pps


def _hevc_parameter_sets(config: bytes) -> tuple[bytes, bytes]:
    """The same from arrays by type (ISO/IEC 14496-15 §8.3.3.1)."""
    found: dict[int, bytes] = {}
    at = 23
    for _ in range(config[22]):
        kind, count = config[at] & 0x3F, int(struct.unpack_from(">H", config, at + 1)[0])
        at += 3
        for _ in range(count):
            unit, at = _unit(config, at)
            found.setdefault(kind, unit)
    return found[hevc.SPS], found[hevc.PPS]


def _unit(config: bytes, at: int) -> tuple[bytes, int]:
    (size,) = struct.unpack_from(">H", config, at)
    return config[at + 2 : at + 2 + size], at + 2 + size
