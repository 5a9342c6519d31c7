"""Encrypted streams play where the keys are to be had, and nowhere else."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from clips import Clips
from player import KINDS, Cinema, Kind, meetings
from playwright.async_api import Browser
from serving import Api, serving
from streams import Streams
from test_players import DULL, RATE, assert_undisturbed, assert_whole

from streamforge.keys import Keys
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import KeySettings
from streamforge.storage import open_storage

pytestmark = pytest.mark.asyncio(loop_scope="session")

PLAYERS_OF = {
    "AES-128": ["hls.js", "shaka-player HLS"],
    "cbcs": ["hls.js", "shaka-player HLS", "shaka-player DASH", "dash.js"],
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded_api(api: Api) -> AsyncIterator[Api]:
    """Asks for a token that no page here has."""
    keys = KeySettings.model_validate({"token": "a token for these tests"})
    async with serving(api.settings.model_copy(update={"keys": keys})) as guarded:
        yield guarded


@pytest.fixture
def guarded_cinema(browser: Browser, players_site: str, guarded_api: Api) -> Cinema:
    return Cinema(browser, players_site, guarded_api.url)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def guarded_streams(
    guarded_api: Api, clips: Clips, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Streams]:
    settings = guarded_api.settings
    keys = Keys(settings.model_copy(update={"keys": KeySettings(url=guarded_api.url)}))
    async with MediaChildren(memory_bytes=4 * 2**30, stall_seconds=60) as children:
        yield Streams(clips, children, open_storage(settings), keys, tmp_path_factory.mktemp("guarded"))


@meetings({"cbcs": ["shaka-player HLS"], "AES-128": []}, PLAYERS_OF)
async def test_plays_from_start_to_end(cinema: Cinema, streams: Streams, name: str, player_name: str) -> None:
    """test_signed.py plays most of these pairs, too, with their keys under signed addresses."""
    stream = await streams.get(name)
    async with cinema.showing(stream, KINDS[player_name]) as player:
        await player.play_to_end(RATE)
        contrast, report = await player.contrast(), await player.report()
    assert_undisturbed(report)
    assert_whole(report, stream)
    assert report.ended
    assert (report.firstFrame, report.lastFrame) == (0, pytest.approx(stream.source.duration, abs=1))
    assert contrast > DULL
    assert report.soundBytes > 10_000


@meetings({"AES-128": ["hls.js", "shaka-player HLS"], "cbcs": ["shaka-player DASH", "dash.js"]}, PLAYERS_OF)
async def test_plays_nothing_without_a_key(
    guarded_cinema: Cinema, guarded_streams: Streams, name: str, player_name: str
) -> None:
    stream = await guarded_streams.get(name)
    report = await guarded_cinema.turned_away(stream, KINDS[player_name], 401)
    assert any(complaint.startswith("401 for") and "/keys/" in complaint for complaint in report.complaints)
    assert (report.firstFrame, report.time, report.soundBytes) == (None, 0, 0)


@meetings({"AES-128": ["hls.js"], "cbcs": ["shaka"]}, {"AES-128": ["hls.js", "shaka"], "cbcs": ["hls.js", "shaka"]})
async def test_who_joined_while_it_grew_changes_to_another_rendition_and_its_key(
    cinema: Cinema, streams: Streams, name: str, player_name: str
) -> None:
    """The playlist of that time: it begins with the smallest rendition and goes on with another."""
    stream = await streams.get(name)
    async with cinema.showing(stream, Kind(player_name, "180p/growing.m3u8")) as watching:
        await watching.play_to_end(RATE)
        report = await watching.report()
    assert_undisturbed(report)
    assert report.ended
    assert report.size == (320, 180)
    assert report.lastFrame == pytest.approx(stream.source.duration, abs=1)


async def test_a_viewer_of_an_encrypted_stream_goes_where_he_points(cinema: Cinema, streams: Streams) -> None:
    stream = await streams.get("cbcs")
    async with cinema.showing(stream, KINDS["shaka-player DASH"]) as player:
        for time in (stream.source.duration - 1, 0):
            await player.seek(time)
            await player.hear(440)
        report = await player.report()
    assert_undisturbed(report)
