"""Keeps pictures of the source while they go by on their way to the encoders: small ones for the storyboard, and the best
of them as a poster. They are decoded anyway; to come back for them would be to decode the film again."""

from pathlib import Path
from typing import Any

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from streamforge.contracts.media.source import VideoSource
from streamforge.contracts.media.stills import StillsPlan, Tile, TileSet
from streamforge.media.decoding.frames import SourceFrame
from streamforge.media.encoding.scaling import Scaler, Size
from streamforge.media.stills import jpeg
from streamforge.planning.stills import POSTER, THUMBNAIL, TILES, appeal

POSTER_QUALITY = 3
THUMBNAIL_QUALITY = 4

SHADES = 32
"""Into which luma is sorted to see how much there is in a picture."""


class TileMaker:
    """`see` takes the source's pictures in order. Whatever goes wrong here is told in the result and never raised: no film
    fails for its preview."""

    def __init__(self, video: VideoSource, plan: StillsPlan, folder: Path) -> None:
        """`folder` is where the pictures go, and need not be there yet."""
        self._video = video
        self._plan = plan
        self._folder = folder
        self._scaler = Scaler(video, [Size(plan.tile_width, plan.tile_height)])
        self._tiles: list[Tile] = []
        self._best: tuple[Tile, SourceFrame] | None = None
        self._failure: str | None = None

    def see(self, frame: SourceFrame) -> None:
        """Keeps the picture if a slot begins while it is on the screen."""
        slot = -(-frame.ticks // self._plan.interval_ticks)
        if slot * self._plan.interval_ticks >= frame.ticks + frame.duration or self._failure is not None:
            return
        try:
            self._keep(slot, frame)
        except Exception as error:
            self._failure = f"{type(error).__name__}: {error}"

    def _keep(self, slot: int, frame: SourceFrame) -> None:
        (small,) = self._scaler.scale(frame.picture, frame.ticks, frame.look)
        planes = jpeg.in_jpeg_colors(small, frame.picture.height).to_ndarray()
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / TILES).open("ab") as file:
            file.write(planes.tobytes())
        tile = Tile(slot=slot, ticks=frame.ticks, **figures(planes[: self._plan.tile_height]))
        self._tiles.append(tile)
        duration = self._video.duration
        if self._best is None or appeal(tile, duration) > appeal(self._best[0], duration):
            self._best = (tile, frame)

    def finish(self) -> TileSet:
        poster = None
        if self._best is not None:
            try:
                self._write_poster(self._best[1])
                poster = self._best[0]
            except Exception as error:
                self._failure = f"{type(error).__name__}: {error}"
        return TileSet(tiles=self._tiles, poster=poster, failure=self._failure)

    def _write_poster(self, frame: SourceFrame) -> None:
        plan = self._plan
        sizes = [Size(plan.poster_width, plan.poster_height), Size(plan.thumbnail_width, plan.thumbnail_height)]
        large, small = Scaler(self._video, sizes).scale(frame.picture, frame.ticks, frame.look)
        self._write(POSTER, large, POSTER_QUALITY, frame.picture.height)
        self._write(THUMBNAIL, small, THUMBNAIL_QUALITY, frame.picture.height)

    def _write(self, name: str, picture: VideoFrame, quality: int, source_height: int) -> None:
        (self._folder / name).write_bytes(jpeg.encoded(jpeg.in_jpeg_colors(picture, source_height), quality))


def figures(luma: NDArray[Any]) -> dict[str, float]:
    """What a Tile says of its picture."""
    levels = luma.astype(np.float32)
    shares = np.bincount(luma.ravel() // (256 // SHADES), minlength=SHADES) / luma.size
    shares = shares[shares > 0]
    differences = [np.abs(np.diff(levels, axis=axis)).mean() for axis in (0, 1) if levels.shape[axis] > 1]
    return {
        "brightness": round(float(levels.mean()), 2),
        "contrast": round(float(levels.std()), 2),
        "sharpness": round(float(sum(differences)), 2),
        "detail": round(float(-(shares * np.log2(shares)).sum()), 3) + 0.0,  # No minus zero.
    }
