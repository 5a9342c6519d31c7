"""Chunks wait for memory, first come, first served, and what they take is learnt."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from sources import source, transcode, video

from activities.support.memory import MemoryBudget
from streamforge.planning.ladder import build_ladder
from streamforge.planning.memory import BASE_BYTES, FIRST_GUESS, expected_bytes

FILM = source(video(3840, 2160))
LADDER = build_ladder(FILM.video, transcode())
NEEDED = expected_bytes(FILM.video, LADDER, FIRST_GUESS)


class Chunk:
    """Holds its room until told to end."""

    def __init__(self, room: MemoryBudget) -> None:
        self.began = asyncio.Event()
        self.end = asyncio.Event()
        self._room = room
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._room.hold(FILM, LADDER):
            self.began.set()
            await self.end.wait()


async def settled() -> None:
    """Everything that can run has run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_as_many_run_as_fit_and_the_next_one_waits_for_the_first_to_end() -> None:
    room = MemoryBudget(2 * NEEDED)
    first, second, third = Chunk(room), Chunk(room), Chunk(room)
    await settled()
    assert [chunk.began.is_set() for chunk in (first, second, third)] == [True, True, False]
    second.end.set()
    await third.began.wait()
    for chunk in (first, third):
        chunk.end.set()
        await chunk.task


async def test_what_is_larger_than_everything_runs_alone() -> None:
    room = MemoryBudget(NEEDED // 2)
    first, second = Chunk(room), Chunk(room)
    await settled()
    assert [first.began.is_set(), second.began.is_set()] == [True, False]
    first.end.set()
    await second.began.wait()
    second.end.set()
    await second.task


async def test_one_that_is_cancelled_while_it_waits_or_runs_takes_no_room_along() -> None:
    room = MemoryBudget(NEEDED)
    running, waiting = Chunk(room), Chunk(room)
    await settled()
    for chunk in (waiting, running):
        chunk.task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await chunk.task
    async with AsyncExitStack() as stack:
        await asyncio.wait_for(stack.enter_async_context(room.hold(FILM, LADDER)), 1)


async def test_when_chunks_turn_out_smaller_more_of_them_fit() -> None:
    room = MemoryBudget(NEEDED)
    async with room.hold(FILM, LADDER):
        pass
    room.learn(FILM, LADDER, BASE_BYTES + (NEEDED - BASE_BYTES) // 4)
    small = [Chunk(room) for _ in range(3)]
    await settled()
    assert [chunk.began.is_set() for chunk in small] == [True, True, True]
    for chunk in small:
        chunk.end.set()
        await chunk.task


async def test_the_dearest_chunk_is_remembered() -> None:
    room = MemoryBudget(NEEDED)
    room.learn(FILM, LADDER, NEEDED)
    room.learn(FILM, LADDER, BASE_BYTES)
    first, second = Chunk(room), Chunk(room)
    await settled()
    assert [first.began.is_set(), second.began.is_set()] == [True, False]
    for chunk in (first, second):
        chunk.end.set()
        await chunk.task
