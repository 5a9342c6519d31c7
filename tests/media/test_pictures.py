"""Pictures kept while a film is encoded: the right moments, the right colours, upright; and sheets put together of them."""

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from clips import COLORS, X264, Clips, colors, ffmpeg, picture
from encoding import Encoded, encode
from images import CLOSE, center, rgb
from numpy.typing import NDArray
from sources import source, video

from streamforge.contracts import tasks
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.stills import Storyboard, TileSet
from streamforge.contracts.tasks import SpritesTask
from streamforge.media.decoding.frames import SourceFrame
from streamforge.media.stills.tiles import TileMaker
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.planning.stills import POSTER, THUMBNAIL, TILES, poster_set, storyboard
from streamforge.settings import Settings


def tile_of(sheets: list[NDArray[Any]], board: Storyboard, slot: int) -> NDArray[Any]:
    sheet, place = divmod(slot, board.per_sheet)
    row, column = divmod(place, board.columns)
    height, width = board.tile_height, board.tile_width
    return sheets[sheet][row * height : (row + 1) * height, column * width : (column + 1) * width]


async def composed(children: MediaChildren, encoded: Encoded, target: Path) -> tuple[Storyboard, list[NDArray[Any]]]:
    """What the activity does with the tiles of all chunks."""
    target.mkdir()
    sets = tile_sets(encoded)
    files = [encoded.folder / str(number) / "pictures" / TILES for number, each in enumerate(sets) if each.tiles]
    (target / TILES).write_bytes(b"".join(file.read_bytes() for file in files))
    assert encoded.plan.pictures
    board = storyboard(encoded.plan.pictures, encoded.source.duration)
    slots = [tile.slot for each in sets for tile in each.tiles]
    task = SpritesTask(tiles=target / TILES, slots=slots, storyboard=board, target=target)
    made = await children.run(tasks.SPRITES, task)
    assert {name: (target / name).stat().st_size for name in made.sheets} == made.sheets
    sheets = [rgb(target / name) for name in made.sheets]
    size = (board.rows * board.tile_height, board.columns * board.tile_width, 3)
    assert {sheet.shape for sheet in sheets} == {size}
    return board, sheets


def tile_sets(encoded: Encoded) -> list[TileSet]:
    assert all(chunk.tiles for chunk in encoded.chunks)
    return [chunk.tiles for chunk in encoded.chunks if chunk.tiles]


def with_pictures(**changes: object) -> Settings:
    sections = {
        "transcode": {"presets": {"h264": "ultrafast"}, "segment_seconds": 2, "max_chunk_seconds": 4},
        "validation": {"enabled": False},
        "pictures": changes,
    }
    return Settings.model_validate(sections)


# ── the right moment ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_each_tile_shows_what_the_film_shows_at_its_time(children: MediaChildren, tmp_path: Path) -> None:
    """A tile every quarter second through several chunks and onto two sheets; the last cue of a colour is still of it."""
    names = list(COLORS) * 3
    film = colors(tmp_path / "film.mp4", names=names)
    encoded = await encode(children, film, tmp_path / "out", with_pictures(interval_seconds=0.25))
    assert len(encoded.chunks) > 3
    board, sheets = await composed(children, encoded, tmp_path / "sheets")
    assert (board.count, board.sheet_count, board.columns, board.rows) == (120, 2, 10, 10)
    for slot in range(board.count):
        shown = center(tile_of(sheets, board, slot))
        assert shown == pytest.approx(COLORS[names[slot // 4]], abs=CLOSE), slot
    last_row = sheets[-1][2 * board.tile_height + 8 :]
    assert last_row.max() < CLOSE, "where the film is over the sheet is black"


async def test_a_picture_that_stays_is_one_tile_and_fills_all_its_slots(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    """A second of film, one picture for nineteen, a second of film: chunks without a single picture have no tiles."""
    encoded = await encode(children, clips.slide_show, tmp_path / "out", with_pictures(interval_seconds=1))
    sets = tile_sets(encoded)
    assert [[tile.slot for tile in each.tiles] for each in sets] == [[0, 1], *([[]] * (len(sets) - 2)), [20]]
    board, sheets = await composed(children, encoded, tmp_path / "sheets")
    assert board.count == 21
    held = [tile_of(sheets, board, slot).astype(int) for slot in range(1, 20)]
    assert all(np.abs(each - held[0]).mean() < 3 for each in held)
    assert np.abs(tile_of(sheets, board, 20).astype(int) - held[0]).mean() > 5


async def test_a_variable_frame_rate(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """Slots follow the clock, not the count of pictures; each shows the latest picture at that time."""
    encoded = await encode(children, clips.variable_rate, tmp_path / "out", with_pictures(interval_seconds=0.5))
    tiles = [tile for each in tile_sets(encoded) for tile in each.tiles]
    assert [tile.slot for tile in tiles] == list(range(24))
    for tile in tiles:
        assert 0 <= tile.slot * 0.5 - tile.ticks / VIDEO_TIMESCALE < 0.101


async def test_one_picture_is_a_film_too(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.one_frame, tmp_path / "out")
    board, sheets = await composed(children, encoded, tmp_path / "sheets")
    assert (board.count, board.sheet_count, board.columns, board.rows) == (1, 1, 1, 1)
    assert tile_of(sheets, board, 0).std() > 20
    assert rgb(encoded.folder / "0" / "pictures" / POSTER).shape == (180, 320, 3)


# ── upright, in shape, in colour ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("clip", "tile", "poster"),
    [("turned", (90, 160), (180, 320)), ("anamorphic", (160, 90), (1024, 576)), ("odd", (160, 90), (320, 180))],
)
async def test_pictures_have_the_shape_that_a_viewer_sees(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str, tile: tuple[int, int], poster: tuple[int, int]
) -> None:
    encoded = await encode(children, getattr(clips, clip), tmp_path / "out")
    assert encoded.plan.pictures
    assert (encoded.plan.pictures.tile_width, encoded.plan.pictures.tile_height) == tile
    height, width, _ = rgb(encoded.folder / "0" / "pictures" / POSTER).shape
    assert (width, height) == poster
    thumbnail = rgb(encoded.folder / "0" / "pictures" / THUMBNAIL)
    assert max(thumbnail.shape) == 320


async def test_a_film_of_a_phone_held_upright_has_upright_tiles(children: MediaChildren, tmp_path: Path) -> None:
    """Coded: left red, right blue. To be turned so that the left is at the bottom."""
    flat, film = tmp_path / "flat.mp4", tmp_path / "film.mp4"
    halves = "color=red:s=160x180:r=25:d=1[l];color=blue:s=160x180:r=25:d=1[r];[l][r]hstack"
    ffmpeg("-filter_complex", halves, *X264, flat)
    ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", film)
    encoded = await encode(children, film, tmp_path / "out")
    board, sheets = await composed(children, encoded, tmp_path / "sheets")
    for image in (tile_of(sheets, board, 0), rgb(encoded.folder / "0" / "pictures" / POSTER)):
        half = image.shape[0] // 2
        assert center(image[:half]) == pytest.approx(COLORS["blue"], abs=CLOSE)
        assert center(image[half:]) == pytest.approx(COLORS["red"], abs=CLOSE)


@pytest.mark.parametrize("matrix", ["bt709", "smpte170m"])
async def test_colors_are_right_whatever_matrix_and_range_the_film_has(
    children: MediaChildren, tmp_path: Path, matrix: str
) -> None:
    names = ["red", "lime", "blue"]
    for levels in ("tv", "pc"):
        film = tmp_path / f"{levels}.mkv"
        inputs = [a for name in names for a in ("-f", "lavfi", "-i", f"color={name}:s=320x180:r=25:d=1,format=rgb24")]
        graph = f"concat=n=3,scale=out_color_matrix={matrix}:out_range={levels},format=yuv420p"
        ffmpeg(*inputs, "-filter_complex", graph, *X264, "-colorspace", matrix, "-color_range", levels, film)
        encoded = await encode(children, film, tmp_path / levels, with_pictures(interval_seconds=1))
        board, sheets = await composed(children, encoded, tmp_path / f"sheets-{levels}")
        shown = [center(tile_of(sheets, board, slot)) for slot in range(3)]
        for color, name in zip(shown, names, strict=True):
            assert color == pytest.approx(COLORS[name], abs=CLOSE), (levels, name)


async def test_pictures_of_an_hdr_film_look_like_its_sdr_rendition(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.hdr10, tmp_path / "out", with_pictures())
    (tiles,) = tile_sets(encoded)
    assert tiles.poster
    with av.open(str(encoded.file("180p", tmp_path))) as container:
        frames = list(container.decode(video=0))
    frame = next(f for f in frames if round(f.pts * f.time_base * VIDEO_TIMESCALE) >= tiles.poster.ticks)  # type: ignore[operator]
    seen = frame.reformat(format="rgb24", src_colorspace="ITU709").to_ndarray().astype(int)
    poster = rgb(encoded.folder / "0" / "pictures" / POSTER)
    assert np.abs(poster - seen).mean() < 5


# ── the poster ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_poster_is_not_the_black_that_a_film_begins_with(children: MediaChildren, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    graph = "[0][1]concat=n=2,fade=t=in:st=2:d=1"
    black = ["-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=2"]
    ffmpeg(*black, *picture("320x180", 25, 4), "-filter_complex", graph, *X264, film)
    encoded = await encode(children, film, tmp_path / "out", with_pictures())
    sets = tile_sets(encoded)
    best = poster_set(sets, encoded.source.duration)
    assert best is not None
    assert best > 0, "all of the first chunk is black"
    poster = rgb(encoded.folder / str(best) / "pictures" / POSTER)
    assert poster.mean() > 90
    assert poster.std() > 60
    thumbnail = rgb(encoded.folder / str(best) / "pictures" / THUMBNAIL)
    assert thumbnail.mean() == pytest.approx(poster.mean(), abs=3)


async def test_the_poster_is_the_picture_of_that_moment_at_full_size(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.short_bottles, tmp_path / "out", with_pictures())
    for number, tiles in enumerate(tile_sets(encoded)):
        assert tiles.poster in tiles.tiles
        assert tiles.failure is None
        shown = rgb(encoded.folder / str(number) / "pictures" / POSTER)
        with av.open(str(clips.short_bottles)) as container:
            stream = container.streams.video[0]
            assert stream.time_base
            start = next(container.decode(stream)).pts or 0
            container.seek(0)
            wanted = start + round(tiles.poster.ticks / VIDEO_TIMESCALE / stream.time_base)
            frame = next(frame for frame in container.decode(stream) if (frame.pts or 0) >= wanted)
        assert np.abs(shown.astype(int) - frame.to_ndarray(format="rgb24").astype(int)).mean() < 4


async def test_the_same_chunk_gives_the_same_bytes(children: MediaChildren, tmp_path: Path) -> None:
    """A killed worker's chunk is done again, and published under the same names."""
    film = colors(tmp_path / "film.mp4")
    first, second = [await encode(children, film, tmp_path / name, with_pictures()) for name in ("one", "two")]
    assert tile_sets(first) == tile_sets(second)
    for file in sorted(first.folder.glob("*/pictures/*")):
        assert file.read_bytes() == (second.folder / file.relative_to(first.folder)).read_bytes()


async def test_none_are_kept_where_none_are_wanted(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.small, tmp_path / "out", with_pictures(enabled=False))
    assert {chunk.tiles for chunk in encoded.chunks} == {None}
    assert not list(encoded.folder.glob("*/pictures"))


def test_trouble_is_told_and_not_raised(tmp_path: Path) -> None:
    """The disk may be full: the film is encoded all the same."""
    film = video(64, 48, duration=2)
    plan = make_plan(source(film), Settings()).pictures
    assert plan
    (tmp_path / "in the way").touch()
    maker = TileMaker(film, plan, tmp_path / "in the way")
    for second in range(2):
        picture = VideoFrame.from_ndarray(np.full((72, 64), 100, np.uint8), format="yuv420p")
        maker.see(SourceFrame(second * VIDEO_TIMESCALE, VIDEO_TIMESCALE, picture))
    told = maker.finish()
    assert (told.tiles, told.poster) == ([], None)
    assert told.failure
    assert "FileExistsError" in told.failure
