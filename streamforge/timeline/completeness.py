"""Does a source go on to its end? Single broken pictures are skipped; a source that stops is refused, because a viewer
would wait for an end that never comes."""

from collections.abc import Iterable

TOLERATED_SHARE = 0.05
TOLERATED_LEAST = 0.5
TOLERATED_MOST = 10.0
"""Seconds at the end that may be missing: 5 % of the film, within these bounds. Recorders that are switched off and
players that cut without care lose the last group of pictures; more than that is not an accident of the last moment."""

LAST_PACKETS = 3
"""Of which one that is not the very last may be broken, where a source goes on to its end."""

PICTURE_WORTH = 3
"""One picture makes up for so many packets: where fewer than a third of the packets give a picture, there is nothing to
see (random bytes decode now and then), while a packet may be half a picture (fields) or none (VP9's hidden frames)."""


def tolerated_seconds(duration: float) -> float:
    return min(max(duration * TOLERATED_SHARE, TOLERATED_LEAST), TOLERATED_MOST)


def stops_at(packets: Iterable[int], pictures: Iterable[int]) -> int | None:
    """Where the run of packets begins that goes on to the end and hardly gives a picture; None when the end is well.

    Takes the presentation times of all packets and of the pictures that came out of them.
    """
    packets, pictures = list(packets), list(pictures)
    if _ends_well(packets, pictures):
        return None
    seen = sorted([*((time, False) for time in packets), *((time, True) for time in pictures)])
    missing, stopped = 0, None
    for time, is_picture in seen:
        if missing == 0:
            stopped = time
        missing = max(0, missing - PICTURE_WORTH) if is_picture else missing + 1
    return stopped if missing > 0 else None


def _ends_well(packets: list[int], pictures: list[int]) -> bool:
    """Whether the last packets give pictures: then something is missing in front of them, and the source goes on to its end."""
    last = sorted(packets)[-LAST_PACKETS:]
    given = set(last) & set(pictures)
    return len(last) == LAST_PACKETS and len(given) >= LAST_PACKETS - 1 and last[-1] in given
