"""Reads every packet header of a source once, and finds out when its pictures and its sound are shown."""

from array import array
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor
from pathlib import Path

import numpy as np
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.tasks import PacketsRead, ProbeTask
from streamforge.errors import TruncatedSource
from streamforge.media.container.early_end import OVERHEAD, ReadExtent
from streamforge.media.container.opening import open_source, packets, stream_by_index
from streamforge.media.container.packet_clock import AnyPacket, Losses, is_hidden
from streamforge.media.probe.complexity import not_too_dense
from streamforge.media.probe.decoder_set_ups import SetUps
from streamforge.media.probe.packet_log import PacketLog
from streamforge.media.probe.tallies import Tallies
from streamforge.media.process.performing import Tell
from streamforge.timeline.clock_runs import Packet, RunFinder
from streamforge.timeline.clocks import NO_TIME, FilmPackets

COMPLETE = 0.98
"""A source with less than this share of the frames its index lists was cut off."""

MOST_TICKS = 2**62
"""Times beyond are forged, and would not fit."""

WITH_DECODE_TIMES = {"mpegts", "mpeg", "flv", "mov,mp4,m4a,3gp,3g2,mj2", "avi"}
"""Containers that say when each packet is to be decoded. Elsewhere FFmpeg guesses it from the times of showing."""

PLAINLY_REORDERED = {"mpeg1video", "mpeg2video", "mpeg4", "msmpeg4v3", "vc1", "wmv3"}

NOT_CODED_BYTES = 8
"""MPEG-4's placeholder for a picture that was packed together with the one before it is no larger."""


LONGEST_SOUND_SECONDS = 10
LONGEST_PICTURE_SECONDS = 12 * 3600
"""Of one packet."""

SEND_COMPLETE = "Send the complete file."


@dataclass
class TrackReading:
    """What the packets of one stream say. Times are in its own time base, in the order of the file."""

    index: int
    time_base: Fraction
    has_decode_times: bool
    reordered: int = 0
    """Pictures that one may be shown behind, which are coded behind it."""
    finder: RunFinder = field(init=False)
    packet_count: int = 0
    begins_at: int | None = None
    """Byte of the file at which its first packet lies, whether that has a time or not."""
    without_time: int = 0
    last_duration: int = 0
    _position: int = -1
    _begin: int | None = None
    _end: int | None = None
    _furthest: int = -1
    _last_size: int = 0
    _longest: int = field(init=False)
    """A packet that claims to last longer is not believed: pictures may stay as a whole film does, sound goes on."""

    def __post_init__(self) -> None:
        self._longest = self._most_seconds() * self.time_base.denominator // max(1, self.time_base.numerator)
        self._rate = self.time_base * VIDEO_TIMESCALE
        self.finder = RunFinder(self._rate)

    @property
    def extent(self) -> ReadExtent:
        seconds = 0.0 if self._end is None else max(0.0, float(self._end * self.time_base))
        begin = None if self._begin is None else float(self._begin * self.time_base)
        return ReadExtent(begin, seconds, max(0.0, self._furthest + self._last_size * OVERHEAD))

    def ticks(self, time: int) -> int:
        return floor(time * self._rate)

    def take(self, packet: AnyPacket) -> None:
        """Called for every packet of a film: what it does is counted in microseconds."""
        self.packet_count += 1
        shown, decoded, position = packet.pts, packet.dts, packet.pos
        duration = packet.duration or 0
        duration = min(duration, self._longest)
        if position is not None:
            self._position = position
            if self.begins_at is None:
                self.begins_at = position
            if position > self._furthest:
                self._furthest, self._last_size = position, packet.size
        # What FFmpeg guesses for decoding lags behind a clock that breaks, by as many packets as are reordered.
        time = shown if decoded is None or not (self.has_decode_times or shown is None) else decoded
        if time is not None:
            end = duration + (time if shown is None else shown)
            if self._end is None or end > self._end:
                self._end = end
            if self._begin is None or end - duration < self._begin:
                self._begin = end - duration
        if packet.is_discard:
            return  # Outside the edit list: decoded for reference, never shown.
        if duration:
            self.last_duration = duration
        if shown is None:
            self.without_time += 1
        if time is not None:
            seen = time if shown is None else shown
            if not self.finder.follows(self._position, time, seen, duration):
                is_reordered = not self.has_decode_times and self.reordered > 0 and not packet.is_keyframe
                self.finder.take(Packet(self._number(), self._position, time, seen, duration, is_reordered))

    def begin_behind(self, other: "TrackReading") -> None:
        """It goes on where another one ends: with its first packets, also if they have no time."""
        first, end = self.finder.runs[0], other.finder.runs[-1].last_position
        if self.begins_at is not None and self.begins_at > end:
            first.number, first.position = 0, self.begins_at

    def _number(self) -> int:
        return self.packet_count

    def _most_seconds(self) -> int:
        return LONGEST_SOUND_SECONDS


@dataclass
class Timeline(TrackReading):
    """… and of every picture: when it is shown, where its packet lies, and whether decoding can begin there."""

    times: "array[int]" = field(default_factory=lambda: array("q"))
    positions: "array[int]" = field(default_factory=lambda: array("q"))
    keys: bytearray = field(default_factory=bytearray)
    decode_times: "array[int]" = field(default_factory=lambda: array("q"))
    """Where the container says them."""
    losses: Losses = field(default_factory=lambda: Losses(""))
    damaged: list[int] = field(default_factory=list)
    """Pictures, by their number, that lost some of their bytes on the way."""
    packed: int = 0
    is_indexed: bool = False
    """A list of all pictures says which of them are shown."""
    discarded: int = 0
    """Pictures that are not to be shown: outside of an edit list, or, where there is no index, by FFmpeg's word."""
    log: PacketLog | None = None
    is_avi: bool = False
    has_plain_reordering: bool = True
    """Only a picture and those right in front of it change places, as FFmpeg takes it where a container does not tell."""
    set_ups: SetUps | None = None

    @property
    def frame_count(self) -> int:
        return len(self.times)

    def take(self, packet: AnyPacket) -> None:
        if self.log is not None:
            self.log.take(packet)
        super().take(packet)
        self.discarded += packet.is_discard
        if packet.is_discard or is_hidden(packet):
            return
        if self.set_ups is not None:
            self.set_ups.take(packet)
        self.times.append(NO_TIME if packet.pts is None else packet.pts)
        self.positions.append(self._position)
        is_key = packet.is_keyframe
        if (packet.is_corrupt or self.losses.is_next) and self.losses.is_damaged(packet):
            self.damaged.append(len(self.keys))
            is_key = False
        self.keys.append(is_key)
        if self.is_avi:
            self.packed += packet.size <= NOT_CODED_BYTES
        if self.has_decode_times:
            self.decode_times.append(NO_TIME if packet.dts is None else packet.dts)

    def _number(self) -> int:
        return len(self.times)

    def _most_seconds(self) -> int:
        return LONGEST_PICTURE_SECONDS

    def film_packets(self) -> FilmPackets:
        """In ticks. Where the times are those of decoding (AVI, when its codec reorders pictures) they are given instead."""
        is_guess = self.without_time > 0 or self.packed > 0 or not self.has_plain_reordering
        in_output_order = self.is_avi and self.reordered > 0 and is_guess
        decoded = self._in_ticks(self.decode_times) if self.has_decode_times else None
        times = decoded if in_output_order and decoded is not None else self._in_ticks(self.times)
        return FilmPackets(
            times=times,
            decoded=decoded,
            late=_late(times, decoded) if self.is_avi and decoded is not None else 0,
            reordered=self.reordered,
            positions=np.array(self.positions, np.int64),
            keys=np.frombuffer(bytes(self.keys), np.bool_),
            finder=self.finder,
            in_output_order=in_output_order,
            is_plainly_reordered=self.reordered > 0 and self.has_plain_reordering,
        )

    def _in_ticks(self, times: "array[int]") -> NDArray[np.int64]:
        found = np.array(times, np.int64)
        most = MOST_TICKS // max(1, self._rate.numerator)
        known = (found != NO_TIME) & (found <= most) & (found >= -most)
        scaled = np.where(known, found, 0) * self._rate.numerator // self._rate.denominator
        return np.where(known, scaled, NO_TIME)

    def go_on_with(self, other: "Timeline") -> None:
        """The packets of a stream that lies behind this one in the file, and continues it."""
        before = len(self.times)
        other.begin_behind(self)
        for run in other.finder.runs:
            run.number += before
            if run.in_doubt is not None:
                run.in_doubt.number += before
        if other.finder.runs:
            other.finder.runs[0].goes_back = True  # Whatever it says, it is another sender's clock.
        self.finder.runs += other.finder.runs
        self.finder.outliers += other.finder.outliers
        self.times += other.times
        self.positions += other.positions
        self.damaged += [before + number for number in other.damaged]
        self.keys += other.keys
        self.decode_times += other.decode_times
        self.packet_count += other.packet_count
        self.without_time += other.without_time
        self.last_duration = other.last_duration
        if other._end is not None:
            self._end = max(other._end, self._end or other._end)
        self._furthest, self._last_size = other._furthest, other._last_size
        self.log = None  # It cannot be copied.
        if self.set_ups is not None and other.set_ups is not None:
            self.set_ups.go_on_with(other.set_ups)


@dataclass(frozen=True)
class Reading:
    """All pictures and all sound of a file, by the indexes of their streams."""

    films: dict[int, Timeline]
    sounds: dict[int, TrackReading]

    @property
    def all(self) -> list[TrackReading]:
        return [*self.films.values(), *self.sounds.values()]

    def track(self, index: int) -> TrackReading:
        return self.films.get(index) or self.sounds[index]


def read_packets(
    container: InputContainer, tallies: Tallies, task: ProbeTask, on_progress: Tell[PacketsRead]
) -> Reading:
    """In one pass, in which the tallies see the packets, too. Raises SourceTooComplex for too many of them."""
    kind = container.format.name
    videos = [stream for stream in tallies.streams if isinstance(stream, VideoStream) and stream.codec_context]
    audios = [stream for stream in tallies.streams if isinstance(stream, AudioStream)]
    has_decode_times = kind in WITH_DECODE_TIMES
    reading = Reading(
        {stream.index: _timeline(stream, kind) for stream in videos},
        {stream.index: TrackReading(stream.index, _time_base(stream), has_decode_times) for stream in audios},
    )
    for sound in reading.sounds.values():
        sound.finder.asks_others = bool(reading.films)
    for film in reading.films.values():
        film.finder.beside = [sound.finder for sound in reading.sounds.values()]
        film.finder.asks_others = bool(reading.sounds)
    tracks: dict[int, TrackReading] = {**reading.films, **reading.sounds}
    for number, packet in enumerate(not_too_dense(packets(container, *tallies.streams), task)):
        tallies.take(packet)
        if (track := tracks.get(packet.stream_index)) is not None:
            track.take(packet)
        if number % 5000 == 0:
            on_progress(PacketsRead(packets=number))
    for track in tracks.values():
        track.finder.finish()
    return reading


def only_keys_are_timed(path: Path, index: int, analysed_bytes: int) -> bool:
    """Whether no picture of stream `index` but its key frames has a time in the file."""
    with open_source(path, analysed_bytes, fills_in=False) as container:
        pictures = packets(container, stream_by_index(container, index))
        return all(picture.is_keyframe or picture.pts is None for picture in pictures)


def _late(times: NDArray[np.int64], decoded: NDArray[np.int64]) -> int:
    """How much later every picture is shown than decoded, where that is the same for all; else 0. Then nothing is reordered:
    AVI only says when pictures are decoded, and FFmpeg makes room for what H.264 might do (it does not say that it does not)."""
    known = (times != NO_TIME) & (decoded != NO_TIME)
    behind = times[known] - decoded[known]
    return int(behind[0]) if len(behind) and (behind == behind[0]).all() else 0


def _timeline(stream: VideoStream, container: str) -> Timeline:
    context = stream.codec_context
    return Timeline(
        stream.index,
        _time_base(stream),
        container in WITH_DECODE_TIMES,
        reordered=context.reorder_depth,
        log=_packet_log(stream),
        set_ups=SetUps(context.codec.canonical_name, context.extradata),
        is_avi=container == "avi",
        losses=Losses(container),
        is_indexed=stream.frames > 0,
        has_plain_reordering=context.codec.canonical_name in PLAINLY_REORDERED,
    )


def _time_base(stream: VideoStream | AudioStream) -> Fraction:
    return stream.time_base or Fraction(1, VIDEO_TIMESCALE)


def _packet_log(stream: VideoStream) -> PacketLog | None:
    context = stream.codec_context
    codec = context.codec.canonical_name
    return PacketLog(codec, context.extradata) if codec in CODECS else None


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
