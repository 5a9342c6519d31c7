"""Viewers read what is said while it is said, in every player that has a menu for it."""

import re

import pytest
from player import KINDS, Cinema, Kind
from streams import Streams

pytestmark = pytest.mark.asyncio(loop_scope="session")

WAITS_FOR_PICTURES = "shaka-player HLS"
"""It keeps text that is turned on late back until it fetches the next piece of the picture, and sometimes for ever."""

every_reliable_player = pytest.mark.parametrize(
    "kind",
    [pytest.param(kind, id=name) for name, kind in KINDS.items() if kind.has_menus and name != WAITS_FOR_PICTURES],
)

GENERATED, GERMAN = "English (generated)", "German"


def plain(text: str) -> str:
    return " ".join(re.findall(r"[\w']+", text.lower()))


@every_reliable_player
async def test_what_is_said_is_on_the_screen_when_it_is_said(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    """Read at the end of each cue: Shaka shows words one by one, as they are said."""
    stream = await streams.get("captions")
    written = await streams.cues(stream, "captions")
    async with cinema.showing(stream, kind) as player:
        assert sorted(await player.texts()) == [GENERATED, GERMAN]
        await player.show_text(GENERATED)
        read = [await player.read(cue.end_ms / 1000 - 0.05) for cue in written]
        report = await player.report()
    assert "ask not what your country can do for you" in plain(" ".join(read))
    assert [plain(text) for text in read] == [plain(re.sub(r"<[^>]*>", "", cue.text)) for cue in written]
    assert report.complaints == []


@every_reliable_player
async def test_subtitles_of_the_source_come_and_go_in_time(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    stream = await streams.get("captions")
    async with cinema.showing(stream, kind) as player:
        await player.show_text(GERMAN)
        for time in (0.55, 1.45):
            assert await player.read(time) == "Schöne Grüße & <3"
        for time in (2.05, 2.95):
            assert await player.read(time) == "Zweite Zeile\nmit Umbruch"
        for time in (0.4, 1.6, 1.9, 3.1):
            await player.read_nothing(time)
        report = await player.report()
    assert report.complaints == []


async def test_a_player_that_waits_has_them_in_its_menu(cinema: Cinema, streams: Streams) -> None:
    stream = await streams.get("captions")
    async with cinema.showing(stream, KINDS[WAITS_FOR_PICTURES]) as player:
        assert sorted(await player.texts()) == [GENERATED, GERMAN]
        report = await player.report()
    assert report.complaints == []


async def test_a_player_without_a_menu_plays_all_the_same(cinema: Cinema, streams: Streams) -> None:
    stream = await streams.get("captions")
    async with cinema.showing(stream, KINDS["native HLS"]) as player:
        for time in (stream.source.duration / 2, stream.source.duration - 3):
            await player.seek(time, rate=4)
        await player.play_on()
        await player.see_last_picture()
        report = await player.report()
    assert report.ended
    assert report.lastFrame == pytest.approx(stream.source.duration, abs=0.15)
    assert report.complaints == []
