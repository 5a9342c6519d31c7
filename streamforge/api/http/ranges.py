"""The Range header (RFC 9110 §14), as far as players use it: one range of bytes."""

import re
from dataclasses import dataclass

from streamforge.errors import RangeNotSatisfiable

_ONE_RANGE = re.compile(r"bytes=\s*(\d{0,18})-(\d{0,18})\s*")


@dataclass(frozen=True)
class ByteRange:
    """Bytes [start, start + length) of `size`."""

    start: int
    length: int
    size: int

    @property
    def content_range(self) -> str:
        return f"bytes {self.start}-{self.start + self.length - 1}/{self.size}"


class UnsatisfiableRange(RangeNotSatisfiable):
    def __init__(self, size: int) -> None:
        super().__init__(f"The file has {size} bytes; the range lies outside of it.")
        self.size = size


def parse_range(header: str | None, size: int) -> ByteRange | None:
    """The range that `header` asks for; None means the whole: no header, or one that may be ignored (several ranges,
    other units, nonsense). Raises UnsatisfiableRange."""
    match = _ONE_RANGE.fullmatch(header or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if first == "":
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1 if last else size)
        if last and int(last) < int(first):
            return None
    if start >= end:
        raise UnsatisfiableRange(size)
    return ByteRange(start, end - start, size)
