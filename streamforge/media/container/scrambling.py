"""Which streams of an MPEG transport stream are scrambled. FFmpeg drops their packets without a word, and they look empty."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

SAMPLE_BYTES = 4 * 2**20
"""At the beginning, which is a second or more of any broadcast."""

SYNC = 0x47
PACKET_BYTES = (188, 192, 204)
"""As broadcast; with a time stamp before each, as on Blu-ray discs; with Reed-Solomon codes behind each."""

IN_A_ROW = 5

MOST_GARBAGE = 64 * 2**10
"""Bytes between two packets."""


def scrambled(path: Path) -> frozenset[int]:
    """PIDs of which most packets are (transport_scrambling_control, ISO/IEC 13818-1 §2.4.3.2)."""
    with path.open("rb") as file:
        data = file.read(SAMPLE_BYTES)
    seen: Counter[int] = Counter()
    locked: Counter[int] = Counter()
    for at in _packets(data):
        pid = int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF
        seen[pid] += 1
        locked[pid] += data[at + 3] >> 7
    return frozenset(pid for pid, count in locked.items() if 2 * count > seen[pid])


def _packets(data: bytes) -> Iterator[int]:
    """Where they begin; nothing where no size fits. A file may begin within a packet, and bytes may be missing on the way:
    what is read behind those without looking for the next packet is anything."""
    for size in PACKET_BYTES:
        at = _next_packet(data, 0, size, 2 * size)
        if at is None:
            continue
        while at is not None and at + size < len(data):
            yield at
            at += size
            if at < len(data) and data[at] != SYNC:
                at = _next_packet(data, at, size, MOST_GARBAGE)
        return


def _next_packet(data: bytes, begin: int, size: int, most: int) -> int | None:
    """The first place from `begin` on, within so many bytes, from which packets of that size follow each other."""
    last = len(data) - IN_A_ROW * size
    at = data.find(SYNC, begin, begin + most)
    while 0 <= at < last:
        if all(data[at + number * size] == SYNC for number in range(IN_A_ROW)):
            return at
        at = data.find(SYNC, at + 1, begin + most)
    return None
