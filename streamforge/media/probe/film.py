"""The film of a file and its sound on one timeline: what its packets say, and what is made of it."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import replace
from fractions import Fraction
from math import floor

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media.source import VIDEO_TIMESCALE, Coding
from streamforge.contracts.media.timeline import NoteKind, TimelineNote, TrackClock
from streamforge.media.probe.packets import Reading, Timeline, TrackReading
from streamforge.timeline.clock_runs import BACKWARD
from streamforge.timeline.clocks import NO_TIME, film_clock
from streamforge.timeline.damage import damage
from streamforge.timeline.film_times import OUTLASTED, FilmTimes, film_times
from streamforge.timeline.notes import from_start

MAX_FRAME_RATE = 1000
"""More than this per second are not shown by anything: the time stamps, or the header, are wrong."""

JOINED = {"mpegts", "mpeg"}
"""Containers in which a stream may end and another one go on in its place."""

MOST_HIDDEN = 2
"""Pictures of a fragmented film that FFmpeg may take for such outside of an edit list, without a word."""

EARLY_SOUND = 0.1
"""Seconds. Sound that begins earlier than this before the picture is worth a word when it is cut."""


class Film:
    """Stream `index`, and what continues it. Times are ticks of its clock (streamforge.timeline.clocks)."""

    def __init__(
        self,
        reading: Reading,
        index: int,
        container: str,
        heard: Collection[int],
        declared_end: float | None = None,
        *,
        are_only_keys_timed: Callable[[], bool] = lambda: False,
    ) -> None:
        """The reading is used up. `heard` are the streams of its sound. `declared_end`: when the film is over by what a
        complete container says, in seconds. `are_only_keys_timed` reads the file once more."""
        self.index = index
        self.timeline = reading.films[index]
        self._declared_end = None if declared_end is None else round(declared_end * VIDEO_TIMESCALE)
        self.has_repeated = container == "avi" and declared_end is not None
        """Whether its index has pictures that are the one before them again."""
        self._joints: list[tuple[int, int]] = []
        self._continuing = _after(self.timeline, reading.films.values()) if container in JOINED else []
        for other in self._continuing:
            assert isinstance(other, Timeline)
            self._joints.append((other.index, self.timeline.frame_count))
            self.timeline.go_on_with(other)
        self._packets = replace(self.timeline.film_packets(), are_only_keys_timed=are_only_keys_timed)
        self._sounds = {index: track for index, track in reading.sounds.items() if index in heard}
        self._continued_sounds: dict[int, list[tuple[int, int]]] = {}
        if container in JOINED:
            self._join_sounds()
        self.clock = film_clock(self._packets, {index: each.finder for index, each in self._sounds.items()}, container)
        self.first_rate = self.average_rate
        """Pictures per second by their time stamps, believed or not."""
        if self.first_rate > MAX_FRAME_RATE:
            self.clock.is_timed = False
            self.clock.clock = TrackClock()
            self.clock.times[:] = NO_TIME
        self.clock.clock.continued_by = [other.index for other in self._continuing]
        self.clock.clock.continued_at = [other.finder.runs[0].position for other in self._continuing]

    @property
    def average_rate(self) -> float:
        """Pictures per second by their time stamps; 0 where those do not say."""
        known = self.clock.known
        span = (int(known.max()) - int(known.min())) / VIDEO_TIMESCALE if len(known) else 0.0
        return (len(known) - 1) / span if span > 0 else 0.0

    @property
    def has_key_frames(self) -> bool:
        return bool(self._packets.keys.any())

    @property
    def has_times(self) -> bool:
        return self.clock.is_timed

    @property
    def is_seekable(self) -> bool:
        return self.has_times and not self.clock.clock.in_output_order and self.average_rate > 0

    def sound_clock(self, index: int) -> TrackClock:
        clock = self.clock.sounds.get(index, TrackClock())
        later = self._continued_sounds.get(index, [])
        return clock.model_copy(update={"continued_by": [i for i, _ in later], "continued_at": [at for _, at in later]})

    def start_of(self, frame: VideoFrame, number: int) -> Fraction | None:
        """When the film begins, in seconds, by its picture `number` from 0; None when that one has no time."""
        if not self.has_times:
            return Fraction(0)
        if self.clock.clock.in_output_order:
            return Fraction(self._first_key_time(), VIDEO_TIMESCALE)
        if frame.pts is None or frame.time_base is None:
            return None
        start = frame.pts * frame.time_base
        return start - number * Fraction(self.times_from(None).usual_gap) if number else start

    def _first_key_time(self) -> int:
        """Of decoding, which begins there."""
        keys = self._packets.keys.nonzero()[0]
        later = self.clock.times[int(keys[0]) if len(keys) else 0 :]
        return int(next((time for time in later if time != NO_TIME), 0))

    def times_from(self, start: Fraction | None) -> FilmTimes:
        """Of the pictures from the one at `start` (seconds) on."""
        return film_times(
            self.clock,
            NO_TIME if start is None else floor(start * VIDEO_TIMESCALE),
            keys=self._packets.keys,
            positions=self._packets.positions,
            last_duration=self.timeline.ticks(self.timeline.last_duration),
            declared_end=self._declared_end,
        )

    def coding(self, stream: VideoStream, first: VideoFrame, duration: float) -> Coding | None:
        """None where it is no codec of the ladder."""
        log, clock = self.timeline.log, self.clock.clock
        if log is None:
            return None
        times = [time for time in self.timeline.times if time != NO_TIME]
        coding = log.coding(stream, first, times, duration)
        is_plain = not (clock.runs or clock.disbelieved or clock.pace or self.timeline.without_time)
        return coding.model_copy(update={"exact_times": coding.exact_times and is_plain})

    def notes(self, times: FilmTimes, start: float) -> list[TimelineNote]:
        """From the start of the film on."""
        found = [*self.clock.notes, *self._about_joints(), *self._about_damage()]
        return [*self._about_start(times, start), *from_start(found, start), *self._about_end(times)]

    def _about_joints(self) -> Iterator[TimelineNote]:
        for index, number in self._joints:
            later = self.clock.times[number:]
            known = later[later != NO_TIME]
            at = int(known[0]) / VIDEO_TIMESCALE if len(known) else 0.0
            text = f"The film goes on in stream {index} of the file."
            yield TimelineNote(kind=NoteKind.CONTINUED, at=at, seconds=0, track=index, text=text)

    def _about_damage(self) -> Iterator[TimelineNote]:
        starts = {run.number for run in self._packets.finder.runs}
        # The last picture in front of a joint seems to lack something only because packets are counted anew behind it.
        damaged = [number for number in self.timeline.damaged if number + 1 not in starts]
        return damage(damaged, self._packets.keys, self.clock.times)

    def _about_start(self, times: FilmTimes, start: float) -> list[TimelineNote]:
        notes = []
        if times.in_front:
            text = (
                f"The first {times.in_front} pictures cannot be decoded, because the recording begins between two key "
                "frames; the film begins behind them."
            )
            notes.append(
                TimelineNote(
                    kind=NoteKind.UNDECODABLE, at=0, seconds=0, count=times.in_front, track=self.index, text=text
                )
            )
        if (hidden := self.timeline.discarded) > MOST_HIDDEN and not self.timeline.is_indexed:
            text = (
                f"{hidden} pictures have a time that lies before the end of those in front of them, and are left out."
            )
            notes.append(TimelineNote(kind=NoteKind.CUT, at=0, seconds=0, count=hidden, track=self.index, text=text))
        for index, begin in self.clock.sound_starts.items():
            early = start - begin / VIDEO_TIMESCALE
            if early > EARLY_SOUND:
                text = f"The first {early:.1f} s of sound lie before the first picture that can be decoded, and are left out."
                notes.append(TimelineNote(kind=NoteKind.CUT, at=0, seconds=round(early, 3), track=index, text=text))
        return notes

    def _about_end(self, times: FilmTimes) -> list[TimelineNote]:
        held = times.duration - times.picture_end
        if held * VIDEO_TIMESCALE < OUTLASTED:
            return []
        text = f"The sound goes on for {held:.1f} s behind the last picture, which stays."
        return [TimelineNote(kind=NoteKind.HELD, at=round(times.picture_end, 3), seconds=round(held, 3), text=text)]

    def _join_sounds(self) -> None:
        """Sound that begins, in the file, where a track ends goes on with it."""
        for track in list(self._sounds.values()):
            if track.index not in self._sounds:
                continue
            for later in _after(track, self._sounds.values()):
                later.begin_behind(track)
                begin = later.finder.runs[0].position
                self._continued_sounds.setdefault(track.index, []).append((later.index, begin))
                if later.finder.runs[0].first < track.finder.runs[-1].end - BACKWARD:
                    later.finder.runs[0].goes_back = True
                track.finder.runs += later.finder.runs
                track.finder.outliers += later.finder.outliers
                del self._sounds[later.index]


def continuing_streams(reading: Reading, container: str, usable: Collection[int]) -> set[int]:
    """Streams of the file that are only others going on under another number: no films and no tracks of their own."""
    if container not in JOINED:
        return set()
    found: set[int] = set()
    kinds: list[dict[int, TrackReading]] = [{**reading.films}, {**reading.sounds}]
    for tracks in kinds:
        left = [track for index, track in tracks.items() if index in usable]
        for track in left:
            if track.index not in found:
                found |= {later.index for later in _after(track, [each for each in left if each.index not in found])}
    return found


def _after(track: TrackReading, others: Iterable[TrackReading]) -> list[TrackReading]:
    """Those that begin one behind the other, in the file, where `track` and the one before them ends."""
    found: list[TrackReading] = []
    end = track
    while (later := _next(end, others)) is not None:
        found.append(later)
        end = later
    return found


def _next(track: TrackReading, others: Iterable[TrackReading]) -> TrackReading | None:
    if not track.finder.runs:
        return None
    end = track.finder.runs[-1].last_position
    later = [other for other in others if other.finder.runs and other.finder.runs[0].position > end]
    return min(later, key=lambda other: (other.finder.runs[0].position, other.index), default=None)
