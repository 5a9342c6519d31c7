"""Waiting for what is away: the database, or whatever else passes."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeVar

import structlog

from streamforge.errors import DatabaseUnavailable, StreamForgeError

T = TypeVar("T")

STARTUP_WAIT_SECONDS = 60.0
"""Seconds that a process which starts waits for a database that starts beside it."""

_jitter = random.Random()  # noqa: S311 - not a secret
"""Not the one that all share: Hypothesis, in a test beside this, takes it for its own."""

log = structlog.stdlib.get_logger(__name__)


def backoff(first: float = 0.1, longest: float = 5.0) -> Iterator[float]:
    """Seconds to wait before each next try: doubling, with jitter so that processes do not come back in step."""
    delay = first
    while True:
        yield delay * _jitter.uniform(0.75, 1.25)
        delay = min(delay * 2, longest)


async def until_available(
    operation: Callable[[], Awaitable[T]],
    *,
    give_up_after: float | None = None,
    away: tuple[type[StreamForgeError], ...] = (DatabaseUnavailable,),
) -> T:
    """Repeat `operation` while it raises one of `away`; after `give_up_after` seconds let the error through.

    `operation` may have been committed when its connection died, and then runs again: it must bear that.
    """
    clock = asyncio.get_running_loop()
    deadline = None if give_up_after is None else clock.time() + give_up_after
    for delay in backoff():
        try:
            return await operation()
        except away as error:
            if deadline is not None and clock.time() + delay > deadline:
                raise
            log.warning(
                "away, waiting", code=error.code, reason=error.message, debug=error.debug, seconds=round(delay, 2)
            )
        await asyncio.sleep(delay)
    raise AssertionError("backoff never ends")


async def repeatedly(seconds: float, do: Callable[[], Awaitable[object]]) -> None:
    """For ever, with so many seconds before each time. What fails is logged, and done again the next time."""
    while True:
        await asyncio.sleep(seconds)
        try:
            await do()
        except Exception:
            log.exception("failed, and will be tried again")
