"""A time for every picture, in the order in which the decoder gives them out: that order is right, also where times are not."""

from collections.abc import Iterator
from typing import Generic, TypeVar

T = TypeVar("T")

MOST_WAITING = 16
"""Pictures without a time that are held in memory; more of them are shown at the usual distance."""


class OutputOrder(Generic[T]):
    """Gives out everything that it takes, with times that strictly increase. What has no time, falls back, or leaps ahead for
    a moment goes between its neighbours, at the usual distance from the one before it. Where all is well one thing is
    held back: only the next time shows whether the one before it had leapt."""

    def __init__(self, usual: int) -> None:
        """`usual` distance of two times."""
        self._usual = usual
        self._last: int | None = None
        self._waiting: list[T] = []
        """Behind `_last` and before the candidate."""
        self._candidate: tuple[int, T] | None = None
        self._behind: list[T] = []
        self.without_room = 0
        """Things that were left out, as there was no time left between their neighbours."""

    def take(self, time: int | None, thing: T) -> Iterator[tuple[int, T]]:
        if time is None or (self._last is not None and time <= self._last):
            yield from self._wait(thing)
        elif self._candidate is None:
            self._candidate = (time, thing)
        elif time > self._candidate[0]:
            yield from self._confirm()
            self._candidate = (time, thing)
        else:
            self._waiting += [self._candidate[1], *self._behind]
            self._candidate, self._behind = (time, thing), []

    def finish(self) -> Iterator[tuple[int, T]]:
        if self._candidate is not None:
            yield from self._confirm()
        yield from self._spread(None)

    def _wait(self, thing: T) -> Iterator[tuple[int, T]]:
        (self._waiting if self._candidate is None else self._behind).append(thing)
        if len(self._waiting) + len(self._behind) > MOST_WAITING:
            if self._candidate is not None:
                yield from self._confirm()
            yield from self._spread(None)

    def _confirm(self) -> Iterator[tuple[int, T]]:
        assert self._candidate is not None
        time, thing = self._candidate
        yield from self._spread(time)
        yield time, thing
        self._last = time
        self._waiting, self._behind, self._candidate = self._behind, [], None

    def _spread(self, until: int | None) -> Iterator[tuple[int, T]]:
        """What waits, at the usual distance, or closer where the next one is near."""
        count, waiting, self._waiting = len(self._waiting), self._waiting, []
        step = self._usual
        if until is not None and self._last is not None:
            step = min(step, (until - self._last) // (count + 1))
        if self._last is None:
            self._last = (until or 0) - (count + (until is not None)) * step if until is not None else -step
        for thing in waiting:
            if step < 1:
                self.without_room += 1
                continue
            self._last += step
            yield self._last, thing
