"""Pictures without a time at the end of a part of a film: how much longer than those with one it lasts for them."""

import numpy as np
from numpy.typing import NDArray

MOSTLY_TIMED = 1.1
"""Pictures for each that has a time. Where there are more, as in broadcasts that give times to key frames only, the
distance of two times is not that of two pictures."""

FEWEST = 3
"""Times that say how far pictures are from each other."""


def untimed_end(times: NDArray[np.int64], keys: NDArray[np.bool_], no_time: int) -> int:
    """Ticks. `times` are those of the part's pictures in the order of the file, `no_time` where one has none."""
    timed = np.flatnonzero(times != no_time)
    if len(timed) == len(times) or len(timed) < FEWEST:
        return 0
    begin = _last_group(timed, keys)
    group = times[begin:]
    shown = np.sort(group[group != no_time])
    usual = _distance(times, timed, shown)
    places = 1 + round(int(shown[-1] - shown[0]) / usual)
    return usual * min(len(group) - len(shown), max(0, len(group) - places))


def _last_group(timed: NDArray[np.int64], keys: NDArray[np.bool_]) -> int:
    """Where the last group of pictures begins of which several have times, with the key frame: none that is shown in it lies in
    front of it."""
    whole = timed[keys[timed] & (timed <= timed[-FEWEST])]
    return int(whole[-1] if len(whole) else timed[0])


def _distance(times: NDArray[np.int64], timed: NDArray[np.int64], shown: NDArray[np.int64]) -> int:
    between = int(timed[-1] - timed[0])
    if between > MOSTLY_TIMED * len(timed):
        return max(1, int(times[timed].max() - times[timed].min()) // between)
    return max(1, int(np.median(np.diff(shown))))
