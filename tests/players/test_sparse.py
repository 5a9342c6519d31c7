"""Slides, lectures, animations and covers: whatever the gaps between pictures, every player keeps the time."""

import asyncio
from collections.abc import Iterable

import pytest
from player import KINDS, VIDEO_JS, Cinema, Kind, Report
from streams import Stream, Streams

pytestmark = pytest.mark.asyncio(loop_scope="session")

RATE = 4
"""Players that fetch ten seconds ahead still have enough of them."""

FEW_SEEKS, MANY_SEEKS = 7, 13
SEATS = 3

PLAYERS = KINDS | VIDEO_JS
OFTEN = {
    "a picture every six seconds": ["hls.js", "shaka-player DASH", "video.js HLS"],
    "film with pauses": ["shaka-player HLS", "dash.js", "native HLS"],
    "GIF": ["hls.js", "dash.js", "native HLS", "video.js DASH"],
    "one picture": ["shaka-player HLS", "shaka-player DASH", "video.js HLS", "video.js DASH"],
}


@pytest.mark.parametrize(
    ("name", "players", "seeks"),
    [
        *(pytest.param(name, players, FEW_SEEKS, id=name) for name, players in OFTEN.items()),
        *(pytest.param(name, PLAYERS, MANY_SEEKS, id=f"{name}, all", marks=pytest.mark.slow) for name in OFTEN),
    ],
)
async def test_every_player_keeps_the_time(
    cinema: Cinema, streams: Streams, name: str, players: Iterable[str], seeks: int
) -> None:
    """Some players at once: one after the other would take minutes, and all of them starve on two busy cores."""
    stream = await streams.get(name)
    seats = asyncio.Semaphore(SEATS)
    async with asyncio.TaskGroup() as tasks:
        watching = {
            player: tasks.create_task(watch(cinema, stream, PLAYERS[player], seats, seeks)) for player in players
        }
    for player, task in watching.items():
        lengths, report = task.result()
        assert report.complaints == [], player
        assert report.ended, player
        assert max(lengths) <= stream.source.duration + 0.1, player
        assert report.time == pytest.approx(stream.source.duration, abs=0.1), player


async def watch(
    cinema: Cinema, stream: Stream, kind: Kind, seats: asyncio.Semaphore, seeks: int
) -> tuple[list[float], Report]:
    """How long the player believes the film to be after each seek and at its end."""
    last = stream.source.duration - 2
    lengths = []
    async with seats, cinema.showing(stream, kind) as player:
        for number in range(seeks):
            await player.seek(number * 5 % seeks / (seeks - 1) * last, RATE)
            lengths.append((await player.report()).duration)
        await player.seek(last / 2, RATE)
        await player.play_on()
        report = await player.report()
    return [*lengths, report.duration], report
