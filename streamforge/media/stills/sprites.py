"""Puts the tiles of a film together into sprite sheets."""

from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from streamforge.contracts.media.stills import Storyboard
from streamforge.contracts.tasks import SPRITES, SheetsMade, Sprites, SpritesTask
from streamforge.media.process.performing import Tell, performs
from streamforge.media.stills import jpeg
from streamforge.planning.stills import sheet_name, tile_of_slot

QUALITY = 5
BLACK, GRAY = 0, 128
"""Luma and chroma where there is no tile: the rest of the last sheet."""

Planes = tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.uint8]]


@performs(SPRITES)
def run(task: SpritesTask, on_progress: Tell[SheetsMade]) -> Sprites:
    board, sheets = task.storyboard, dict[str, int]()
    size = board.tile_width * board.tile_height * 3 // 2
    tiles = np.memmap(task.tiles, np.uint8, "r", shape=(len(task.slots), size))
    for number in range(board.sheet_count):
        data = jpeg.encoded(_sheet(tiles, task.slots, board, number), QUALITY)
        (task.target / sheet_name(number)).write_bytes(data)
        sheets[sheet_name(number)] = len(data)
        on_progress(SheetsMade(sheets=len(sheets)))
    return Sprites(sheets=sheets)


def _sheet(tiles: NDArray[np.uint8], slots: list[int], board: Storyboard, number: int) -> VideoFrame:
    width, height = board.columns * board.tile_width, board.rows * board.tile_height
    canvas = _split(np.full(width * height * 3 // 2, GRAY, np.uint8), width, height)
    canvas[0][:] = BLACK
    for place in range(min(board.per_sheet, board.count - number * board.per_sheet)):
        tile = _split(tiles[tile_of_slot(slots, number * board.per_sheet + place)], board.tile_width, board.tile_height)
        row, column = divmod(place, board.columns)
        for whole, piece in zip(canvas, tile, strict=True):
            rows, columns = piece.shape
            whole[row * rows : (row + 1) * rows, column * columns : (column + 1) * columns] = piece
    planes: NDArray[Any] = np.concatenate([plane.ravel() for plane in canvas]).reshape(-1, width)
    return VideoFrame.from_ndarray(planes, format=jpeg.PIXEL_FORMAT)


def _split(planes: NDArray[np.uint8], width: int, height: int) -> Planes:
    """The three planes of a 4:2:0 picture, as views."""
    luma, quarter = width * height, width * height // 4
    half = (height // 2, width // 2)
    return (
        planes[:luma].reshape(height, width),
        planes[luma : luma + quarter].reshape(half),
        planes[luma + quarter :].reshape(half),
    )
