"""From what packets say to when they are shown: where clocks restart, leap, or lie, for all tracks of a source together.

The rules. A track's clock is *continuous* while the decode times of its packets do not fall, and do not leap by more than
JUMP_SECONDS. A few packets in a row that lie elsewhere are *outliers*, if the clock goes on behind them; else they begin a
new *run*. Runs of different tracks belong together where both their clock and their place in the file agree: they are one
*stretch*, and shifted alike. A stretch whose clock *restarts*, or *leaps* while no track has anything, follows the one
before it without a pause. A leap that some track fills, or a short one, is a *gap*: it stays.

All times are ticks of 1/VIDEO_TIMESCALE s.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice, pairwise, takewhile

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import NoteKind, TimelineNote
from streamforge.timeline.clock_runs import BACKWARD, SPARSE, Run

JUMP_SECONDS = 10
"""A clock that leaps further than this while no track has anything was set anew: nobody films an hour of nothing. FFmpeg
has the same limit for containers whose clocks may break (`dts_delta_threshold`)."""

STILL_SECONDS = 1800
"""… but in a container that says of each picture when it is shown, it may be meant to stay as long."""

MOST_SILENCES = 100
"""Pauses that are looked into, for being told."""

MOST_STRETCHES = 200
"""Each is told to everyone who reads the source."""

INSIDE = VIDEO_TIMESCALE
"""What a track has this long behind the edges of a leap, it has inside of it."""


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
    by_place = not is_explicit or len(stretches) > 1  # A clock that was set anew may say the same again.
    silences = _silences(stretches, others, by_place=by_place) if any(others) else {}
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
        owners = [_owner(run, stretches) for run in runs]
        if None in owners and (in_step := _in_step(runs, stretches)):
            owners = in_step
        self._owned = _with_one_clock(runs, owners, stretches)
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
            if self._waits_for(owner) > number:
                return
            shift = self._follow(run) if owner is None else self._stretches[owner].shift
            self.placed.append(Placed(run, shift))
            self.end = max(run.end + shift, self.end if self.end is not None else run.end + shift)

    def _waits_for(self, owner: int | None) -> int:
        """The number of the stretch that must be placed first; for those in front of all others, that of the first one that
        has a stretch."""
        if owner is None and self.end is None:
            return next((owner for _, owner in self._owned if owner is not None), 0)
        return owner or 0

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
    if pause < -BACKWARD or any(_is_set_back(runs, earlier, later) for runs in others):
        return False
    if pause <= max(JUMP_SECONDS * VIDEO_TIMESCALE, SPARSE * usual):
        return True
    if is_explicit and pause <= STILL_SECONDS * VIDEO_TIMESCALE:
        return True
    return any(_fills(runs, earlier, later, by_place=not is_explicit) for runs in others)


def _is_set_back(runs: Sequence[Run], earlier: Run, later: Run) -> bool:
    """Whether a track goes on, in the file, between the two, and its clock is set back there: theirs was, too; unless it only
    does so a little behind theirs, which was set back to the same time with the first of them."""
    between = (run for run in runs if run.goes_back and earlier.last_position < run.position < later.position)
    return any(not earlier.goes_back or abs(run.first - earlier.first) > INSIDE for run in between)


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
    if nearest is None or _nearness(run, stretches[nearest]) >= 0:
        return nearest
    return nearest if stretches[nearest] is stretches[-1] and _is_behind(run, stretches[nearest]) else None


def _is_behind(run: Run, stretch: Stretch) -> bool:
    """Whether a run begins where the stretch ends, in the file and by its clock: sound that goes on under a last picture."""
    return run.position > stretch.last_position and run.first >= stretch.end - INSIDE


def _in_step(runs: Sequence[Run], stretches: Sequence[Stretch]) -> list[int | None]:
    """Where a track lies so far behind in the file that it shares nothing with its stretches: its clock broke as often as
    theirs, so it broke with them. Empty where that cannot be."""
    parts, owners = 0, list[int | None]()
    for number, run in enumerate(runs):
        is_break = number > 0 and (run.goes_back or run.first - runs[number - 1].end > JUMP_SECONDS * VIDEO_TIMESCALE)
        parts += is_break
        if parts >= len(stretches) or not _fits(run, stretches[parts]):
            return []
        owners.append(parts)
    return owners if parts == len(stretches) - 1 else []


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
    """Shift `stretch` so that it follows `before`: by its picture, unless sound of both would be heard at once. Then it waits,
    and the last picture stays: how long that was meant to be nobody knows as well as sound, which goes on without a gap."""
    at = before.end + before.shift
    stretch.shift = at - stretch.first
    overlaps = [
        track.end - (track.firsts[number] + stretch.shift)
        for track in tracks
        if number in track.firsts and track.end is not None
    ]
    stretch.shift += max([0, *overlaps])
    change = (stretch.first - before.end) / VIDEO_TIMESCALE
    how = "goes back" if change < 0 else "leaps ahead"
    return TimelineNote(
        kind=NoteKind.RESET if change < 0 else NoteKind.JUMP,
        at=at / VIDEO_TIMESCALE,
        seconds=round(change, 3),
        text=f"The clock {how} by {abs(change):,.1f} s; what comes behind it follows without a pause.",
    )
