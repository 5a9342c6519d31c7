"""Broadcasts that give times to key frames only. FFmpeg reckons the others by the rate that the codec claims, and where that
is wrong (MPEG-4 counts in a unit of its own) pictures hurry after each key frame and then wait for the next one."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

NO_PACE = 0

FEWEST_GROUPS = 4
"""Pictures from one key frame to the next, so many times, make it certain. Of fewer the file has to be asked."""

ROUNDING = 2
"""Ticks that two distances differ by that are the same."""

SAME = 0.01
"""Relative. How exactly groups must agree, and …"""
OTHER = 0.1
"""… by how much they must contradict what is reckoned."""


Question = Callable[[], bool]


def even_pace(times: NDArray[np.int64], keys: NDArray[np.bool_], are_only_keys_timed: Question) -> int:
    """Ticks from one picture to the next, where times between key frames are only reckoned, and wrongly; else NO_PACE. `times`
    are those of all pictures, in ticks, in the order of the file, in which they are shown. `are_only_keys_timed` reads the file
    once more."""
    groups = np.flatnonzero(keys)
    if len(groups) < 2:
        return NO_PACE
    reckoned = np.diff(times)[~keys[1:]]
    if len(reckoned) == 0 or np.ptp(reckoned) > ROUNDING:
        return NO_PACE
    counts, spans = np.diff(groups), np.diff(times[groups])
    pace = float(spans.sum() / counts.sum())
    is_even = bool((np.abs(spans - counts * pace) <= SAME * pace * counts).all())
    if not is_even or pace <= (1 + OTHER) * float(reckoned.mean()):
        return NO_PACE
    return round(pace) if len(groups) > FEWEST_GROUPS or are_only_keys_timed() else NO_PACE


def evenly(times: NDArray[np.int64], keys: NDArray[np.bool_], pace: int) -> NDArray[np.int64]:
    """Each picture behind the last key frame at its place."""
    numbers = np.arange(len(times))
    last_keys = np.maximum.accumulate(np.where(keys, numbers, 0))
    paced: NDArray[np.int64] = times[last_keys] + (numbers - last_keys) * pace
    return paced
