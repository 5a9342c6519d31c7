"""Python's garbage collector, where an activity holds a whole film.

A full collection looks at every object of the process while its event loop stands still: half a second for the segments of
twelve hours, again and again while they are being read, and it finds nothing, for all of them are in use.
"""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

NEVER = 2**31 - 1

_usual: list[int] = []
"""How often full collections are made outside of these blocks, once for each block that is not over."""


@contextmanager
def no_full_collections() -> Iterator[None]:
    """Until the last of such blocks has ended, only young objects are looked at. What holds the film must be gone by
    then, so put the block around the call of the function that does."""
    young, younger, old = gc.get_threshold()
    _usual.append(_usual[0] if _usual else old)
    gc.set_threshold(young, younger, NEVER)
    try:
        yield
    finally:
        old = _usual.pop()
        if not _usual:
            gc.set_threshold(young, younger, old)
