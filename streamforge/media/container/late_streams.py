"""Streams that turn up late. FLV and MPEG program streams have no list of what is in them: a stream is there when its
first packet comes, and FFmpeg stops looking after 5 MB or some seconds. Packets of a stream that was not found are lost."""

from pathlib import Path

from streamforge.media.container.opening import open_source

FLV = b"FLV"
PROGRAM_STREAM = b"\0\0\1\xba"
"""A pack header, with which ISO/IEC 13818-1 §2.5.3.3 begins."""

HAS_AUDIO, HAS_VIDEO = 4, 1
"""Flags in the fifth byte of FLV (Adobe's specification of 2010, E.2)."""

ANALYSED_BYTES = (64 * 2**20, 256 * 2**20)
"""How far is looked, one after the other: FFmpeg keeps in memory what it looks at, and does so with every opening."""


def analysis_needed(path: Path) -> int:
    """Bytes at the beginning of a file that must be read so that its pictures and its sound are found; 0 where FFmpeg
    does so by itself, and where what is missing is not found in any number of bytes that may be read for it."""
    with path.open("rb") as file:
        head = file.read(5)
    if not head.startswith((FLV, PROGRAM_STREAM)):
        return 0
    for analysed_bytes in (0, *ANALYSED_BYTES):
        if _has_all(path, analysed_bytes, head):
            return analysed_bytes
        if analysed_bytes >= path.stat().st_size:
            break
    return 0


def _has_all(path: Path, analysed_bytes: int, head: bytes) -> bool:
    """What FLV's header claims; a program stream's claims nothing, so it is asked for both."""
    claims = head[4] if head.startswith(FLV) else HAS_AUDIO | HAS_VIDEO
    with open_source(path, analysed_bytes) as container:
        found = (HAS_AUDIO if container.streams.audio else 0) | (HAS_VIDEO if container.streams.video else 0)
    return claims & ~found == 0
