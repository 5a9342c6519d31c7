"""Others have their turn while there is much to do."""

import asyncio
import gc
from itertools import pairwise

from streamforge.event_loop import AT_ONCE, in_turns, spare_what_stays


async def test_others_have_their_turn_after_every_few_things() -> None:
    done: list[int] = []
    seen: list[int] = []

    async def look() -> None:
        while len(done) < 10 * AT_ONCE:
            seen.append(len(done))
            await asyncio.sleep(0)

    def make(number: int) -> int:
        done.append(number)
        return -number

    looking = asyncio.create_task(look())
    assert await in_turns(make, range(10 * AT_ONCE)) == [-number for number in range(10 * AT_ONCE)]
    await looking
    assert max(after - before for before, after in pairwise(seen)) <= AT_ONCE


def test_a_full_collection_looks_only_at_what_came_since() -> None:
    try:
        spare_what_stays()
        assert gc.get_freeze_count() > 10_000
        assert len(gc.get_objects()) < 10_000
    finally:
        gc.unfreeze()
