"""Single wrong times among those of a film's pictures."""

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media.source import VIDEO_TIMESCALE

LATEST_SECONDS = 10
"""That a picture is shown behind the decoding of the last one, where pictures are reordered across a pause."""

DEEPEST_REORDERING = 17
"""No codec shows a picture earlier, or later, than so many that it is coded behind, or in front of."""

SEVERAL = 8
"""Pictures. Fewer may have a wrong time; what so many do is the way in which the film is coded."""

NEIGHBOURS = 31
ROUNDED = VIDEO_TIMESCALE // 1000
"""Ticks that two times differ by which are the same in a container that counts milliseconds."""

MOST_TWICE = 20
"""Moments at which two pictures are shown. More of them are the way in which the film was made."""

MOST_FREE = 2
"""Moments without a picture, beside those of pictures that have a wrong time: some may be lost."""

FAR = 8
"""A time this many usual distances away from the middle of its neighbours' is not one of them."""


def misplaced(times: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of a run's presentation times, in the order of decoding, are wrong: further from their neighbours than
    reordering takes them. Nothing but a few passes over the array where all is well."""
    depth = _depth(times)
    if len(times) <= depth:
        return np.zeros(len(times), np.bool_)
    suspicious = _out_of_order(times, np.ones(len(times), np.bool_), depth)
    for number in np.flatnonzero(suspicious):
        suspicious[number] = _is_far(times, int(number))
    # One that is far off makes all others suspicious, of which a pause may take some far from their neighbours.
    return suspicious & _out_of_order(times, ~suspicious, depth) if suspicious.any() else suspicious


def _out_of_order(times: NDArray[np.int64], others: NDArray[np.bool_], depth: int) -> NDArray[np.bool_]:
    """Which times are before one of `others` that lies `depth` packets or more in front, or after one as far behind."""
    found = np.zeros(len(times), np.bool_)
    latest_before = np.maximum.accumulate(np.where(others, times, times.min()))[:-depth]
    earliest_behind = np.minimum.accumulate(np.where(others, times, times.max())[::-1])[::-1][depth:]
    found[depth:] |= times[depth:] < latest_before
    found[:-depth] |= times[:-depth] > earliest_behind
    return found


def behind_their_decoding(times: NDArray[np.int64], decoded: NDArray[np.int64], reordered: int) -> NDArray[np.bool_]:
    """Which of the last times of a run, behind which there is not enough to compare them with, are too late to be true: a
    picture is shown when the last one is decoded, or soon after."""
    late = np.zeros(len(times), np.bool_)
    if len(times) < 2:
        return late
    usual = max(1, int(np.median(np.abs(np.diff(decoded)))))
    latest, tail = int(decoded.max()), slice(max(0, len(times) - NEIGHBOURS), None)
    late[tail] = times[tail] > latest + FAR * usual
    if reordered and not _are_moments_free(times, decoded[tail], int(np.count_nonzero(late))):
        late[tail] = times[tail] > latest + LATEST_SECONDS * VIDEO_TIMESCALE
    return late


def _are_moments_free(times: NDArray[np.int64], decoded: NDArray[np.int64], count: int) -> bool:
    """Whether `count` of the moments at which a picture is decoded have none that is shown then: where pictures are reordered,
    one is decoded whenever another one is shown. It was taken away from there; many say that this source is not like that."""
    held = times[(times >= decoded.min() - ROUNDED) & (times <= decoded.max() + ROUNDED)]
    within = decoded[decoded >= held.min()] if len(held) else decoded[:0]
    is_free = np.array([not bool((np.abs(held - moment) <= ROUNDED).any()) for moment in within], np.bool_)
    return 0 < count <= int(np.count_nonzero(is_free)) <= count + MOST_FREE


def misled(times: NDArray[np.int64], decoded: NDArray[np.int64], wrong: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pictures without a time of their own for which FFmpeg took what the one coded behind them says, where that is wrong.
    `wrong` are those; pictures are reordered plainly: one that others refer to is shown when the next one is decoded."""
    found = np.zeros(len(times), np.bool_)
    refers = np.flatnonzero(times > decoded)
    these = 1 + np.flatnonzero(wrong[refers[1:]])
    these = these[refers[these] + 1 < len(times)]
    before = refers[these - 1]
    found[before] = times[before] > decoded[refers[these] + 1]
    return found & ~wrong


def contradicted(times: NDArray[np.int64], decoded: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Where two pictures are shown at once, and none at a moment soon behind, at which one is decoded: all from one to the other
    have each other's times, and nothing says which. All pictures have a time here."""
    found = np.zeros(len(times), np.bool_)
    ordered = np.sort(times)
    twice = np.unique(ordered[1:][np.diff(ordered) == 0])
    if not 0 < len(twice) <= MOST_TWICE:
        return found
    free = np.setdiff1d(decoded, times)
    for moment in twice:
        behind = free[free > moment][:1]
        between = (times >= moment) & (times <= behind[0]) if len(behind) else found
        if 0 < np.count_nonzero(between) <= DEEPEST_REORDERING:
            found |= between
    return found


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
