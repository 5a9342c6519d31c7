"""Gives the packets of a source the times that its timeline says."""

from bisect import bisect_right
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

from av.packet import Packet
from av.stream import Stream

from streamforge.contracts.media import VIDEO_TIMESCALE
from streamforge.contracts.timeline import TrackClock

if TYPE_CHECKING:
    AnyPacket: TypeAlias = Packet[Stream]
else:
    AnyPacket = Packet  # Generic for type checkers only.

VP8 = {"vp8", "libvpx"}

AS_IT_IS = TrackClock()


def begins_decoding(packet: AnyPacket) -> bool:
    """A key frame that lost some of its bytes on the way is none: what refers to it would be broken up to the next one."""
    return bool(packet.is_keyframe and not packet.is_corrupt)


def is_hidden(packet: AnyPacket) -> bool:
    """Whether it is a picture of VP8 that others refer to and nobody sees: the bit show_frame (RFC 6386 §9.1) is 0. Other
    codecs pack such pictures together with one that is shown."""
    codec = packet.stream.codec_context
    return codec is not None and codec.name in VP8 and packet.size > 0 and not memoryview(packet)[0] & 0x10


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

    @property
    def position(self) -> int:
        """Byte of the file at which the last packet lies."""
        return self._position

    def correct(self, packet: AnyPacket) -> None:
        """Packets that share a page with the one before them have no position of their own: they belong to it."""
        if packet.pos is not None:
            self._position = packet.pos
        if self._starts:
            self._shift(packet)
        if self._is_unusable or self._position in self._disbelieved:
            packet.pts = None

    def _has_begun(self, packet: AnyPacket, run: int) -> bool:
        """A page of Ogg may hold the end of one run and the beginning of the next."""
        return packet.pts is None or abs(packet.pts - self._begins[run]) <= self._near

    def _shift(self, packet: AnyPacket) -> None:
        run = max(0, bisect_right(self._starts, self._position) - 1)
        if run and self._position == self._starts[run] and not self._has_begun(packet, run):
            run -= 1
        shift = self._shifts[run]
        if packet.pts is not None:
            packet.pts += shift
        if packet.dts is not None:
            packet.dts += shift
