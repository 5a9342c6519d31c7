"""Slides, lectures, animations and covers: whatever the gaps between pictures, every player keeps the time."""

import asyncio

import pytest
from player import KINDS, VIDEO_JS, Cinema, Kind, Report
from streams import Stream, Streams

pytestmark = pytest.mark.asyncio(loop_scope="session")

RATE = 4
"""Players that fetch ten seconds ahead still have enough of them."""

SEEKS = 13
SEATS = 3


@pytest.mark.parametrize("name", ["a picture every six seconds", "film with pauses", "GIF", "one picture"])
async def test_every_player_keeps_the_time(cinema: Cinema, streams: Streams, name: str) -> None:
    """Some players at once: one after the other would take minutes, and all of them starve on two busy cores."""
    stream = await streams.get(name)
    seats = asyncio.Semaphore(SEATS)
    async with asyncio.TaskGroup() as tasks:
        kinds = (KINDS | VIDEO_JS).items()
        watching = {player: tasks.create_task(watch(cinema, stream, kind, seats)) for player, kind in kinds}
    for player, task in watching.items():
        lengths, report = task.result()
        assert report.complaints == [], player
        assert report.ended, player
        assert max(lengths) <= stream.source.duration + 0.1, player
        assert report.time == pytest.approx(stream.source.duration, abs=0.1), player


async def watch(cinema: Cinema, stream: Stream, kind: Kind, seats: asyncio.Semaphore) -> tuple[list[float], Report]:
    """How long the player believes the film to be after each seek and at its end."""
    last = stream.source.duration - 2
    lengths = []
    async with seats, cinema.showing(stream, kind) as player:
        for number in range(SEEKS):
            await player.seek(number * 5 % SEEKS / (SEEKS - 1) * last, RATE)
            lengths.append((await player.report()).duration)
        await player.seek(last / 2, RATE)
        await player.play_on()
        report = await player.report()
    return [*lengths, report.duration], report
