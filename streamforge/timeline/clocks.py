"""The timeline of a source: when each of its pictures is shown, and what has to be done to the clock of each track for it.

Rests on the rules of streamforge.timeline.alignment. All times are ticks of 1/VIDEO_TIMESCALE s of the leading track's
first clock, which is not touched: ordinary sources are read as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import ClockRun, NoteKind, TimelineNote, TrackClock
from streamforge.timeline.alignment import JUMP_SECONDS, Placed, align
from streamforge.timeline.clock_runs import Run, RunFinder
from streamforge.timeline.even_pace import NO_PACE, even_pace, evenly
from streamforge.timeline.stray_times import behind_their_decoding, contradicted, misled, misplaced
from streamforge.timeline.untimed_end import untimed_end

NO_TIME = -(2**63)

EXPLICIT = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "avi", "gif", "asf", "nut", "mxf"}
"""Containers that say of each picture when it is shown."""

TIMED_BY_KEYS = {"mpegts", "mpeg"}
"""Containers that need not say it of each (ISO/IEC 13818-1 §2.7.4: every 0.7 s)."""

MOST_DISBELIEVED = 500
"""Of a film with more wrong times than that none is believed: they are told to everyone who reads the source."""

MOST_RUNS_OF_SOUND = 1_000
"""For the same reason."""

FEWEST_TIMED = 0.002
"""Share of the pictures that must have a time. Broadcasters give one to every key frame, the rest can be counted."""

SAME_DISTANCE = VIDEO_TIMESCALE // 5
"""Of sound from its picture, as they lie in the file."""

REORDERED = 3
"""Usual distances of two pictures that one is shown behind those coded behind it."""

NOTED_GAP = VIDEO_TIMESCALE // 2
NOTED_TIMES_USUAL = 4
MOST_NOTES = 50


@dataclass
class FilmPackets:
    """Of the pictures of a film, in the order of the file."""

    times: NDArray[np.int64]
    positions: NDArray[np.int64]
    keys: NDArray[np.bool_]
    finder: RunFinder
    decoded: NDArray[np.int64] | None = None
    """When each is decoded, where the container says so."""
    reordered: int = 0
    """How many pictures one may be shown behind that are coded behind it."""
    in_output_order: bool = False
    is_plainly_reordered: bool = False
    """Only a picture and those right in front of it change places."""
    late: int = 0
    """Ticks that FFmpeg gives every picture too much, beside sound: in AVI, where it takes for reordered what is not."""
    are_only_keys_timed: Callable[[], bool] = lambda: False
    """Whether no other picture has a time of its own, which FFmpeg does not say when it has filled them in. It takes a while."""

    @cached_property
    def spread(self) -> int:
        """Ticks that the times of neighbours may be apart because pictures are reordered; 0 where decode times are known."""
        known = self.times[self.times != NO_TIME]
        if self.decoded is not None or not self.reordered or len(known) < 2:
            return 0
        return REORDERED * int(np.median(np.abs(np.diff(np.sort(known)))))


@dataclass
class FilmClock:
    """`times` is when each picture is shown, NO_TIME where that is not known. A film whose times are of no use at all is
    not `is_timed`: its pictures are counted."""

    times: NDArray[np.int64]
    clock: TrackClock
    sounds: dict[int, TrackClock]
    sound_ends: dict[int, int]
    """Where the sound of each stream is over."""
    sound_starts: dict[int, int]
    notes: list[TimelineNote] = field(default_factory=list)
    is_timed: bool = True

    @property
    def known(self) -> NDArray[np.int64]:
        known: NDArray[np.int64] = self.times[self.times != NO_TIME]
        return known


def film_clock(film: FilmPackets, sounds: Mapping[int, RunFinder], container: str) -> FilmClock:
    """Of the film and of the sound streams beside it, by their indexes."""
    _settle_doubts(film.finder, [finder.runs for finder in sounds.values() if finder.is_usable])
    pace = _pace(film, container)
    if pace:
        film = replace(film, times=evenly(film.times, film.keys, pace), decoded=None)
    wrong = _wrong(film, container)
    beyond = _beyond_their_run(film, container)
    times = np.where(wrong, NO_TIME, film.times)
    runs = _with_extents(film, np.where(beyond, NO_TIME, times))
    heard = {index: _without_seams(finder, film) for index, finder in sounds.items() if finder.is_usable}
    share = np.count_nonzero(times != NO_TIME) / max(1, len(times))
    aligned = None
    is_placed = len(runs) == 1 or all(run.position >= 0 for run in runs)
    is_usable = is_placed and not film.finder.is_lost and np.count_nonzero(wrong) <= MOST_DISBELIEVED
    if runs and is_usable and share >= FEWEST_TIMED:
        aligned = align(runs, list(heard.values()), is_explicit=container in EXPLICIT)
    if aligned is None:
        return _untimed(film, sounds, breaks=len(runs) > 1)
    wrong |= beyond & _is_before_break(aligned.leading, len(times))
    times[wrong] = NO_TIME
    placed = dict(zip(heard, (_later(runs, film.late) for runs in aligned.others), strict=True))
    clock = TrackClock(
        runs=_clock_runs(aligned.leading),
        disbelieved=sorted(set(film.positions[wrong].tolist()) - {-1})[:MOST_DISBELIEVED],
        lead_ins=_lead_ins(aligned.leading, film),
        in_output_order=film.in_output_order,
        pace=pace,
    )
    shown = _shifted(times, aligned.leading)
    gaps = [] if container in EXPLICIT or any(note.kind == NoteKind.GAP for note in aligned.notes) else _gaps(shown)
    notes = [*aligned.notes, *_about_pace(pace), *_about_times(film, wrong, shown), *gaps]
    return FilmClock(
        times=shown,
        clock=clock,
        sounds={index: _sound_clock(placed.get(index), finder) for index, finder in sounds.items()},
        sound_ends={index: max(each.run.end + each.shift for each in runs) for index, runs in placed.items()},
        sound_starts={index: min(each.run.first + each.shift for each in runs) for index, runs in placed.items()},
        notes=notes[:MOST_NOTES],
    )


@dataclass
class SoundClock:
    """Of a file that has only sound, in seconds of the leading track's clock."""

    start: float
    end: float
    clocks: dict[int, TrackClock]
    notes: list[TimelineNote]


def sound_clock(sounds: Mapping[int, RunFinder], leading: int) -> SoundClock | None:
    """None when the leading track's times are of no use."""
    heard = {index: finder.runs for index, finder in sounds.items() if finder.runs and not finder.is_lost}
    if leading not in heard:
        return None
    others = {index: runs for index, runs in heard.items() if index != leading}
    aligned = align(heard[leading], list(others.values()), is_explicit=False)
    if aligned is None:
        return None
    placed = {leading: aligned.leading, **dict(zip(others, aligned.others, strict=True))}
    return SoundClock(
        start=heard[leading][0].first / VIDEO_TIMESCALE,
        end=max(each.run.end + each.shift for each in aligned.leading) / VIDEO_TIMESCALE,
        clocks={index: _sound_clock(placed.get(index), finder) for index, finder in sounds.items()},
        notes=aligned.notes,
    )


def _settle_doubts(finder: RunFinder, sounds: Sequence[Sequence[Run]]) -> None:
    """Few pictures that lie elsewhere are right where sound's clock was set back to the same place: all that lies behind them
    goes on with it after a pause, and only seems to go on with what lies in front."""
    found, believed = list[Run](), list[Run]()
    for run in finder.runs:
        if not found or run.in_doubt is None:
            found.append(run)
        elif any(_is_set_back_with(runs, found[-1], run.in_doubt, run) for runs in sounds):
            run.in_doubt.goes_back = True
            found += [run.in_doubt, run]
            believed.append(run.in_doubt)
        elif run.first - found[-1].end > VIDEO_TIMESCALE:
            found.append(run)  # A pause, where a break might be found when other tracks are looked at.
        else:
            found[-1].goes_on_with(run)
    finder.runs = found
    finder.believe(believed)


def _is_set_back_with(sound: Sequence[Run], before: Run, in_doubt: Run, behind: Run) -> bool:
    """Whether sound's clock is set back between `before` and `behind`, in the file, and those in doubt lie nearer to where it
    went than to where it was."""
    for earlier, later in pairwise(sound):
        if later.goes_back and before.last_position < later.position < behind.position:
            step = later.first - earlier.end
            return 2 * abs(in_doubt.first - before.end - step) < abs(step)
    return False


def _without_seams(finder: RunFinder, film: FilmPackets) -> list[Run]:
    """Runs of sound, without the seams at which it had nothing to do with what the picture's clock did."""
    found, believed = list[Run](), list[Run]()
    for run in finder.runs:
        if found and run.in_doubt is not None and _is_clock_of(film, found[-1], run.in_doubt, run):
            run.in_doubt.goes_back = run.in_doubt.first < found[-1].end
            run.goes_back = run.first < run.in_doubt.end
            found += [run.in_doubt, run]
            believed.append(run.in_doubt)
        elif run.is_seam and found and not (run.in_doubt is None and _moves_along(found[-1], run, film)):
            found[-1].goes_on_with(run)
        else:
            found.append(run)
    finder.believe(believed)
    return found


def _is_clock_of(film: FilmPackets, before: Run, in_doubt: Run, behind: Run) -> bool:
    """Whether the picture's clock leaps where that of a few packets of sound does, and as far: they are right, both times."""
    return _moves_along(before, in_doubt, film) and _moves_along(in_doubt, behind, film)


def _moves_along(earlier: Run, later: Run, film: FilmPackets) -> bool:
    """Whether sound is as far from the picture, in the file, behind a seam as in front of it: where the picture's clock was
    set back, its own was, too, and as much of it is missing."""
    times = film.times if film.decoded is None else film.decoded
    before, behind = np.searchsorted(film.positions, [earlier.last_position, later.position]) - 1
    if before < 0 or times[before] == NO_TIME or times[behind] == NO_TIME:
        return False
    off = (later.first - int(times[behind])) - (earlier.end - int(times[before]))
    return abs(off) <= SAME_DISTANCE + film.spread


def _pace(film: FilmPackets, container: str) -> int:
    is_simple = container in TIMED_BY_KEYS and film.reordered == 0 and bool((film.times != NO_TIME).all())
    return even_pace(film.times, film.keys, film.are_only_keys_timed) if is_simple else NO_PACE


def _untimed(film: FilmPackets, sounds: Mapping[int, RunFinder], *, breaks: bool) -> FilmClock:
    """Pictures are counted, and sound follows sound."""
    none = np.full(len(film.times), NO_TIME)
    untimed = FilmClock(none, TrackClock(), {index: TrackClock() for index in sounds}, {}, {}, is_timed=False)
    if breaks:
        text = "Its times contradict each other too often; pictures are shown at an even pace, and sound as it comes."
        untimed.notes.append(TimelineNote(kind=NoteKind.UNUSABLE, at=0, seconds=0, text=text))
    return untimed


def _wrong(film: FilmPackets, container: str) -> NDArray[np.bool_]:
    """Pictures whose times are not believed, by what is around them."""
    wrong = np.isin(film.positions, film.finder.outliers) & (film.positions >= 0)
    starts = [run.number for run in film.finder.runs]
    # Pauses begin runs, too: neighbours are looked at across them, but not across a clock that was set anew.
    for begin, end in pairwise([*_breaks(film, starts), len(film.times)]):
        timed = begin + np.flatnonzero((film.times[begin:end] != NO_TIME) & ~wrong[begin:end])
        wrong[timed] |= misplaced(film.times[timed])
        if film.decoded is not None:
            both = timed[film.decoded[timed] != NO_TIME]
            wrong[both] |= behind_their_decoding(film.times[both], film.decoded[both], film.reordered)
        every = begin + np.flatnonzero(film.times[begin:end] != NO_TIME)
        wrong[every] |= _by_reordering(film, every, wrong[every], container)
    return wrong


def _by_reordering(
    film: FilmPackets, numbers: NDArray[np.int64], wrong: NDArray[np.bool_], container: str
) -> NDArray[np.bool_]:
    """Which of the pictures `numbers` cannot be right because of others that are not."""
    found = np.zeros(len(numbers), np.bool_)
    if film.decoded is None or not film.reordered or film.in_output_order:
        return found
    times, decoded = film.times[numbers], film.decoded[numbers]
    if (decoded == NO_TIME).any():
        return found
    if container in TIMED_BY_KEYS and film.is_plainly_reordered:
        found |= misled(times, decoded, wrong)
    if container in EXPLICIT:
        found[~wrong] |= contradicted(times[~wrong], decoded[~wrong])
    return found


def _beyond_their_run(film: FilmPackets, container: str) -> NDArray[np.bool_]:
    """Pictures that are decoded in front of a leap of the clock and shown behind it, by their times: for those that have none
    FFmpeg takes what comes next."""
    found = np.zeros(len(film.times), np.bool_)
    if film.decoded is None or container in EXPLICIT:
        return found
    for earlier, later in pairwise(film.finder.runs):
        part = slice(earlier.number, later.number)
        known = film.decoded[part][film.decoded[part] != NO_TIME]
        if len(known):
            beyond = film.times[part] > int(known.max()) + JUMP_SECONDS * VIDEO_TIMESCALE
            found[part] = beyond if 2 * np.count_nonzero(beyond) < len(known) else False  # Most of them: slides.
    return found


def _is_before_break(placed: Sequence[Placed], count: int) -> NDArray[np.bool_]:
    """Pictures of runs behind which the clock was set anew."""
    found = np.zeros(count, np.bool_)
    for earlier, later in pairwise(placed):
        found[earlier.run.number : later.run.number] = earlier.shift != later.shift
    return found


def _breaks(film: FilmPackets, starts: Sequence[int]) -> list[int]:
    return [start for position, start in enumerate(starts) if position == 0 or film.finder.runs[position].goes_back]


def _with_extents(film: FilmPackets, times: NDArray[np.int64]) -> list[Run]:
    """The runs as their pictures that are believed have them; without those that have none."""
    found, runs = [], film.finder.runs
    ends = [*(run.number for run in runs), len(times)][1:]
    for run, end in zip(runs, ends, strict=True):
        part = times[run.number : end]
        known = part[part != NO_TIME]
        if len(known):
            first, last = int(known.min()), int(known.max())
            usual = (last - first) // max(1, len(known) - 1)
            # The last picture stays as long as the usual one, unless its packet says less or more of it.
            stays = usual if run.end - last <= 0 or run.end - last > 10 * max(1, usual) else run.end - last
            stays += untimed_end(part, film.keys[run.number : end], NO_TIME)
            found.append(Run(run.number, run.position, run.last_position, first, last + stays, len(known)))
    return found


def _shifted(times: NDArray[np.int64], placed: Sequence[Placed]) -> NDArray[np.int64]:
    shown = times.copy()
    ends = [*(each.run.number for each in placed), len(times)][1:]
    for each, end in zip(placed, ends, strict=True):
        if each.shift:
            part = shown[each.run.number : end]
            part[part != NO_TIME] += each.shift
    return shown


def _clock_runs(placed: Sequence[Placed]) -> list[ClockRun]:
    """One for each change of the shift; none where nothing is to be done."""
    found: list[ClockRun] = []
    for each in placed:
        if not found or found[-1].shift != each.shift:
            found.append(ClockRun(begin=each.run.first, position=each.run.position, shift=each.shift))
    return found if any(run.shift for run in found) else []


def _later(placed: Sequence[Placed], ticks: int) -> list[Placed]:
    return [replace(each, shift=each.shift + ticks) for each in placed]


def _sound_clock(placed: Sequence[Placed] | None, finder: RunFinder) -> TrackClock:
    if finder.stands_still:
        return TrackClock(is_unusable=True)
    if not placed:
        return TrackClock()
    return TrackClock(
        runs=_clock_runs(placed)[:MOST_RUNS_OF_SOUND],
        disbelieved=sorted(set(finder.outliers) - {-1})[:MOST_DISBELIEVED],
    )


def _lead_ins(placed: Sequence[Placed], film: FilmPackets) -> list[tuple[int, int]]:
    """Behind each break of the clock: from where to where in the file pictures lie that may lack what they refer to."""
    found = []
    for earlier, later in pairwise(placed):
        if earlier.shift != later.shift and not film.keys[later.run.number]:
            keys = np.flatnonzero(film.keys[later.run.number :])
            end = later.run.number + int(keys[0]) if len(keys) else len(film.keys)
            until = int(film.positions[end]) if end < len(film.keys) else later.run.last_position + 1
            found.append((later.run.position, until))
    return found


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────
def _about_pace(pace: int) -> list[TimelineNote]:
    if not pace:
        return []
    text = "Only its key frames have times; between them pictures are shown at an even pace."
    return [TimelineNote(kind=NoteKind.WITHOUT_TIME, at=0, seconds=0, text=text)]


def _about_times(film: FilmPackets, wrong: NDArray[np.bool_], shown: NDArray[np.int64]) -> list[TimelineNote]:
    notes = []
    if film.in_output_order:
        text = "The times of its pictures are those of decoding; they are shown in the order that the decoder has them."
        notes.append(TimelineNote(kind=NoteKind.OUTPUT_ORDER, at=0, seconds=0, text=text))
    if outliers := int(np.count_nonzero(wrong)):
        text = f"{_pictures(outliers)} a time far from that of the pictures around, and between these they are shown."
        notes.append(_note_at(NoteKind.OUTLIER, int(np.argmax(wrong)), shown, outliers, text))
    missing = film.times == NO_TIME
    if without := int(np.count_nonzero(missing)):
        text = f"{_pictures(without)} no time; they are shown where they stand in the file."
        notes.append(_note_at(NoteKind.WITHOUT_TIME, int(np.argmax(missing)), shown, without, text))
    return notes


def _pictures(count: int) -> str:
    return f"{count} pictures have" if count > 1 else "One picture has"


def _note_at(kind: NoteKind, number: int, shown: NDArray[np.int64], count: int, text: str) -> TimelineNote:
    """At the time of the last picture before `number` that has one."""
    before = shown[:number]
    before = before[before != NO_TIME]
    at = int(before[-1]) / VIDEO_TIMESCALE if len(before) else 0.0
    return TimelineNote(kind=kind, at=at, seconds=0, count=count, text=text)


def _gaps(shown: NDArray[np.int64]) -> list[TimelineNote]:
    """Pauses of the picture that are much longer than usual."""
    ordered = np.sort(shown[shown != NO_TIME])
    if len(ordered) < 3:
        return []
    lengths = np.diff(ordered)
    usual = int(np.median(lengths))
    found = np.flatnonzero(lengths > max(NOTED_GAP, NOTED_TIMES_USUAL * usual))[:MOST_NOTES]
    return [
        TimelineNote(
            kind=NoteKind.GAP,
            at=int(ordered[number]) / VIDEO_TIMESCALE,
            seconds=round(int(lengths[number]) / VIDEO_TIMESCALE, 3),
            text=f"For {int(lengths[number]) / VIDEO_TIMESCALE:.1f} s there is no new picture; the one before it stays.",
        )
        for number in found
    ]
