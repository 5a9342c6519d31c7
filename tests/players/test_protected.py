"""Encrypted streams play where the keys are to be had, and nowhere else."""

import pytest
from player import KINDS, Cinema
from streams import Streams
from test_players import RATE, assert_undisturbed, assert_whole

pytestmark = pytest.mark.asyncio(loop_scope="session")

EVERY_PLAYER = [
    *(("AES-128", name) for name in ("hls.js", "shaka-player HLS", "native HLS")),
    *(("cbcs", name) for name in ("hls.js", "shaka-player HLS", "shaka-player DASH", "dash.js", "native HLS")),
]


@pytest.mark.parametrize(("stream_kind", "player_kind"), EVERY_PLAYER)
async def test_plays_from_start_to_end(cinema: Cinema, streams: Streams, stream_kind: str, player_kind: str) -> None:
    stream = await streams.get(stream_kind)
    async with cinema.showing(stream, KINDS[player_kind]) as player:
        await player.play_to_end(RATE)
        report = await player.report()
    print(report)
    assert_undisturbed(report)
    assert_whole(report, stream)
    assert report.ended
    assert report.pictures > 50
    assert report.soundBytes > 10_000
