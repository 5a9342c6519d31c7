"""Real players in a real browser play what StreamForge makes, served by its own API, as a viewer expects."""

import pytest
from player import KINDS, Cinema, Kind, Report, meetings
from streams import Stream, Streams

pytestmark = pytest.mark.asyncio(loop_scope="session")

every_player = pytest.mark.parametrize("kind", [pytest.param(kind, id=name) for name, kind in KINDS.items()])
WITH_MENUS = [name for name, kind in KINDS.items() if kind.has_menus]
every_player_with_menus = pytest.mark.parametrize("kind", [pytest.param(KINDS[name], id=name) for name in WITH_MENUS])

RATE = 4
"""Faster, and the browser itself falls behind."""

DULL = 20
"""The test picture's brightness has a standard deviation of about 90; a grey one has none."""


def assert_undisturbed(report: Report) -> None:
    assert report.complaints == []
    assert report.stalls == []


def assert_whole(report: Report, stream: Stream) -> None:
    """All of it is there, in one piece, sound and picture from the very beginning."""
    assert report.duration == pytest.approx(stream.source.duration, abs=0.1)
    assert [start for start, _ in report.buffered] == [0]
    for track in report.tracks:
        [(start, end)] = track.buffered
        assert start == pytest.approx(0, abs=0.001), track.type
        assert end == pytest.approx(stream.source.duration, abs=0.1), track.type


@meetings(
    {
        "four chunks": ["shaka-player HLS", "dash.js"],
        "variable frame rate and no sound": ["hls.js", "shaka-player DASH"],
        "AV1": ["shaka-player HLS", "native HLS"],
        "surround": ["hls.js", "shaka-player DASH"],
        "a copy": ["hls.js", "dash.js", "native HLS"],
        "two encoders": ["shaka-player HLS", "dash.js", "native HLS"],
    }
)
async def test_plays_from_start_to_end(cinema: Cinema, streams: Streams, name: str, player_name: str) -> None:
    await assert_plays_to_its_end(cinema, await streams.get(name), KINDS[player_name])


@meetings({"H.264 and AV1": ["hls.js", "shaka-player DASH"]}, {"H.264 and AV1": WITH_MENUS})
async def test_of_several_codecs_a_player_takes_one_and_stays_with_it(
    cinema: Cinema, streams: Streams, name: str, player_name: str
) -> None:
    """Chromium's own HLS changes between them on the way, and then waits for ever: docs/architecture.md says so."""
    await assert_plays_to_its_end(cinema, await streams.get(name), KINDS[player_name])


async def assert_plays_to_its_end(cinema: Cinema, stream: Stream, kind: Kind) -> None:
    async with cinema.showing(stream, kind) as player:
        await player.play_to_end(RATE)
        report = await player.report()
    assert_undisturbed(report)
    assert_whole(report, stream)
    assert report.ended
    assert report.time == pytest.approx(report.duration)
    assert report.firstFrame == 0
    assert report.lastFrame == pytest.approx(stream.source.duration, abs=0.15)
    assert report.dullest > DULL
    assert report.pictures > 50
    assert (report.soundBytes > 10_000) == bool(stream.languages)


@every_player
async def test_goes_where_a_viewer_points(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    stream = await streams.get("four chunks")
    async with cinema.showing(stream, kind) as player:
        for time in (stream.source.duration - 1, stream.source.duration / 2, 0):
            await player.seek(time)
            await player.hear(440)
        report = await player.report()
    assert_undisturbed(report)
    assert report.dullest > DULL


@every_player_with_menus
async def test_changes_between_renditions_while_it_plays(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    stream = await streams.get("four chunks")
    assert stream.heights == [180, 120]
    async with cinema.showing(stream, kind) as player:
        for height in (180, 120):
            await player.to_height(height, RATE)
        await player.play_to_end(RATE)
        report = await player.report()
    assert_undisturbed(report)
    assert len(report.buffered) == 1
    assert report.ended
    assert report.size == (214, 120)


async def test_key_frames_are_seen_while_somebody_winds(cinema: Cinema, streams: Streams) -> None:
    """From the I-frame playlist: key frames stand every two seconds."""
    stream = await streams.get("four chunks")
    async with cinema.showing(stream, KINDS["hls.js"]) as player:
        seen = [await player.wind_to(time) for time in (9, 1, 12.5, 5)]
        report = await player.report()
    assert report.complaints == []
    assert seen == pytest.approx([8, 0, 12, 4], abs=0.1)


@every_player_with_menus
async def test_speaks_the_language_that_is_chosen(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    """English is 440 Hz, German 880."""
    stream = await streams.get("two languages")
    async with cinema.showing(stream, kind) as player:
        english, german = await player.languages()
        await player.hear(440)
        await player.to_language(german)
        await player.hear(880)
        await player.to_language(english)
        await player.hear(440)
        report = await player.report()
    assert_undisturbed(report)


@every_player_with_menus
async def test_plays_stereo_unless_surround_sound_is_chosen(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    """English and French have 5.1 with 440 and 660 Hz in front, the German commentary has only two channels of 880."""
    stream = await streams.get("surround")
    async with cinema.showing(stream, kind) as player:
        assert await player.sound() == ("en", 2)
        await player.hear(440)
        assert not any(name.endswith("surround") for name in player.fetched)
        for code, channels, hertz, name in (
            ("fr", 6, 660, "audio-2-surround"),
            ("de", 2, 880, "audio-1"),
            ("en", 6, 440, "audio-0-surround"),
            ("fr", 2, 660, "audio-2"),
        ):
            await player.to_sound(code, channels)
            await player.hear(hertz)
            assert await player.sound() == (code, channels)
            assert name in player.fetched
        report = await player.report()
    assert_undisturbed(report)


@every_player_with_menus
async def test_begins_with_stereo_where_sound_is_all_there_is(cinema: Cinema, streams: Streams, kind: Kind) -> None:
    stream = await streams.get("surround alone")
    async with cinema.showing(stream, kind, pictures=False) as player:
        await player.hear(440)
        assert not any(name.endswith("surround") for name in player.fetched)
        await player.to_sound("fr", 2)
        await player.hear(660)
        report = await player.report()
    assert_undisturbed(report)
