"""Secrets that an installation makes for itself: random bytes in a file of the data folder, for its owner only."""

import os
import secrets
from contextlib import suppress
from pathlib import Path

SECRET_BYTES = 32


def read(file: Path) -> bytes | None:
    """None where there is none yet."""
    with suppress(FileNotFoundError):
        return file.read_bytes()
    return None


def read_or_make(file: Path) -> bytes:
    """Several processes may come here at once: the first one's file stays, and is never seen half-written."""
    return read(file) or _made(file)


def _made(file: Path) -> bytes:
    aside = file.with_name(f"{file.name}.{secrets.token_hex(8)}")
    file.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(secrets.token_bytes(SECRET_BYTES))
            stream.flush()
            os.fsync(stream.fileno())
        with suppress(FileExistsError):
            os.link(aside, file)
    finally:
        aside.unlink()
    return file.read_bytes()
