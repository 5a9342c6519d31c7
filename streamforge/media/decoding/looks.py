"""How a picture is to be seen: its size, the shape of its pixels, its colours, how it is turned. All of it may change at any
picture, so it is read off each."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from av.filter import Graph
from av.video.frame import VideoFrame

from streamforge.contracts.media.source import Crop, VideoSource
from streamforge.media.decoding.first_picture import buffer_of, has_alpha, is_rgb, orientation, samples, told_tags
from streamforge.planning.color.tags import Samples, Tags, understand

ALMOST_SQUARE = 1 / 50
"""Pixel shapes this close to 1 are somebody's rounding, not an intention."""

MOST_OBLONG = 16
"""Pixels of a shape beyond this, either way, are taken for square."""

UPRIGHT = (0, False)
"""Degrees, and whether mirrored."""

CORNER = 16
"""Pixels of a picture, across and down, that its shape is read from."""

MOST_WAITING = 16
"""Pictures between here and an encoder: a filter holds two, the window one."""

UNIT = 720
"""What the longer side of a pixel is told in, as a multiple of the shorter: 64:45, 16:15, 4:3 and 10:11 come out exactly or
within 0.1 %."""


@dataclass(frozen=True)
class Look:
    """`shape` is the width of a pixel by its height, 1 where the picture does not say; `rotation` degrees clockwise, after
    it was mirrored left to right."""

    pixel_format: str
    samples: Samples
    shape: float
    rotation: int
    mirrored: bool
    has_alpha: bool
    tags: Tags


class LookReader:
    """For all pictures of a stream in order, some 15 µs for each.

    H.264 and HEVC tell with a key frame how the pictures up to the next one are to be held (ITU-T H.264 §D.2.17).
    """

    def __init__(self) -> None:
        self._orientation = UPRIGHT
        self._kind: tuple[object, ...] | None = None
        self._shapes: _ShapeReader | None = None

    def of(self, picture: VideoFrame) -> Look:
        kind = (picture.width, picture.height, picture.format.name)
        if self._shapes is None or kind != self._kind:
            self._kind, self._shapes = kind, _ShapeReader(picture)
        told = orientation(picture)
        if told is not None or picture.key_frame:
            self._orientation = told or UPRIGHT
        rotation, mirrored = self._orientation
        return Look(
            pixel_format=picture.format.name,
            samples=samples(picture),
            shape=self._shapes.read(picture),
            rotation=rotation,
            mirrored=mirrored,
            has_alpha=has_alpha(picture),
            tags=told_tags(picture),
        )


class LookLog:
    """Looks of the last pictures, by their time in ticks, for whoever gets them a little later."""

    def __init__(self) -> None:
        self._reader = LookReader()
        self._looks: dict[int, Look] = {}

    def noted(self, frames: Iterable[tuple[int, VideoFrame]]) -> Iterator[tuple[int, VideoFrame]]:
        for ticks, picture in frames:
            self._looks[ticks] = self._reader.of(picture)
            if len(self._looks) > MOST_WAITING:
                del self._looks[next(iter(self._looks))]
            yield ticks, picture

    def at(self, ticks: int) -> Look | None:
        """None where none was noted, or long ago."""
        return self._looks.get(ticks)


class _ShapeReader:
    """PyAV does not tell the sample aspect ratio of a picture, and that of its decoder is ahead of the pictures that come
    out of it. FFmpeg's `scale` knows: it makes the picture's corner as wide as its pixels are oblong."""

    def __init__(self, picture: VideoFrame) -> None:
        graph = Graph()
        graph.threads = 1
        self._source = graph.add("buffer", buffer_of(picture))
        across, down = min(CORNER, picture.width), min(CORNER, picture.height)
        corner = graph.add("crop", f"{across}:{down}:0:0")
        known = graph.add("setparams", _any_colors(picture))
        oblong = f"w='max(2,round({UNIT}*min({MOST_OBLONG + 1},max(sar,1/sar))))':h='if(gte(sar,1),2,4)'"
        scale = graph.add("scale", f"{oblong}:eval=frame:flags=neighbor")
        self._sink = graph.add("buffersink")
        for earlier, later in ((self._source, corner), (corner, known), (known, scale), (scale, self._sink)):
            earlier.link_to(later)
        graph.configure(auto_buffer=False)
        self._graph = graph

    def read(self, picture: VideoFrame) -> float:
        self._source.push(picture)
        told = self._sink.pull()
        assert isinstance(told, VideoFrame)
        return told.width / UNIT if told.height == 2 else UNIT / told.width


def _any_colors(picture: VideoFrame) -> str:
    """Which `scale` can read: of those that a picture claims it cannot read all."""
    matrix, range_ = ("gbr", "pc") if is_rgb(picture) else ("bt709", "tv")
    return f"colorspace={matrix}:range={range_}:color_primaries=bt709:color_trc=bt709"


# ── what it means for the film ──────────────────────────────────────────────────────────────────────────────────────
def like(video: VideoSource, look: Look) -> VideoSource:
    """The film as if all of it were like this picture: size, colours, and how it is turned."""
    shape = video.pixel_shape if look.shape == video.told_shape else look.shape
    crop = crop_of(video, look)
    width, height = display_size(look, crop, shape)
    return video.model_copy(
        update={
            "width": width,
            "height": height,
            "rotation": look.rotation,
            "mirrored": look.mirrored,
            "has_alpha": look.has_alpha,
            "pixel_format": look.pixel_format,
            **_colors(video, look),
        }
    )


def within(crop: Crop, look: Look) -> Crop:
    """None of it where it would leave nothing to see."""
    is_left = crop.left + crop.right < look.samples.width and crop.top + crop.bottom < look.samples.height
    return crop if is_left else Crop()


def crop_of(video: VideoSource, look: Look) -> Crop:
    """The container means the size that it tells; pictures of another come whole."""
    told = (video.coded_width, video.coded_height)
    return video.crop if (look.samples.width, look.samples.height) == told else Crop()


def _colors(video: VideoSource, look: Look) -> dict[str, object]:
    """The film's own, for pictures that are like its first. Others are understood by themselves."""
    first = (video.coded_width, video.coded_height, video.pixel_format, video.told_tags)
    told = (look.samples.width, look.samples.height, look.pixel_format, look.tags.as_tuple())
    if video.told_tags is None or told == first:
        return {}
    found = understand(look.tags, look.samples)
    return {"color": found.color, "dynamic_range": found.dynamic_range, "full_range": found.full_range}


def display_size(look: Look, crop: Crop, shape: float) -> tuple[int, int]:
    """The picture with square pixels, as a viewer sees it: the longer reading of the pixel shape, so no detail is lost."""
    width = float(look.samples.width - crop.left - crop.right)
    height = float(look.samples.height - crop.top - crop.bottom)
    if 1 / MOST_OBLONG <= shape <= MOST_OBLONG and abs(shape - 1) > ALMOST_SQUARE:
        width, height = (width * shape, height) if shape >= 1 else (width, height / shape)
    if look.rotation in {90, 270}:
        width, height = height, width
    return round(width), round(height)
