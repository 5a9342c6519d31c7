"""A film that was downloaded plays in a browser without any player."""

import pytest
from player import Cinema, Kind
from streams import Streams

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("kind", ["two languages", "variable frame rate and no sound", "AV1"])
async def test_from_beginning_to_end(cinema: Cinema, streams: Streams, kind: str) -> None:
    stream = await streams.get(kind)
    file = await streams.download(stream)
    async with cinema.showing(stream, Kind("native", file)) as player:
        await player.seek(stream.source.duration / 2)
        await player.play_to_end(4)
        report = await player.report()
    assert report.complaints == []
    assert report.firstFrame == 0
    assert report.ended
    assert report.duration == pytest.approx(stream.source.duration, abs=0.1)
    assert report.lastFrame == pytest.approx(stream.source.duration, abs=0.15)
    assert report.size == (320, 180)
    assert (report.soundBytes > 0) == bool(stream.languages)
