"""What the parts of `up` print, in files that do not grow without end. A part holds its file open, so one that is full is
copied aside and emptied; parts append, and go on at its beginning. A line that is printed between the two is lost."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

import structlog

from streamforge.settings import LogSettings

LOOK_EVERY_SECONDS = 5.0

log = structlog.get_logger(__name__)


async def keep_small(files: Sequence[Path], settings: LogSettings) -> None:
    """Until it is cancelled. A full disk is no reason to stop looking."""
    while True:
        for file in files:
            try:
                await asyncio.to_thread(set_aside_when_full, file, settings.file_bytes, settings.file_count)
            except OSError as error:
                log.warning("a log could not be set aside", file=file.name, reason=str(error))
        await asyncio.sleep(LOOK_EVERY_SECONDS)


def set_aside_when_full(file: Path, most_bytes: int, count: int) -> None:
    """As `file.1`, what was that as `file.2` and so on: `count` files in all, the oldest goes."""
    if not file.exists() or file.stat().st_size < most_bytes:
        return
    for number in range(count - 1, 1, -1):
        if (older := _numbered(file, number - 1)).exists():
            older.replace(_numbered(file, number))
    if count > 1:
        aside = _numbered(file, 1)
        aside.unlink(missing_ok=True)
        aside.touch(mode=0o600)
        shutil.copyfile(file, aside)
    os.truncate(file, 0)


def _numbered(file: Path, number: int) -> Path:
    return file.with_name(f"{file.name}.{number}")
