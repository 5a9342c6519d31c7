"""Reads every packet header of a source once, and finds out when its pictures and its sound are shown."""

from array import array
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from streamforge.contracts.media import VIDEO_TIMESCALE
from streamforge.errors import TruncatedSource
from streamforge.media.coding import CONFIGURATIONS, PacketLog
from streamforge.media.extent import Extent
from streamforge.media.packet_clock import AnyPacket
from streamforge.media.progress import Progress
from streamforge.media.source import packets
from streamforge.planning.clocks import NO_TIME, FilmPackets
from streamforge.planning.timeline import BACKWARD, DEEPEST_REORDERING, Packet, RunFinder

COMPLETE = 0.98
"""A source with less than this share of the frames its index lists was cut off."""

MOST_TICKS = 2**62
"""Times beyond are forged, and would not fit."""

WITH_DECODE_TIMES = {"mpegts", "mpeg", "flv", "mov,mp4,m4a,3gp,3g2,mj2", "avi"}
"""Containers that say when each packet is to be decoded. Elsewhere FFmpeg guesses it from the times of showing."""

NOT_CODED_BYTES = 8
"""MPEG-4's placeholder for a picture that was packed together with the one before it is no larger."""


SEND_COMPLETE = "Send the complete file."


@dataclass
class TrackReading:
    """What the packets of one stream say. Times are in its own time base, in the order of the file."""

    index: int
    time_base: Fraction
    has_decode_times: bool
    reorders: bool = False
    finder: RunFinder = field(default_factory=RunFinder)
    packet_count: int = 0
    without_time: int = 0
    last_duration: int = 0
    extent: Extent = field(default_factory=Extent)
    _position: int = -1
    _rate: Fraction = field(init=False)

    def __post_init__(self) -> None:
        self._rate = self.time_base * VIDEO_TIMESCALE

    def ticks(self, time: int) -> int:
        return time * self._rate.numerator // self._rate.denominator

    def take(self, packet: AnyPacket) -> None:
        self.packet_count += 1
        self.extent.take(packet)
        if packet.is_discard:
            return  # Outside the edit list: decoded for reference, never shown.
        if packet.pos is not None:
            self._position = packet.pos
        if packet.duration:
            self.last_duration = packet.duration
        self._take_time(packet)

    def _take_time(self, packet: AnyPacket) -> None:
        shown, decoded = packet.pts, packet.dts
        self.without_time += shown is None
        time = shown if decoded is None else decoded
        if time is None:
            return
        duration = self.ticks(packet.duration or 0)
        placed = self.ticks(time)
        seen = placed if shown is None else self.ticks(shown)
        self.finder.take(Packet(self._number(), self._position, placed, seen, duration, self._slack(packet, duration)))

    def _number(self) -> int:
        return self.packet_count

    def _slack(self, packet: AnyPacket, duration: int) -> int:
        if self.has_decode_times or packet.is_keyframe or not self.reorders:
            return BACKWARD
        return max(BACKWARD, DEEPEST_REORDERING * duration)


@dataclass
class Timeline(TrackReading):
    """… and of every picture: when it is shown, where its packet lies, and whether decoding can begin there."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    positions: "array[int]" = field(default_factory=lambda: array("q"))
    keys: bytearray = field(default_factory=bytearray)
    decode_times: "array[int]" = field(default_factory=lambda: array("q"))
    """Of AVI only, whose times these are."""
    packed: int = 0
    log: PacketLog | None = None

    @property
    def frame_count(self) -> int:
        return len(self.times)

    def take(self, packet: AnyPacket) -> None:
        if self.log is not None:
            self.log.take(packet)
        super().take(packet)
        if packet.is_discard:
            return
        self.times.append(NO_TIME if packet.pts is None else packet.pts)
        self.positions.append(self._position)
        self.keys.append(bool(packet.is_keyframe))
        self.packed += packet.size <= NOT_CODED_BYTES
        self.decode_times.append(NO_TIME if packet.dts is None else packet.dts)

    def _number(self) -> int:
        return len(self.times)

    def film_packets(self, container: str) -> FilmPackets:
        """In ticks. Where the times are those of decoding (AVI, when its codec reorders pictures) they are given instead."""
        is_guess = self.without_time > 0 or self.packed > 0
        in_output_order = container == "avi" and self.reorders and is_guess
        return FilmPackets(
            times=self._in_ticks(self.decode_times if in_output_order else self.times),
            positions=np.array(self.positions, np.int64),
            keys=np.frombuffer(bytes(self.keys), np.bool_),
            finder=self.finder,
            in_output_order=in_output_order,
        )

    def _in_ticks(self, times: "array[int]") -> NDArray[np.int64]:
        found = np.array(times, np.int64)
        absurd = np.abs(found) > MOST_TICKS // max(1, self._rate.numerator)
        found[absurd] = 0
        return np.where(absurd, NO_TIME, found * self._rate.numerator // self._rate.denominator)

    def go_on_with(self, other: "Timeline") -> None:
        """The packets of a stream that lies behind this one in the file, and continues it."""
        before = len(self.times)
        for run in other.finder.runs:
            run.number += before
        self.finder.runs += other.finder.runs
        self.finder.outliers += other.finder.outliers
        self.times += other.times
        self.positions += other.positions
        self.keys += other.keys
        self.decode_times += other.decode_times
        self.packet_count += other.packet_count
        self.without_time += other.without_time
        self.last_duration = other.last_duration
        self.extent.join(other.extent)
        self.log = None  # It cannot be copied.


@dataclass
class Reading:
    """All films and all sound of a file."""

    films: dict[int, Timeline]
    sounds: dict[int, TrackReading]


def read_packets(container: InputContainer, films: Iterable[VideoStream], on_progress: Progress) -> Reading:
    has_decode_times = container.format.name in WITH_DECODE_TIMES
    reading = Reading(
        {stream.index: _timeline(stream, has_decode_times) for stream in films},
        {stream.index: _track(stream, has_decode_times) for stream in container.streams.audio},
    )
    tracks: dict[int, TrackReading] = {**reading.films, **reading.sounds}
    streams = [stream for stream in container.streams if stream.index in tracks]
    for number, packet in enumerate(packets(container, *streams)):  # type: ignore[arg-type]
        tracks[packet.stream_index].take(packet)
        if number % 5000 == 0:
            on_progress({"packets": number})
    for track in tracks.values():
        track.finder.finish()
    return reading


def _timeline(stream: VideoStream, has_decode_times: bool) -> Timeline:
    context = stream.codec_context
    reorders = bool(context.has_b_frames)
    return Timeline(stream.index, _time_base(stream), has_decode_times, reorders, log=_packet_log(stream))


def _track(stream: AudioStream, has_decode_times: bool) -> TrackReading:
    return TrackReading(stream.index, _time_base(stream), has_decode_times)


def _time_base(stream: VideoStream | AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, VIDEO_TIMESCALE)


def _packet_log(stream: VideoStream) -> PacketLog | None:
    context = stream.codec_context
    codec = context.codec.canonical_name
    return PacketLog(codec, context.extradata) if codec in CONFIGURATIONS else None


def as_declared(container: InputContainer, track: TrackReading) -> int:
    """How much is there, in what the index counts: packets; in AVI ticks of its clock, most of which may have none when
    a codec with reordering was put there."""
    if container.format.name != "avi":
        return track.packet_count
    return max(track.packet_count, round(track.extent.seconds / track.time_base))


def check_complete(found: int, declared: int) -> None:
    if declared > 1 and found < declared * COMPLETE - 1:
        raise TruncatedSource(
            f"The video is cut off: its index lists {declared} frames, but only {found} are there "
            f"({100 * found // declared} %). {SEND_COMPLETE}"
        )
