"""What the times of a film's pictures come to: where it begins, how long it is, how fast, and where decoding can begin."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.timeline.clocks import NO_TIME, FilmClock
from streamforge.timeline.untimed_end import MOSTLY_TIMED

LONGEST_LAST_SECONDS = 1800
"""A last picture may stay that long: a screen that nothing happens on. More is taken for a wrong header."""

DENSE_KEY_FRAMES = 1.0
"""Seconds between neighbours, on average. Below this, decoding from the one before costs nothing worth planning for."""

KEY_FRAME_STEP = VIDEO_TIMESCALE // 2
"""Where key frames have to be told by their places in the file, more of them than this are not."""

ROUNDED = VIDEO_TIMESCALE // 1000
"""Ticks that a container which counts milliseconds may make of the distance of two pictures more, or less, than it is: of 60
a second the usual distance would be that of 59, or of 62."""

OUTLASTED = VIDEO_TIMESCALE // 2
"""Sound that goes on behind the last picture for longer than this keeps it on the screen."""


@dataclass(frozen=True)
class FilmTimes:
    """Seconds, but for `key_frame_ticks`, which count from `start`."""

    duration: float
    picture_end: float
    """When the last picture would be over, were there no sound; `duration` is at least as long."""
    usual_gap: float
    reorder_gap: float
    average_rate: float
    is_variable: bool
    shown: list[int]
    """Times of all of them in ticks, in the order of the screen."""
    in_front: int
    """Pictures that lie before the first one that can be decoded."""
    key_frame_ticks: list[int]
    key_positions: list[int]


def film_times(
    film: FilmClock,
    start: int,
    *,
    keys: NDArray[np.bool_],
    positions: NDArray[np.int64],
    last_duration: int,
    declared_end: int | None,
) -> FilmTimes:
    """`start` is the time of the first picture that can be decoded; `last_duration` what the last packet says of itself;
    `declared_end` where the container, which is complete, says that the film is over. All in ticks of the film's clock."""
    known = film.known
    shown = np.sort(known[known >= start])
    if len(shown) == 0:
        shown = np.array([start], np.int64)
    start = max(start, int(shown[0]))
    gaps = np.diff(shown)
    gaps = gaps[gaps > 0]
    span = int(shown[-1] - shown[0])
    between, behind = _counted(film.times[(film.times == NO_TIME) | (film.times >= start)])
    usual = int(np.median(gaps)) if len(gaps) else 0
    # The median of an even number of gaps may lie between two that are far apart, where there is none.
    close = gaps[np.abs(gaps - usual) <= ROUNDED]
    usual_gap = float(close.mean()) if len(close) else float(usual)
    if between > MOSTLY_TIMED * len(shown):
        usual = span // between
        usual_gap = span / between
    picture_end = int(shown[-1]) + behind * usual + _last(last_duration, usual)
    # It was made of those times; and a last packet that says how long it lasts knows more than an edit list.
    is_declared = not (film.clock.runs or film.clock.disbelieved or last_duration > usual)
    if declared_end is not None and is_declared:
        picture_end = max(picture_end, min(declared_end, int(shown[-1]) + LONGEST_LAST_SECONDS * VIDEO_TIMESCALE))
    latest_sound = max(film.sound_ends.values(), default=picture_end)
    end = latest_sound if latest_sound > picture_end + OUTLASTED else picture_end
    ticks, places = _key_frames(film, start, end, keys, positions)
    wide = shown[2:] - shown[:-2]
    return FilmTimes(
        duration=(end - start) / VIDEO_TIMESCALE,
        picture_end=(picture_end - start) / VIDEO_TIMESCALE,
        usual_gap=usual_gap / VIDEO_TIMESCALE,
        reorder_gap=int(wide.max()) / VIDEO_TIMESCALE if len(wide) else 0.0,
        average_rate=max(between, len(shown) - 1) * VIDEO_TIMESCALE / span if span > 0 else 0.0,
        is_variable=len(gaps) > 0 and int(gaps.max()) > 1.5 * int(gaps.min()) + 2 * VIDEO_TIMESCALE / 1000,
        shown=shown.tolist(),
        in_front=int(np.count_nonzero(known < start)) + _untimed_in_front(film.times, keys),
        key_frame_ticks=ticks,
        key_positions=places,
    )


def _untimed_in_front(times: NDArray[np.int64], keys: NDArray[np.bool_]) -> int:
    """Pictures without a time that lie in front of the first key frame, with which decoding begins."""
    first = np.flatnonzero(keys)[:1]
    return int(np.count_nonzero(times[: first[0]] == NO_TIME)) if len(first) else 0


def _counted(times: NDArray[np.int64]) -> tuple[int, int]:
    """How many pictures of those in the order of the file lie from the first one that has a time to the last one, and how
    many lie behind that."""
    timed = np.flatnonzero(times != NO_TIME)
    return (int(timed[-1] - timed[0]), len(times) - 1 - int(timed[-1])) if len(timed) else (0, 0)


def _last(duration: int, usual: int) -> int:
    return duration if 0 < duration <= LONGEST_LAST_SECONDS * VIDEO_TIMESCALE else usual


def _key_frames(
    film: FilmClock, start: int, end: int, keys: NDArray[np.bool_], positions: NDArray[np.int64]
) -> tuple[list[int], list[int]]:
    """The places of key frames only where the film's clock is not the source's own."""
    chosen = np.flatnonzero(keys & (film.times != NO_TIME) & (film.times >= start))
    chosen = chosen[np.argsort(film.times[chosen], kind="stable")]
    ticks = film.times[chosen] - start
    if film.clock.runs or film.clock.continued_by:
        thinned = _thinned(ticks)
        return ticks[thinned].tolist(), positions[chosen][thinned].tolist()
    if len(chosen) * DENSE_KEY_FRAMES * VIDEO_TIMESCALE > end - start:
        return [], []
    return ticks.tolist(), []


def _thinned(ticks: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The first one of each KEY_FRAME_STEP."""
    slots = ticks // KEY_FRAME_STEP
    return np.concatenate([[True], slots[1:] != slots[:-1]]) if len(ticks) else np.zeros(0, np.bool_)
