"""Is a file cut off, where its container has no list of its frames that would say so?

Two signs: the header claims to last longer than what is there, or a good part of the file lies behind the last thing
that can be read in it.
"""

from dataclasses import dataclass
from pathlib import Path

from av.container import InputContainer

from streamforge.errors import TruncatedSource
from streamforge.media.container.cut_off import is_cut_matroska
from streamforge.media.container.opening import open_source, packets
from streamforge.media.container.packet_clock import AnyPacket
from streamforge.timeline.completeness import TOLERATED_SHARE, tolerated_seconds

MICROSECONDS = 1_000_000
MATROSKA = "matroska,webm"
CLAIMING = {MATROSKA, "flv", "asf"}
"""Their headers say how long they are, and FFmpeg takes it from there. Elsewhere it is FFmpeg's own estimate."""

SEQUENTIAL = {"mpegts", "mpeg", "ogg", "nut", "mov,mp4,m4a,3gp,3g2,mj2"}
"""Media lies there in the order of time, with nothing large behind it. (MP4 without a list of frames is fragmented.)"""

OVERHEAD = 1.2
"""A packet takes more room in the file than it has bytes."""

PAGES = {"ogg": 65_307}
"""Bytes that can only be read together: of what is cut off, the last page goes along."""


@dataclass
class ReadExtent:
    """How far something was read: in seconds of its own clock, and in bytes. `begin` is the clock's first time."""

    begin: float | None = None
    seconds: float = 0.0
    bytes: float = 0.0

    @property
    def length(self) -> float:
        return self.seconds - (self.begin or 0)

    def take(self, packet: AnyPacket) -> None:
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.time_base is not None:
            base = float(packet.time_base)
            at = time * base
            self.begin = at if self.begin is None else min(self.begin, at)
            self.seconds = max(self.seconds, at + (packet.duration or 0) * base)
        if packet.pos is not None:
            self.bytes = max(self.bytes, packet.pos + packet.size * OVERHEAD)


def unread_share(path: Path, read: ReadExtent) -> float:
    """How much of the file lies behind the last thing that was read in it, 0–1."""
    size = path.stat().st_size
    return max(0.0, (size - read.bytes) / size) if size else 0.0


def refuse_early_end(path: Path, read: ReadExtent, analysed_bytes: int = 0) -> None:
    """`read` is how far the video goes; when that looks too short, the other streams are asked, too.

    Raises TruncatedSource, saying where it stops.
    """
    with open_source(path, analysed_bytes) as container:
        if _complaint(path, container, read) is None:
            return
        for packet in packets(
            container, *container.streams.video, *container.streams.audio, *container.streams.subtitles
        ):
            read.take(packet)
        if (complaint := _complaint(path, container, read)) is not None:
            raise TruncatedSource(complaint)


def _complaint(path: Path, container: InputContainer, read: ReadExtent) -> str | None:
    kind = container.format.name
    # What FFmpeg has for the length of FLV is the time of its last tag: the clock's start is in it already.
    begin = 0 if kind == "flv" else container.start_time or 0
    claimed = (begin + (container.duration or 0)) / MICROSECONDS
    size = path.stat().st_size
    unread = (size - read.bytes - PAGES.get(kind, 0)) / size
    if kind in SEQUENTIAL and unread > TOLERATED_SHARE:
        return (
            f"The video stops at {read.length:.1f} s: the last {100 * unread:.0f} % of the file cannot be read. "
            "Send the complete file."
        )
    if kind in CLAIMING and claimed - read.seconds > tolerated_seconds(claimed):
        if kind == MATROSKA and unread <= TOLERATED_SHARE and not is_cut_matroska(path):
            return None  # The recording of a still screen: its last picture was meant to stay.
        return (
            f"The video stops at {read.length:.1f} s of {claimed - (read.begin or 0):.1f} s; the rest is missing or damaged. "
            "Send the complete file."
        )
    return None
