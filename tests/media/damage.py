"""What happens to files on their way: cut off, flipped bits, overwritten, doubled and lost pieces."""

import random
from dataclasses import dataclass
from functools import reduce

from hypothesis import strategies as st

SCALE = 10_000
"""Places are given in ten-thousandths of the file, so that the same damage fits every file."""


@dataclass(frozen=True)
class CutOff:
    at: int

    def applied(self, data: bytes) -> bytes:
        return data[: _offset(data, self.at)]


@dataclass(frozen=True)
class FlippedBits:
    """In the header, where every bit means something, or anywhere."""

    places: tuple[tuple[int, int], ...]
    within: int | None

    def applied(self, data: bytes) -> bytes:
        damaged = bytearray(data)
        span = damaged[: self.within]
        for at, bit in self.places:
            if span:
                damaged[_offset(span, at)] ^= 1 << bit
        return bytes(damaged)


@dataclass(frozen=True)
class Overwritten:
    """`noise` seeds what stands there now; None means zeros, as from a disk block that was never written."""

    at: int
    length: int
    noise: int | None

    def applied(self, data: bytes) -> bytes:
        at = _offset(data, self.at)
        length = min(self.length, len(data) - at)
        fresh = bytes(length) if self.noise is None else random.Random(self.noise).randbytes(length)
        return data[:at] + fresh + data[at + length :]


@dataclass(frozen=True)
class Doubled:
    at: int
    length: int

    def applied(self, data: bytes) -> bytes:
        at = _offset(data, self.at)
        return data[: at + self.length] + data[at:]


@dataclass(frozen=True)
class Lost:
    at: int
    length: int

    def applied(self, data: bytes) -> bytes:
        at = _offset(data, self.at)
        return data[:at] + data[at + self.length :]


Mishap = CutOff | FlippedBits | Overwritten | Doubled | Lost


def after(data: bytes, mishaps: list[Mishap]) -> bytes:
    return reduce(lambda damaged, mishap: mishap.applied(damaged), mishaps, data)


def _offset(data: bytes | bytearray, at: int) -> int:
    return min(len(data) * at // SCALE, max(0, len(data) - 1))


_places = st.integers(0, SCALE)
_lengths = st.sampled_from([1, 2, 4, 16, 188, 500, 2048, 10_000])

_mishaps: st.SearchStrategy[Mishap] = st.one_of(
    st.builds(
        FlippedBits,
        st.lists(st.tuples(_places, st.integers(0, 7)), min_size=1, max_size=8).map(tuple),
        st.sampled_from([None, 200, 2000]),
    ),
    st.builds(Overwritten, _places, _lengths, st.none() | st.integers(0, 99)),
    st.builds(Doubled, _places, _lengths),
    st.builds(Lost, _places, _lengths),
    st.builds(CutOff, _places),
)

damage = st.lists(_mishaps, min_size=1, max_size=4)
