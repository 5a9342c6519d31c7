"""What an event loop must not do at a stretch: meanwhile everybody's streams, heartbeats and requests wait."""

import asyncio
import gc
from collections.abc import Callable, Iterable
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

AT_ONCE = 10


async def in_turns(make: Callable[[Item], Made], items: Iterable[Item]) -> list[Made]:
    """What `make` makes of each, in their order, a few in each turn of the loop: a page of a hundred jobs takes long."""
    made = []
    for number, item in enumerate(items, 1):
        made.append(make(item))
        if number % AT_ONCE == 0:
            await asyncio.sleep(0)
    return made


def spare_what_stays() -> None:
    """Once a process has started: what it consists of is not looked at again by each full collection of garbage, which
    stopped the API for 50 to 200 ms each time (modules, classes, schemas: 130,000 objects)."""
    gc.collect()
    gc.freeze()
