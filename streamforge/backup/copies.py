"""A file that is copied, hashed on the way."""

import hashlib
import os
from pathlib import Path

PIECE_BYTES = 1 << 20


def copy_hashed(source: Path, target: Path) -> tuple[int, str]:
    """The bytes that were copied, and their sha256, as they were read. The copy is for its owner alone; it gets the time of
    the original, by which the next backup knows it again."""
    digest, size = hashlib.sha256(), 0
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with source.open("rb") as reading, open(descriptor, "wb") as writing:
        while piece := reading.read(PIECE_BYTES):
            digest.update(piece)
            size += writing.write(piece)
        times = os.fstat(reading.fileno())
    os.utime(target, ns=(times.st_atime_ns, times.st_mtime_ns))
    return size, digest.hexdigest()


def digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
