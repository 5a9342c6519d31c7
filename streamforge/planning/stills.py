"""Which still pictures a film gets: how many, how large, and which of them is good enough for a poster."""

from bisect import bisect_right
from collections.abc import Sequence
from math import ceil, sqrt

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE, VideoSource
from streamforge.contracts.media.stills import StillsPlan, Storyboard, Tile, TileSet
from streamforge.planning.sizes import nearest_even
from streamforge.planning.text.webvtt import Cue, webvtt
from streamforge.settings import PicturesSettings

POSTER = "poster.jpg"
THUMBNAIL = "thumbnail.jpg"
THUMBNAILS = "thumbnails.vtt"
TILES = "tiles.yuv"

INTERVALS = (0.5, 1, 2, 5, 10, 20, 30)
"""Seconds between two tiles. Their number grows with the square root of the film's length: 10 for 5 s, 60 for a minute,
360 for half an hour, 720 for two hours, 1,440 for twelve."""
TILES_OF_A_SECOND = 9

MOST_TILES = 10_000
"""However short an interval is asked for."""

GRID = 10
"""Tiles in a row, and rows on a sheet, at most: a sheet of 1600×900 pixels and some 300 kB."""

THUMBNAIL_SIZE = 320
"""Pixels of its longer side."""


def stills_plan(
    video: VideoSource, renditions: Sequence[VideoRendition], settings: PicturesSettings
) -> StillsPlan | None:
    if not settings.enabled or not renditions:
        return None
    largest = max(renditions, key=lambda rendition: rendition.width * rendition.height)
    width, height = largest.width, largest.height
    tile, thumbnail = _within(settings.tile_size, width, height), _within(THUMBNAIL_SIZE, width, height)
    return StillsPlan(
        interval_ticks=_interval_ticks(video.duration, settings.interval_seconds),
        tile_width=tile[0],
        tile_height=tile[1],
        poster_width=width,
        poster_height=height,
        thumbnail_width=thumbnail[0],
        thumbnail_height=thumbnail[1],
    )


def _within(longer_side: int, width: int, height: int) -> tuple[int, int]:
    """The same shape, no side longer than that, and none made longer; even, as 4:2:0 asks for."""
    scale = min(1.0, longer_side / max(width, height))
    return nearest_even(width * scale), nearest_even(height * scale)


def _interval_ticks(duration: float, wanted: float | None) -> int:
    least = sqrt(max(0.0, duration)) / TILES_OF_A_SECOND
    seconds = wanted or next((interval for interval in INTERVALS if interval >= least), INTERVALS[-1])
    return max(1, round(seconds * VIDEO_TIMESCALE), ceil(duration * VIDEO_TIMESCALE / MOST_TILES))


# ── the storyboard ──────────────────────────────────────────────────────────────────────────────────────────────────
def storyboard(plan: StillsPlan, seconds: float) -> Storyboard:
    """For a film that lasts so long."""
    count = max(1, ceil(round(seconds * VIDEO_TIMESCALE) / plan.interval_ticks))
    columns = min(GRID, count)
    return Storyboard(
        interval_ticks=plan.interval_ticks,
        tile_width=plan.tile_width,
        tile_height=plan.tile_height,
        columns=columns,
        rows=min(GRID, ceil(count / columns)),
        count=count,
    )


def bitrate(board: Storyboard) -> int:
    """bit/s of the sheets, on average while the film plays."""
    return round(8 * board.size_bytes * VIDEO_TIMESCALE / (board.count * board.interval_ticks))


def sheet_name(number: int | str) -> str:
    return f"sprite-{number}.jpg"


def tile_of_slot(slots: Sequence[int], slot: int) -> int:
    """Which of the tiles, given by their slots in order, is seen in `slot`: the latest one, or else the first of all."""
    return max(0, bisect_right(slots, slot) - 1)


def storyboard_cues(board: Storyboard, seconds: float) -> str:
    """WebVTT with one cue for each slot, with its sheet and its place on it (W3C Media Fragments §4.2.2): what most players
    take."""
    interval = board.interval_ticks / VIDEO_TIMESCALE
    ends = [*(interval * slot for slot in range(1, board.count)), max(seconds, interval * (board.count - 1) + 0.001)]
    cues = (
        Cue(round(1000 * (interval * slot)), round(1000 * end), _place(board, slot)) for slot, end in enumerate(ends)
    )
    return webvtt(cues, timestamp_map=False)


def _place(board: Storyboard, slot: int) -> str:
    sheet, place = divmod(slot, board.per_sheet)
    row, column = divmod(place, board.columns)
    x, y = column * board.tile_width, row * board.tile_height
    return f"{sheet_name(sheet)}#xywh={x},{y},{board.tile_width},{board.tile_height}"


# ── the poster ──────────────────────────────────────────────────────────────────────────────────────────────────────
DARK, BRIGHT = 16, 240
"""Mean luma at which there is hardly anything to see."""
WELL_LIT = (70, 170)
CONTRAST_ENOUGH = 50
SHARPNESS_USUAL = 8
"""Luma levels; what pictures of films have at this size, so that twice as much is only a little better."""
FULL_DETAIL = 5

OPENING_SECONDS = 1.0
OPENING_WORTH = 0.5
"""Films fade in, and recordings begin with a shaking hand."""
END_WORTH = 0.6
"""Nobody wants to be told the end."""


def appeal(tile: Tile, duration: float) -> float:
    """How good a poster it makes, 0–1: lit well, with contrast, sharp, not flat, and preferably from the film's first
    third. `duration` in seconds."""
    light = _rising(tile.brightness, DARK, WELL_LIT[0]) * _rising(BRIGHT - tile.brightness, 0, BRIGHT - WELL_LIT[1])
    contrast = min(1.0, tile.contrast / CONTRAST_ENOUGH)
    sharpness = tile.sharpness / (tile.sharpness + SHARPNESS_USUAL)
    detail = min(1.0, tile.detail / FULL_DETAIL)
    return light * contrast * sharpness * detail * _place_worth(tile.ticks / VIDEO_TIMESCALE, duration)


def _rising(value: float, nothing: float, everything: float) -> float:
    return min(1.0, max(0.0, (value - nothing) / (everything - nothing)))


def _place_worth(seconds: float, duration: float) -> float:
    if seconds < OPENING_SECONDS:
        return OPENING_WORTH
    return 1 - (1 - END_WORTH) * _rising(seconds, duration / 3, max(duration, duration / 3 + 1))


def poster_set(sets: Sequence[TileSet], duration: float) -> int | None:
    """Which of the chunks has the poster: the earliest of equals."""
    found = [(appeal(tiles.poster, duration), -number) for number, tiles in enumerate(sets) if tiles.poster]
    return -max(found)[1] if found else None
