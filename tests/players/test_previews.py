"""What viewers see above the seek bar is what the film shows there: from the manifests, and from the list of thumbnails."""

import pytest
from clips import COLORS
from images import CLOSE
from player import KINDS, Cinema, Kind
from streams import Streams

pytestmark = pytest.mark.asyncio(loop_scope="session")

COLORS_AT = {0.5: 0, 2.5: 2, 9.5: 9, 14.5: 4, 16.5: 6, 19.5: 9}
"""Seconds into the film, and the colour of that time; from 15 s on they lie on the second sheet."""

WITH_PREVIEWS = ["shaka-player HLS", "shaka-player DASH", "dash.js"]


@pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in WITH_PREVIEWS])
async def test_players_find_them_in_the_manifest(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    stream = await streams.get("colors")
    async with cinema.showing(stream, kind) as player:
        for time, color in COLORS_AT.items():
            assert await player.preview(time) == pytest.approx(list(COLORS.values())[color], abs=CLOSE), time
        assert (await player.report()).complaints == []


@pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])
async def test_pages_find_them_in_the_list(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    """Beside every player: none of them minds the sheets in its manifest."""
    stream = await streams.get("colors")
    async with cinema.showing(stream, kind) as player:
        url = cinema.api_url + stream.path("thumbnails.vtt")
        for time, color in COLORS_AT.items():
            assert await player.preview_from(url, time) == pytest.approx(list(COLORS.values())[color], abs=CLOSE), time
        assert (await player.report()).complaints == []
