"""Which part of a film is harmed where bytes of its pictures are missing."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import NoteKind, TimelineNote
from streamforge.timeline.clocks import NO_TIME

MOST_NOTES = 50


def damage(damaged: Sequence[int], keys: NDArray[np.bool_], times: NDArray[np.int64]) -> Iterator[TimelineNote]:
    """One note for each part, which goes on to the next key frame. `damaged` are numbers of pictures in the order of the
    file, rising; `keys` are those with which decoding can begin, `times` in ticks."""
    spans: list[tuple[int, int, int]] = []
    for number in damaged:
        if spans and number < spans[-1][1]:
            begin, end, count = spans[-1]
            spans[-1] = (begin, end, count + 1)
            continue
        behind = np.flatnonzero(keys[number + 1 :])[:1]
        spans.append((number, number + 1 + int(behind[0]) if len(behind) else len(times), 1))
    for begin, end, count in spans[:MOST_NOTES]:
        if len(known := times[begin:end][times[begin:end] != NO_TIME]):
            yield _note(int(known.min()), int(known.max()), count)


def _note(begin: int, end: int, count: int) -> TimelineNote:
    seconds = (end - begin) / VIDEO_TIMESCALE
    return TimelineNote(
        kind=NoteKind.DAMAGED,
        at=begin / VIDEO_TIMESCALE,
        seconds=round(seconds, 3),
        count=count,
        text=f"Bytes of the video are missing in the file; its pictures may be broken for {seconds:.1f} s.",
    )
