"""What a source is asked for, and what it answers, whatever kind it is."""

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True)
class Opened:
    """What a source sends from byte `start` on: 0 where it does not go on with the version that was asked for. `length` is that
    of the whole, None where it does not say; `validator` names the version, None where nothing does."""

    start: int
    length: int | None
    validator: str | None
    pieces: AsyncIterator[bytes]


class Source(Protocol):
    def open(self, start: int, validator: str | None) -> AbstractAsyncContextManager[Opened]:
        """From byte `start` on, as long as it is the version that `validator` names; else from its beginning.

        This, and what is read inside of it, raises FetchError; FetchInterrupted where another try may come to more.
        """
        ...
