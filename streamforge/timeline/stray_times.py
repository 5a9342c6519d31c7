"""Single wrong times among those of a film's pictures."""

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media import VIDEO_TIMESCALE

LATEST_SECONDS = 10
"""That a picture is shown behind the decoding of the last one, where pictures are reordered across a pause."""

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
    longest = LATEST_SECONDS * VIDEO_TIMESCALE if reordered else FAR * usual
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
