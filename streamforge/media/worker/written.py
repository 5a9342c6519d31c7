"""What libraries in a media child, or what has taken it over, write to standard output and errors.

It reads hostile bytes, so what it writes is quoted in lines of the worker's own. On the worker's standard error, which is
collected as its log, a child could otherwise write lines that look like those of the audit log, or steer a terminal.
"""

import asyncio
import logging
import time

PIECE_BYTES = 4096
PIECES_A_MINUTE = 60
"""What is beyond is read and dropped: nobody is to wait for a full pipe, and no log to be filled."""

log = logging.getLogger(__name__)


async def quote(written: asyncio.StreamReader) -> None:
    """To its end."""
    minute, pieces = 0, 0
    while piece := await written.read(PIECE_BYTES):
        now = int(time.monotonic() // 60)
        minute, pieces = now, pieces + 1 if now == minute else 1
        if pieces <= PIECES_A_MINUTE:
            text = piece.decode(errors="replace").rstrip("\n")
            # One line, whatever is in it.
            log.warning("media child wrote: %s", text if text.isprintable() else ascii(text))
