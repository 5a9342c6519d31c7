"""Does a file end before its container does? Read off the lengths that the container's own parts state."""

from pathlib import Path

MAX_BOXES = 10_000
"""On the top level, of which a fragmented film has two for each fragment. What does not come to an end is not read on."""

LONGEST_HEAD = 16
FILE_TYPE = b"ftyp"
EBML = b"\x1aE\xdf\xa3"


def is_film(path: Path) -> bool:
    """Whether it begins as MP4, QuickTime, Matroska or WebM does."""
    head = _head(path)
    return head[4:8] == FILE_TYPE or head[:4] == EBML


def is_cut_off(path: Path) -> bool:
    """Whether one of these lacks an end that it states itself; False for all other files."""
    head = _head(path)
    return _is_cut_mp4(path) if head[4:8] == FILE_TYPE else head[:4] == EBML and is_cut_matroska(path)


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(LONGEST_HEAD)


def _is_cut_mp4(path: Path) -> bool:
    """Without an index (`moov`) the recording or the transfer was broken off; as well where a box does not end within the
    file (ISO/IEC 14496-12 §4.2)."""
    size, at, has_index = path.stat().st_size, 0, False
    with path.open("rb") as file:
        for _ in range(MAX_BOXES):
            if at >= size:
                break  # A length of 2**63 would be too much to seek.
            file.seek(at)
            head = file.read(LONGEST_HEAD)
            length = _box_length(head, size - at)
            if length is None:
                break
            has_index |= head[4:8] == b"moov"
            at += length
    return not has_index or at > size


def _box_length(head: bytes, left: int) -> int | None:
    """None behind the last box, and where there is no box but garbage."""
    if len(head) < 8:
        return None
    length = int.from_bytes(head[:4])
    if length == 1:
        length = int.from_bytes(head[8:16])
    return left if length == 0 else length if length >= 8 else None


def is_cut_matroska(path: Path) -> bool:
    """Whether the file ends before its Segment does (RFC 8794 §4.4, RFC 9559 §4.5)."""
    with path.open("rb") as file:
        head = file.read(4096)
    segment_at = _element_end(head, 0)
    size, width = _vint(head[segment_at + 4 :])
    unknown = size == (1 << 7 * width) - 1  # Written while it was recorded.
    return not unknown and _element_end(head, segment_at) > path.stat().st_size


def _element_end(data: bytes, at: int) -> int:
    """For an element with an ID of four bytes, as both on the top level have."""
    size, width = _vint(data[at + 4 :])
    return at + 4 + width + size


def _vint(data: bytes) -> tuple[int, int]:
    """EBML's variable-size integer, and how many bytes it takes."""
    width = 9 - data[0].bit_length() if data else 1
    return int.from_bytes(data[:width]) & ((1 << 7 * width) - 1), width
