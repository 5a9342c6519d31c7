"""The index of an AVI file: how many of a stream's pictures are meant to be the one before them again.

Its entry says that such a picture has no bytes. FFmpeg passes over these, and so does not tell a pause from a file that is
cut off. (RIFF: chunks of a name, a size of 32 bits, and that many bytes, filled up to an even number.)
"""

from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np

ENTRY_BYTES = 16
MOST_CHUNKS = 10_000
MOST_INDEX_BYTES = 64 * 2**20
"""Of a film of twelve hours the index has half of that; a forged one may claim 4 GiB."""


def null_frames(path: Path, stream: int) -> int:
    """How many entries of stream `stream` are empty; 0 where there is no index (`idx1`)."""
    with path.open("rb") as file:
        entries = next((_read(file, size) for name, size in _chunks(file) if name == b"idx1"), b"")
    table = np.frombuffer(entries[: len(entries) // ENTRY_BYTES * ENTRY_BYTES], np.uint8).reshape(-1, ENTRY_BYTES)
    mine = (table[:, :2] == np.frombuffer(b"%02d" % stream, np.uint8)).all(axis=1) & (table[:, 2] == ord("d"))
    return int(np.count_nonzero(mine & (table[:, 12:16] == 0).all(axis=1)))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Name and size of those on the top level, in the order of the file, which stands at their content."""
    at = 12  # Behind `RIFF`, its size, and `AVI `.
    for _ in range(MOST_CHUNKS):
        file.seek(at)
        head = file.read(8)
        if len(head) < 8:
            return
        size = int.from_bytes(head[4:], "little")
        yield head[:4], size
        at += 8 + size + size % 2


def _read(file: BinaryIO, size: int) -> bytes:
    return file.read(min(size, MOST_INDEX_BYTES))
