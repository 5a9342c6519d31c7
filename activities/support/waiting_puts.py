"""Puts of what took long to make: while the store is away they wait, and the work is not done again for one of them."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar

from streamforge.contracts.events import waiting
from streamforge.contracts.job import Stage
from streamforge.errors import DiskFull, StorageUnavailable
from streamforge.events.reporter import Reporter
from streamforge.retry import backoff

P = ParamSpec("P")
T = TypeVar("T")

FIRST_WAIT, LONGEST_WAIT = 1.0, 30.0
"""Seconds, as between attempts of a whole activity."""


async def retry_while_store_is_away(
    reporter: Reporter, put: Callable[P, Awaitable[T]], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Until it succeeds, or fails for another reason than the store's; the job's stream says what it waits for."""
    for attempt, delay in enumerate(backoff(FIRST_WAIT, LONGEST_WAIT), 1):
        try:
            return await put(*args, **kwargs)
        except (StorageUnavailable, DiskFull) as error:
            await reporter.state(waiting(error, attempt, Stage.TRANSCODING))
        await asyncio.sleep(delay)
    raise AssertionError("backoff never ends")
