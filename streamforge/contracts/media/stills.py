"""Still pictures of a film: its poster, and the storyboard that players show above their seek bar."""

from pydantic import BaseModel, Field


class StillsPlan(BaseModel):
    """Which pictures are kept while the film is encoded. Slot n of the storyboard begins at n × `interval_ticks`; its
    picture is the one on the screen at that moment. Lengths in pixels, all of them even."""

    interval_ticks: int = Field(description="in 1/VIDEO_TIMESCALE s")
    tile_width: int
    tile_height: int
    poster_width: int
    poster_height: int
    thumbnail_width: int
    thumbnail_height: int


class Tile(BaseModel):
    """One picture of the storyboard, which stays until the next one; and what can be said of it from its luma, which
    goes from 0 to 255."""

    slot: int
    ticks: int = Field(description="when the picture was taken")
    brightness: float = Field(description="mean")
    contrast: float = Field(description="standard deviation")
    sharpness: float = Field(description="mean difference between neighbours, across and down together")
    detail: float = Field(description="entropy in bits, 0 for a single shade and 5 for all of them alike")


class TileSet(BaseModel):
    """What one chunk has for the storyboard, in order: the record. The pictures lie beside it, one behind the other, in
    the planes of 4:2:0; so does a poster made of the best of them."""

    tiles: list[Tile]
    poster: Tile | None = None
    failure: str | None = Field(None, description="why there may be pictures missing")


class Storyboard(BaseModel):
    """Sprite sheets: tiles in rows from left to right, the same grid on each. `count` slots cover the whole film."""

    interval_ticks: int
    tile_width: int
    tile_height: int
    columns: int
    rows: int
    count: int
    size_bytes: int = Field(0, description="of all sheets together")

    @property
    def per_sheet(self) -> int:
        return self.columns * self.rows

    @property
    def sheet_count(self) -> int:
        return -(-self.count // self.per_sheet)


class Pictures(BaseModel):
    """What was made, as `files` in the job's output folder with their sizes in bytes. `poster_seconds` is the moment
    that the poster shows."""

    files: dict[str, int] = {}
    storyboard: Storyboard | None = None
    poster_seconds: float | None = None
    warnings: list[str] = []


class StillsView(BaseModel):
    """`result.pictures` of a job: paths on this API."""

    poster: str | None = None
    poster_seconds: float | None = Field(None, description="the moment that it shows")
    thumbnail: str | None = Field(None, description="the poster in small")
    thumbnails: str | None = Field(None, description="WebVTT with a tile for every moment")
    sprites: list[str] = []
    tile_width: int | None = None
    tile_height: int | None = None
    interval_seconds: float | None = None
