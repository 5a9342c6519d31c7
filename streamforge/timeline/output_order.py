"""A time for every picture that comes out of a decoder.

Where all is well pictures come out in the order of their times. Behind damage, or where recordings were joined within a
GOP, a decoder gives out some too early, or too late: their times are right. What has no time, or one that has passed, is
where it belongs: between those that came before and behind it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_WAITING = 16
"""Pictures that are held in memory. With more of them, what has no time is shown at the usual distance."""


MAX_HELD_BACK = 3
"""Pictures that wait for one whose packet the decoder has: MPEG-2's keeps a key frame back behind two others when a picture is
missing. One that is broken does not come."""


@dataclass(order=True)
class _Timed(Generic[T]):
    """`followers` have no time, and came out behind it."""

    time: int
    number: int
    thing: T = field(compare=False)
    followers: list[T] = field(default_factory=list, compare=False)


class OutputOrder(Generic[T]):
    """Gives out everything that it takes, with times that strictly increase. One thing is held back, and one more for each
    that came too early."""

    def __init__(self, usual: int) -> None:
        """`usual` distance of two times."""
        self._usual = usual
        self._last: int | None = None
        self._waiting: list[T] = []
        """Without a time, behind what was given out last."""
        self._held: list[_Timed[T]] = []
        self._newest: _Timed[T] | None = None
        self._count = 0
        self._expected: list[int] = []
        self.without_room = 0
        """Things that were left out, as there was no time left between their neighbours."""

    def expect(self, time: int) -> None:
        """A decoder was given the packet of a thing that has this time."""
        heappush(self._expected, time)

    def take(self, time: int | None, thing: T) -> Iterator[tuple[int, T]]:
        if time is None or (self._last is not None and time <= self._last):
            yield from self._wait(thing)
            return
        self._count += 1
        is_latest = all(time >= held.time for held in self._held)
        self._newest = _Timed(time, self._count, thing)
        heappush(self._held, self._newest)
        is_next = is_latest and not self._is_behind_another()
        if len(self._held) > 1 and (is_next or len(self._held) > MOST_WAITING):
            yield from self._give_out()

    def finish(self) -> Iterator[tuple[int, T]]:
        while self._held:
            yield from self._give_out()
        yield from self._spread(None)

    def _is_behind_another(self) -> bool:
        """Whether one that is to be given out before all that are held may still come."""
        while self._expected and self._last is not None and self._expected[0] <= self._last:
            heappop(self._expected)
        return len(self._held) <= MAX_HELD_BACK and bool(self._expected) and self._expected[0] < self._held[0].time

    def _wait(self, thing: T) -> Iterator[tuple[int, T]]:
        (self._newest.followers if self._newest is not None else self._waiting).append(thing)
        if len(self._waiting) + sum(len(held.followers) for held in self._held) <= MOST_WAITING:
            return
        if self._held:
            yield from self._give_out()
        else:
            yield from self._spread(None)

    def _give_out(self) -> Iterator[tuple[int, T]]:
        first = heappop(self._held)
        if self._newest is first:
            self._newest = None
        yield from self._spread(first.time)
        if self._last is not None and first.time <= self._last:
            self._waiting = [first.thing, *first.followers]  # The same time twice.
            return
        self._last = first.time
        yield first.time, first.thing
        self._waiting = first.followers

    def _spread(self, until: int | None) -> Iterator[tuple[int, T]]:
        """What waits, at the usual distance, or closer where the next one is near."""
        count, waiting, self._waiting = len(self._waiting), self._waiting, []
        step = self._usual
        if until is not None and self._last is not None:
            step = min(step, (until - self._last) // (count + 1))
        if waiting and self._last is None:
            self._last = -step if until is None else until - (count + 1) * step
        for thing in waiting:
            if step < 1:
                self.without_room += 1
                continue
            self._last = (self._last or 0) + step
            yield self._last, thing
