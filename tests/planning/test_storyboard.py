"""How many pictures a film gets, where they lie on their sheets, and which one makes the poster."""

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import video

from streamforge.contracts.media.source import VIDEO_TIMESCALE, VideoSource
from streamforge.contracts.media.stills import StillsPlan, Tile, TileSet
from streamforge.planning.ladder import build_ladder
from streamforge.planning.stills import appeal, poster_set, stills_plan, storyboard, storyboard_cues, tile_of_slot
from streamforge.settings import PicturesSettings, TranscodeSettings

CUE = re.compile(
    r"(\d\d+):(\d\d):(\d\d)\.(\d\d\d) --> (\d\d+):(\d\d):(\d\d)\.(\d\d\d)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)"
)


def planned(film: VideoSource, **settings: object) -> StillsPlan:
    plan = stills_plan(film, build_ladder(film, TranscodeSettings()), PicturesSettings.model_validate(settings))
    assert plan is not None
    return plan


def good(seconds: float = 10, **changes: float) -> Tile:
    facts = {"slot": 0, "ticks": round(seconds * VIDEO_TIMESCALE), "brightness": 110, "contrast": 60, "sharpness": 12}
    return Tile.model_validate(facts | {"detail": 4.5} | changes)


# ── how many ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("seconds", "interval", "tiles", "sheets"),
    [
        (0.04, 0.5, 1, 1),
        (0.5, 0.5, 1, 1),
        (5, 0.5, 10, 1),
        (60, 1, 60, 1),
        (600, 5, 120, 2),
        (1800, 5, 360, 4),
        (7200, 10, 720, 8),
        (12 * 3600, 30, 1440, 15),
    ],
)
def test_longer_films_have_more_tiles_but_not_as_many_more(
    seconds: float, interval: float, tiles: int, sheets: int
) -> None:
    plan = planned(video(duration=seconds))
    board = storyboard(plan, seconds)
    assert plan.interval_ticks == interval * VIDEO_TIMESCALE
    assert (board.count, board.sheet_count) == (tiles, sheets)


def test_an_interval_that_is_asked_for_is_kept_within_reason() -> None:
    assert planned(video(duration=600), interval_seconds=2).interval_ticks == 2 * VIDEO_TIMESCALE
    plan = planned(video(duration=12 * 3600), interval_seconds=0.1)
    assert storyboard(plan, 12 * 3600).count == 10_000


@pytest.mark.parametrize(
    ("width", "height", "tile", "thumbnail"),
    [
        (1920, 1080, (160, 90), (320, 180)),
        (1080, 1920, (90, 160), (180, 320)),
        (1000, 1000, (160, 160), (320, 320)),
        (176, 144, (160, 130), (176, 144)),
        (64, 48, (64, 48), (64, 48)),
        (4096, 16, (160, 2), (320, 2)),
    ],
)
def test_tiles_keep_the_films_shape(width: int, height: int, tile: tuple[int, int], thumbnail: tuple[int, int]) -> None:
    plan = planned(video(width, height))
    assert (plan.tile_width, plan.tile_height) == tile
    assert (plan.thumbnail_width, plan.thumbnail_height) == thumbnail
    largest = build_ladder(video(width, height), TranscodeSettings())[0]
    assert (plan.poster_width, plan.poster_height) == (largest.width, largest.height)


def test_none_at_all_when_they_are_turned_off() -> None:
    film = video()
    assert stills_plan(film, build_ladder(film, TranscodeSettings()), PicturesSettings(enabled=False)) is None


# ── where they lie ──────────────────────────────────────────────────────────────────────────────────────────────────
@given(st.floats(0.001, 50_000), st.one_of(st.none(), st.floats(0.1, 100)))
def test_cues_cover_the_whole_film_and_every_tile_lies_on_its_sheet(seconds: float, interval: float | None) -> None:
    board = storyboard(planned(video(duration=seconds), interval_seconds=interval), seconds)
    text = storyboard_cues(board, seconds)
    assert text.startswith("WEBVTT\n\n")
    cues = [cue_of(match) for match in CUE.finditer(text)]
    assert len(cues) == board.count == text.count("-->")
    assert cues[0][0] == 0
    assert cues[-1][1] == pytest.approx(seconds, abs=0.0021)
    assert all(start < end for start, end, *_ in cues)
    assert all(earlier[1] == later[0] for earlier, later in pairwise(cues))
    for _, _, sheet, x, y, width, height in cues:
        assert int(sheet.removeprefix("sprite-").removesuffix(".jpg")) < board.sheet_count
        assert x + width <= board.columns * board.tile_width
        assert y + height <= board.rows * board.tile_height
    assert len({cue[2:] for cue in cues}) == board.count, "no two slots share a tile"


def cue_of(match: re.Match[str]) -> tuple[float, float, str, int, int, int, int]:
    hours, minutes, seconds, thousandths = (int(match[n]) for n in range(1, 5))
    start = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    hours, minutes, seconds, thousandths = (int(match[n]) for n in range(5, 9))
    end = hours * 3600 + minutes * 60 + seconds + thousandths / 1000
    x, y, width, height = (int(match[n]) for n in range(10, 14))
    return start, end, match[9], x, y, width, height


def test_a_slot_shows_the_latest_tile() -> None:
    assert [tile_of_slot([1, 4], slot) for slot in range(6)] == [0, 0, 0, 0, 1, 1]


# ── the poster ──────────────────────────────────────────────────────────────────────────────────────────────────────
BLACK = good(brightness=0, contrast=0, sharpness=0, detail=0)
WHITE = good(brightness=255, contrast=0, sharpness=0, detail=0)
GRAY = good(brightness=128, contrast=0, sharpness=0, detail=0)
CREDITS = good(brightness=14, contrast=45, sharpness=9, detail=0.8)
FOG = good(brightness=150, contrast=12, sharpness=2, detail=2.5)
BLURRED = good(sharpness=2)
NIGHT = good(brightness=35, contrast=30, sharpness=6, detail=3)


@pytest.mark.parametrize("worse", [BLACK, WHITE, GRAY, CREDITS, FOG, BLURRED, NIGHT])
def test_a_clear_picture_is_better_than(worse: Tile) -> None:
    assert appeal(good(), 60) > 2 * appeal(worse, 60)


def best_of(tiles: list[Tile]) -> Tile:
    return max(tiles, key=lambda tile: appeal(tile, 60))


def test_among_alike_the_first_third_wins_but_not_the_first_second() -> None:
    tiles = [good(at) for at in (0, 0.5, 5, 15, 40, 55)]
    assert best_of(tiles) == good(5)
    assert best_of(tiles[:2]) == good(0), "where there is nothing else"
    assert appeal(good(40), 60) > appeal(good(55), 60)


def test_a_good_picture_late_beats_a_bad_one_early() -> None:
    assert best_of([BLACK, FOG, good(50)]) == good(50)


def test_the_poster_comes_from_the_chunk_with_the_best_one() -> None:
    sets = [TileSet(tiles=[], poster=poster) for poster in (BLACK, None, good(12), good(14), FOG)]
    assert poster_set(sets, 60) == 2
    assert poster_set([TileSet(tiles=[])], 60) is None
    assert poster_set([TileSet(tiles=[BLACK], poster=BLACK)], 60) == 0, "a black film has a black poster"
