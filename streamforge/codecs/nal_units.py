"""NAL units behind their lengths, as MP4 and its like hold H.264 and HEVC (ISO/IEC 14496-15 §4.3.3)."""

from collections.abc import Iterator


def unit_ranges(data: bytes | memoryview, begin: int, end: int, length_size: int) -> Iterator[tuple[int, int]]:
    """(begin, end) of each unit in a sample of `data` that lies between `begin` and `end`, without its length. In a damaged
    sample the last one may reach beyond `end`."""
    at = begin
    while at + length_size < end:
        start = at + length_size
        at = start + int.from_bytes(data[at:start])
        yield start, at


def first_bytes(packet: memoryview, length_size: int) -> Iterator[int]:
    """Of each unit in a packet: in it stands of which type the unit is."""
    return (packet[start] for start, _ in unit_ranges(packet, 0, len(packet), length_size))
