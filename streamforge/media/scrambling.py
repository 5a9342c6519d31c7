"""Which streams of an MPEG transport stream are scrambled. FFmpeg drops their packets without a word, and they look empty."""

from collections import Counter
from pathlib import Path

SAMPLE_BYTES = 4 * 2**20
"""At the beginning, which is a second or more of any broadcast."""

SYNC = 0x47
PACKET_BYTES = (188, 192, 204)
"""As broadcast; with a time stamp before each, as on Blu-ray discs; with Reed-Solomon codes behind each."""

IN_A_ROW = 5


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


def _packets(data: bytes) -> range:
    """Where they begin; nothing where no size fits. A file may begin within a packet."""
    for size in PACKET_BYTES:
        for first in range(min(size, max(0, len(data) - IN_A_ROW * size))):
            if all(data[first + number * size] == SYNC for number in range(IN_A_ROW)):
                return range(first, len(data) - size, size)
    return range(0)
