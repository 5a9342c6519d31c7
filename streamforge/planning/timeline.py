"""From what packets say to when they are shown: where clocks restart, leap, or lie, for all tracks of a source together.

The rules. A track's clock is *continuous* while the decode times of its packets do not fall, and do not leap by more than
JUMP_SECONDS. A few packets in a row that lie elsewhere are *outliers*, if the clock goes on behind them; else they begin a
new *run*. Runs of different tracks belong together where both their clock and their place in the file agree: they are one
*stretch*, and shifted alike. A stretch whose clock *restarts*, or *leaps* while no track has anything, follows the one
before it without a pause. A leap that some track fills, or a short one, is a *gap*: it stays.

All times are ticks of 1/VIDEO_TIMESCALE s.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import islice, pairwise, takewhile
from math import floor

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media import VIDEO_TIMESCALE
from streamforge.contracts.timeline import NoteKind, TimelineNote

JUMP_SECONDS = 10
"""A clock that leaps further than this while no track has anything was set anew: nobody films an hour of nothing. FFmpeg
has the same limit for containers whose clocks may break (`dts_delta_threshold`)."""

STILL_SECONDS = 1800
"""… but in a container that says of each picture when it is shown, it may be meant to stay as long."""

LEAPS = 3
"""Of the clock: a picture that is shown before others in front of it belongs to one of the last groups."""

SPARSE = 5
"""A pause this many times as long as those before it is one of them: slides come a minute apart."""

BACKWARD = VIDEO_TIMESCALE // 10
"""Ticks that a clock may go back without having been set: senders round and stumble."""

MOST_OUTLIERS = 5
"""Packets in a row. More of them go their own way, and are a run."""

MOST_RUNS = 20_000
MOST_PAUSES = 5_000
"""Of one track. A clock that breaks more often says nothing, and pauses are many in a film of slides: they are held in
memory."""

STANDING = 2
"""Times as long as its clock says, and so many seconds more, is what is in a track whose clock stands still."""

MOST_SILENCES = 100
"""Pauses that are looked into, for being told."""

MOST_STRETCHES = 200
"""Each is told to everyone who reads the source."""

OVERLAP = VIDEO_TIMESCALE // 20
"""Sound of two stretches that would overlap by more than this is not cut: the later one waits, and the picture stays. Less
is what an encoder puts before the first sample and behind the last one."""

INSIDE = VIDEO_TIMESCALE
"""What a track has this long behind the edges of a leap, it has inside of it."""


@dataclass
class Run:
    """Packets of a track, from number `number` on, whose clock is continuous. `end` is when the last one's showing ends."""

    number: int
    position: int
    last_position: int
    first: int
    end: int
    packets: int = 1
    goes_back: bool = False
    """Whether its clock begins before the end of that of the run before it."""

    def takes(self, packet: "Packet") -> None:
        self.last_position = packet.position
        self.first = min(self.first, packet.shown)
        self.end = max(self.end, packet.shown + packet.duration)
        self.packets += 1


@dataclass(slots=True)
class Packet:
    """What a packet's header says, in units of its track's clock. `time` never falls in an ordinary file: it is that of
    decoding, where there is one."""

    number: int
    position: int
    time: int
    shown: int
    duration: int
    is_reordered: bool = False
    """Whether `time` is that of showing, of a picture that may be shown before some in front of it: it then lies behind what
    was shown before the last leaps of the clock."""


@dataclass
class RunFinder:
    """Takes the packets of one track in the order of the file, and finds its runs. Holds no packet but a few.

    `rate` is how many ticks one unit of the track's own clock has: packets come in that, runs are in ticks once it is
    finished."""

    rate: Fraction = Fraction(1)
    runs: list[Run] = field(default_factory=list)
    outliers: list[int] = field(default_factory=list)
    """Positions of packets whose time stamps are not believed."""
    without_time: int = 0
    is_lost: bool = False
    """There are more runs than MOST_RUNS."""
    lasting: int = 0
    """How long all packets last together, by what each says of itself."""
    _last: int = 0
    _gap: int = 0
    """The last pause between two packets of the run."""
    _suspects: list[Packet] = field(default_factory=list)
    _leaps: deque[int] = field(default_factory=lambda: deque([0], maxlen=LEAPS))
    """The last ones of the clock, ahead."""
    _second: int = field(init=False)
    _backward: int = field(init=False)

    def __post_init__(self) -> None:
        self._backward = round(BACKWARD / self.rate)
        self._second = max(1, round(VIDEO_TIMESCALE / self.rate))

    def follows(self, position: int, time: int, shown: int, duration: int) -> bool:
        """The same as `take` for the ordinary packet, of which a film has a million; False, and nothing done, for others."""
        pause = time - self._last
        if self._suspects or not self.runs or not 0 <= pause <= self._second:
            return False
        self.lasting += duration
        run = self.runs[-1]
        run.last_position = position
        run.packets += 1
        run.first = min(run.first, shown)
        run.end = max(run.end, shown + duration)
        self._gap = pause
        self._last = time
        self._leaps.append(pause)
        return True

    @property
    def stands_still(self) -> bool:
        """Whether it holds far more than there is time for: all its times are the same, or nearly."""
        span = sum(run.end - run.first for run in self.runs)
        return floor(self.lasting * self.rate) > STANDING * span + STANDING * VIDEO_TIMESCALE

    @property
    def is_usable(self) -> bool:
        """Once it is finished."""
        return bool(self.runs) and not self.is_lost and not self.stands_still

    def take(self, packet: Packet) -> None:
        if not self.runs:
            self._begin(packet)
        elif self._goes_on(packet, self._last) and not self._is_overtaken(packet):
            self.outliers += [suspect.position for suspect in self._suspects]
            self._suspects = []
            self._extend(packet)
        elif not self._suspects:
            self._suspects = [packet]
        elif self._goes_on(packet, self._suspects[-1].time):
            self._suspects.append(packet)
            if len(self._suspects) > MOST_OUTLIERS:
                self._accept()
        else:
            self._accept()
            self.take(packet)

    def finish(self) -> None:
        """A lone packet at the end that lies elsewhere has a wrong time; several are a last, short run."""
        if len(self._suspects) == 1 and self.runs[-1].packets > MOST_OUTLIERS:
            self.outliers.append(self._suspects[0].position)
        elif self._suspects:
            self._accept()
        self._suspects = []
        for run in self.runs:
            run.first, run.end = floor(run.first * self.rate), floor(run.end * self.rate)

    def _goes_on(self, packet: Packet, last: int) -> bool:
        usual = max(self._second, 2 * packet.duration, SPARSE * self._gap)
        slack = max(self._backward, sum(self._leaps) if packet.is_reordered else 0)
        return -slack <= packet.time - last <= usual

    def _is_overtaken(self, packet: Packet) -> bool:
        """Whether this one goes with the packets in doubt rather than with the run before them: they lie between the two,
        or it is nearer to them."""
        if not self._suspects:
            return False
        expected = packet.time - packet.duration
        is_nearer = abs(expected - self._suspects[-1].time) < abs(expected - self._last)
        return is_nearer or self._last < self._suspects[0].time <= packet.time

    def _begin(self, packet: Packet) -> None:
        if len(self.runs) >= MOST_RUNS:
            self.is_lost = True
            return
        shown, end = packet.shown, packet.shown + packet.duration
        goes_back = bool(self.runs) and packet.time < self._last
        self.runs.append(Run(packet.number, packet.position, packet.position, shown, end, goes_back=goes_back))
        self._last, self._gap = packet.time, packet.duration

    def _extend(self, packet: Packet) -> None:
        pause = packet.time - self._last
        if pause > max(self._second, 2 * packet.duration) and len(self.runs) < MOST_PAUSES:
            self._begin(packet)  # Not a break, but where one might be found when other tracks are looked at.
        else:
            self.runs[-1].takes(packet)
        self._gap = pause
        if pause > 0:
            self._leaps.append(pause)
        self._last = max(self._last, packet.time)

    def _accept(self) -> None:
        first, *others = self._suspects
        self._suspects = []
        self._begin(first)
        for packet in others:
            self._extend(packet)


@dataclass
class Stretch:
    """Part of a film whose tracks share one clock, as its leading track has it, and what is added to it."""

    runs: list[Run]
    shift: int = 0

    @property
    def first(self) -> int:
        return min(run.first for run in self.runs)

    @property
    def end(self) -> int:
        return max(run.end for run in self.runs)

    @property
    def position(self) -> int:
        return self.runs[0].position

    @property
    def last_position(self) -> int:
        return self.runs[-1].last_position


@dataclass(frozen=True)
class Placed:
    """A run with what is to be added to its times."""

    run: Run
    shift: int


@dataclass
class Alignment:
    """The runs of the leading track and of all others, placed, and what there is to tell about it. Times in notes count
    from the leading track's first packet."""

    leading: list[Placed]
    others: list[list[Placed]]
    notes: list[TimelineNote]


def align(leading: Sequence[Run], others: Sequence[Sequence[Run]], *, is_explicit: bool) -> Alignment | None:
    """`is_explicit`: the container says of each picture when it is shown, as MP4 and Matroska do; a broadcast's or a live
    stream's says what the sender's clock was. None when there are more than MOST_STRETCHES."""
    stretches = _stretches(leading, others, is_explicit=is_explicit)
    silences = _silences(stretches, others, by_place=not is_explicit) if any(others) else {}
    if len(stretches) > MOST_STRETCHES:
        return None
    tracks = [_Track(runs, stretches, is_explicit=is_explicit) for runs in others]
    notes = []
    for number, stretch in enumerate(stretches):
        if number:
            notes.append(_follow(stretch, stretches[number - 1], number, tracks))
        notes += [_silence(begin + stretch.shift, length) for begin, length in silences.get(number, [])]
        for track in tracks:
            track.place(number)
    leading_placed = [Placed(run, stretch.shift) for stretch in stretches for run in stretch.runs]
    return Alignment(leading_placed, [track.placed for track in tracks], notes)


class _Track:
    """The runs of another track than the leading one, and which stretch each belongs to; None for one whose clock is
    nobody's: it lies in front of the first one that has a stretch, or follows what the track had before."""

    def __init__(self, runs: Sequence[Run], stretches: Sequence[Stretch], *, is_explicit: bool) -> None:
        self._is_explicit = is_explicit
        self._stretches = stretches
        self._owned = _with_one_clock(runs, [_owner(run, stretches) for run in runs], stretches)
        self.placed: list[Placed] = []
        self.end: int | None = None
        """Where it ends so far, as it is shown."""
        self.firsts: dict[int, int] = {}
        """When it begins in each stretch, by its own clock."""
        for run, owner in self._owned:
            if owner is not None:
                self.firsts[owner] = min(run.first, self.firsts.get(owner, run.first))

    def place(self, number: int) -> None:
        """All runs up to those of stretch `number`."""
        while len(self.placed) < len(self._owned):
            run, owner = self._owned[len(self.placed)]
            if owner is not None and owner > number:
                return
            shift = self._follow(run) if owner is None else self._stretches[owner].shift
            self.placed.append(Placed(run, shift))
            self.end = max(run.end + shift, self.end if self.end is not None else run.end + shift)

    def _follow(self, run: Run) -> int:
        if self.end is not None:
            is_pause = self._is_explicit and not run.goes_back
            is_pause = is_pause and run.first + self.placed[-1].shift - self.end <= STILL_SECONDS * VIDEO_TIMESCALE
            return self.placed[-1].shift if is_pause else self.end - run.first
        return self._beginning() - run.first

    def _beginning(self) -> int:
        """Where the first run is to begin whose clock is nobody's: so that it, and others like it, end where the first one
        begins that has a stretch; with the first stretch, if there is no such run."""
        in_front = list(takewhile(lambda owned: owned[1] is None, self._owned))
        if len(in_front) == len(self._owned):
            return self._stretches[0].first
        following, owner = self._owned[len(in_front)]
        assert owner is not None
        return following.first + self._stretches[owner].shift - sum(run.end - run.first for run, _ in in_front)


def _stretches(leading: Sequence[Run], others: Sequence[Sequence[Run]], *, is_explicit: bool) -> list[Stretch]:
    stretches = [Stretch([leading[0]])]
    usual = 0
    for earlier, later in pairwise(leading):
        pause = later.first - earlier.end
        if _is_one_clock(earlier, later, usual, others, is_explicit=is_explicit):
            stretches[-1].runs.append(later)
            usual = max(usual, pause)
        else:
            stretches.append(Stretch([later]))
    return stretches


def _is_one_clock(earlier: Run, later: Run, usual: int, others: Sequence[Sequence[Run]], *, is_explicit: bool) -> bool:
    pause = later.first - earlier.end
    if pause < -BACKWARD:
        return False
    if pause <= max(JUMP_SECONDS * VIDEO_TIMESCALE, SPARSE * usual):
        return True
    if is_explicit and pause <= STILL_SECONDS * VIDEO_TIMESCALE:
        return True
    return any(_fills(runs, earlier, later, by_place=not is_explicit) for runs in others)


def _silences(
    stretches: Sequence[Stretch], others: Sequence[Sequence[Run]], *, by_place: bool
) -> dict[int, list[tuple[int, int]]]:
    """By the number of the stretch, pauses within it in which no track has anything: when and how long."""
    found: dict[int, list[tuple[int, int]]] = {}
    pauses = (
        (number, earlier, later)
        for number, stretch in enumerate(stretches)
        for earlier, later in pairwise(stretch.runs)
        if later.first - earlier.end > INSIDE
    )
    for number, earlier, later in islice(pauses, MOST_SILENCES):
        if not any(_is_inside(run, earlier, later, by_place=by_place) for runs in others for run in runs):
            found.setdefault(number, []).append((earlier.end, later.first - earlier.end))
    return found


def _silence(at: int, length: int) -> TimelineNote:
    seconds = length / VIDEO_TIMESCALE
    return TimelineNote(
        kind=NoteKind.GAP,
        at=at / VIDEO_TIMESCALE,
        seconds=round(seconds, 3),
        text=f"For {seconds:.1f} s there is neither picture nor sound; the picture before stays.",
    )


def _fills(runs: Sequence[Run], earlier: Run, later: Run, *, by_place: bool) -> bool:
    """Whether a track goes on for at least half of the pause between the two."""
    begin, end = earlier.end, later.first
    inside = (run for run in runs if _is_inside(run, earlier, later, by_place=by_place))
    return 2 * sum(min(run.end, end) - max(run.first, begin) for run in inside) >= end - begin


def _is_inside(run: Run, earlier: Run, later: Run, *, by_place: bool) -> bool:
    """Whether a run of another track fills some of the pause between the two. `by_place`: it must lie there in the file,
    too, since a clock that was set anew may say the same again; an MP4's clock is not, and its tracks may lie apart."""
    is_there = run.first < later.first - INSIDE and run.end > earlier.end + INSIDE
    if not by_place:
        return is_there
    return is_there and run.position <= later.last_position and run.last_position >= earlier.position


# ── which stretch a run of another track belongs to ─────────────────────────────────────────────────────────────────
MOST_OF_IT = 0.8


def _owner(run: Run, stretches: Sequence[Stretch]) -> int | None:
    """Of several whose clocks it fits, that with which it shares most of the file; none, if it lies apart from all."""
    fitting = [number for number, stretch in enumerate(stretches) if _fits(run, stretch)]
    if len(fitting) == 1:
        return fitting[0]
    for number in fitting:
        if _nearness(run, stretches[number]) >= MOST_OF_IT * (
            stretches[number].last_position - stretches[number].position
        ):
            return number  # It may go on beside those behind it, whose picture alone was set back.
    nearest = max(fitting, key=lambda number: _nearness(run, stretches[number]), default=None)
    return nearest if nearest is not None and _nearness(run, stretches[nearest]) > 0 else None


def _with_one_clock(
    runs: Sequence[Run], owners: Sequence[int | None], stretches: Sequence[Stretch]
) -> list[tuple[Run, int | None]]:
    """A clock that is set back while that of the leading track is not, or not there yet, has two parts, and only one of them
    is the stretch's: that which shares most of the file with it."""
    parts: list[list[int]] = []
    for number, run in enumerate(runs):
        if number and owners[number] == owners[number - 1] and not run.goes_back:
            parts[-1].append(number)
        else:
            parts.append([number])
    best: dict[int, tuple[int, list[int]]] = {}
    for part in parts:
        if (owner := owners[part[0]]) is not None:
            shared = max(_nearness(runs[number], stretches[owner]) for number in part)
            best[owner] = max(best.get(owner, (shared, part)), (shared, part), key=lambda each: each[0])
    kept = {number for _, part in best.values() for number in part}
    return [
        (run, owner if number in kept else None) for number, (run, owner) in enumerate(zip(runs, owners, strict=True))
    ]


def _fits(run: Run, stretch: Stretch) -> bool:
    margin = JUMP_SECONDS * VIDEO_TIMESCALE
    return run.first <= stretch.end + margin and run.end >= stretch.first - margin


def _nearness(run: Run, stretch: Stretch) -> int:
    """Bytes of the file that they share; negative where they lie apart."""
    return min(run.last_position, stretch.last_position) - max(run.position, stretch.position)


# ── one behind the other ────────────────────────────────────────────────────────────────────────────────────────────
def _follow(stretch: Stretch, before: Stretch, number: int, tracks: Sequence[_Track]) -> TimelineNote:
    """Shift `stretch` so that it follows `before`: by its picture, unless sound of both would be heard at once."""
    at = before.end + before.shift
    stretch.shift = at - stretch.first
    overlaps = [
        track.end - (track.firsts[number] + stretch.shift)
        for track in tracks
        if number in track.firsts and track.end is not None
    ]
    stretch.shift += max([0, *(overlap for overlap in overlaps if overlap > OVERLAP)])
    change = (stretch.first - before.end) / VIDEO_TIMESCALE
    how = "goes back" if change < 0 else "leaps ahead"
    return TimelineNote(
        kind=NoteKind.RESET if change < 0 else NoteKind.JUMP,
        at=at / VIDEO_TIMESCALE,
        seconds=round(change, 3),
        text=f"The clock {how} by {abs(change):,.1f} s; what comes behind it follows without a pause.",
    )


def positions(placed: Iterable[Placed]) -> list[tuple[int, int]]:
    """(position, shift) of each run whose shift differs from that of the one before it."""
    found: list[tuple[int, int]] = []
    for each in placed:
        if not found or found[-1][1] != each.shift:
            found.append((each.run.position, each.shift))
    return found


# ── single wrong times ──────────────────────────────────────────────────────────────────────────────────────────────
DEEPEST_REORDERING = 17
"""No codec shows a picture earlier, or later, than so many that it is coded behind, or in front of."""

SEVERAL = 8
"""Pictures. Fewer may have a wrong time; what so many do is the way in which the film is coded."""

NEIGHBOURS = 31
FAR = 8
"""A time this many usual distances away from the middle of its neighbours' is not one of them."""


def misplaced(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a run's presentation times, in the order of decoding, are wrong: further from their neighbours than
    reordering takes them. Nothing but a few passes over the array where all is well."""
    depth = _depth(times)
    if len(times) <= depth:
        return np.zeros(len(times), np.bool_)
    latest_before = np.maximum.accumulate(times)[:-depth]
    earliest_behind = np.minimum.accumulate(times[::-1])[::-1][depth:]
    suspicious = np.zeros(len(times), np.bool_)
    suspicious[depth:] |= times[depth:] < latest_before
    suspicious[:-depth] |= times[:-depth] > earliest_behind
    for number in np.flatnonzero(suspicious):
        suspicious[number] = _is_far(times, int(number))
    return suspicious


def behind_their_decoding(times: NDArray[np.int64], decoded: NDArray[np.int64], reordered: int) -> NDArray[np.bool_]:
    """Which of the last times of a run, behind which there is not enough to compare them with, are too late to be true: a
    picture is shown when the last one is decoded, or soon after."""
    late = np.zeros(len(times), np.bool_)
    if len(times) < 2:
        return late
    usual = max(1, int(np.median(np.abs(np.diff(decoded)))))
    longest = JUMP_SECONDS * VIDEO_TIMESCALE if reordered else FAR * usual
    tail = slice(max(0, len(times) - NEIGHBOURS), None)
    late[tail] = times[tail] > int(decoded.max()) + longest
    return late


def _depth(times: NDArray[np.int64]) -> int:
    """How many packets, coded behind a picture, are shown before it: the most that several pictures of the run have, and two
    more. Single ones have more because their time is wrong."""
    sooner = np.zeros(len(times), np.int64)
    for distance in range(1, min(DEEPEST_REORDERING, len(times))):
        sooner[:-distance] += times[:-distance] > times[distance:]
    several = max(SEVERAL, len(times) // 100)
    usual = int(np.sort(sooner)[-several]) if len(times) >= several else 0
    return min(DEEPEST_REORDERING, usual + 2)


def _is_far(times: NDArray[np.int64], number: int) -> bool:
    near = np.sort(times[max(0, number - NEIGHBOURS // 2) : number + NEIGHBOURS // 2 + 1])
    usual = max(1, int(np.median(np.diff(near))))
    return abs(int(times[number]) - int(near[len(near) // 2])) > FAR * usual
