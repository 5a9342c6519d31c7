"""Gives the packets of a source the times that its timeline says."""

from bisect import bisect_right
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from av.packet import Packet
from av.stream import Stream

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import TrackClock

if TYPE_CHECKING:
    AnyPacket: TypeAlias = Packet[Stream]
else:
    AnyPacket = Packet  # Generic for type checkers only.

VP8 = {"vp8", "libvpx"}

AS_IT_IS = TrackClock()


NOTICED_EARLY = {"mpegts"}
"""Containers of which FFmpeg marks the packet in front of the one that lost some of its bytes: it has it in hand still when it
notices."""


class Losses:
    """Takes the packets of one stream in the order of the file, and tells which of them lost some of their bytes on the way."""

    def __init__(self, container: str) -> None:
        self._is_noticed_early = container in NOTICED_EARLY
        self.is_next = False
        """Whether the next one did."""

    def is_damaged(self, packet: AnyPacket) -> bool:
        is_marked = packet.is_corrupt
        if not self._is_noticed_early:
            return is_marked
        is_damaged, self.is_next = self.is_next, is_marked
        return is_damaged

    def begins_decoding(self, packet: AnyPacket) -> bool:
        """A key frame that lost some of its bytes is none: what refers to it would be broken up to the next one."""
        return not self.is_damaged(packet) and packet.is_keyframe


def is_hidden(packet: AnyPacket) -> bool:
    """Whether it is a picture of VP8 that others refer to and nobody sees: the bit show_frame (RFC 6386 §9.1) is 0. Other
    codecs pack such pictures together with one that is shown."""
    codec = packet.stream.codec_context
    return codec is not None and codec.name in VP8 and packet.size > 0 and not memoryview(packet)[0] & 0x10


WRAP = 2**33
"""Ticks of 1/90000 s after which a clock of MPEG-2 systems begins again (ISO/IEC 13818-1 §2.4.3.7). FFmpeg adds as many as
it thinks have passed, and thinks otherwise of a place when it comes back to it from further on."""


class PacketClock:
    """Takes the packets of one track in the order of the file, from anywhere in it."""

    def __init__(self, clock: TrackClock, time_base: Fraction | None) -> None:
        ticks = Fraction(1, VIDEO_TIMESCALE) / (time_base or Fraction(1, VIDEO_TIMESCALE))
        self._starts = [run.position for run in clock.runs]
        self._begins = [round(run.begin * ticks) for run in clock.runs]
        self._near = round(VIDEO_TIMESCALE * ticks / 2)
        self._is_unusable = clock.is_unusable
        self._shifts = [round(run.shift * ticks) for run in clock.runs]
        self._disbelieved = frozenset(clock.disbelieved)
        self._position = -1
        self._pace = clock.pace * ticks
        self._key_time: int | None = None
        self._behind_key = 0
        self._wrap = round(WRAP * ticks)
        self._wraps = 0
        self._has_gone_back = False
        self._last: tuple[int, int] | None = None
        """The run of the last packet that had a time, and that time as its run counts."""

    @property
    def position(self) -> int:
        """Byte of the file at which the last packet lies."""
        return self._position

    def go_back(self) -> None:
        """The file was read further than the packet that comes next."""
        self._has_gone_back = True

    def correct(self, packet: AnyPacket) -> None:
        """Packets that share a page with the one before them have no position of their own: they belong to it."""
        if packet.pos is not None:
            self._position = packet.pos
        if self._pace:
            self._keep_pace(packet)
        if self._starts:
            self._shift(packet)
        if self._is_unusable or self._position in self._disbelieved:
            packet.pts = None

    def _keep_pace(self, packet: AnyPacket) -> None:
        self._behind_key += 1
        if packet.is_keyframe:
            self._key_time, self._behind_key = packet.pts, 0
        if self._key_time is not None:
            packet.pts = packet.dts = self._key_time + round(self._behind_key * self._pace)

    def _has_begun(self, packet: AnyPacket, run: int) -> bool:
        """A page of Ogg may hold the end of one run and the beginning of the next."""
        return packet.pts is None or abs(packet.pts - self._begins[run]) <= self._near

    def _shift(self, packet: AnyPacket) -> None:
        run = max(0, bisect_right(self._starts, self._position) - 1)
        if run and self._position == self._starts[run] and not self._has_begun(packet, run):
            run -= 1
        self._count_wraps(packet, run)
        shift = self._shifts[run] + self._wraps * self._wrap
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift

    def _count_wraps(self, packet: AnyPacket, run: int) -> None:
        """A run begins where it did when it was found; within one, time goes on from the packet before."""
        if packet.pts is None or self._position in self._disbelieved:
            return
        if self._has_gone_back:
            expected = self._last[1] if self._last and self._last[0] == run else self._begins[run]
            self._wraps = round(Fraction(expected - packet.pts, self._wrap))
        self._last = run, packet.pts + self._wraps * self._wrap
