"""How a picture is to be seen: its size, the shape of its pixels, its colours, how it is turned. All of it may change at any
picture, so it is read off each."""

from dataclasses import dataclass

from av.filter import Graph
from av.video.frame import VideoFrame

from streamforge.contracts.media import Crop, VideoSource
from streamforge.media.first_picture import buffer_of, has_alpha, is_rgb, orientation, samples, told_tags
from streamforge.planning.color_tags import Samples, Tags, understand

ALMOST_SQUARE = 1 / 50
"""Pixel shapes this close to 1 are somebody's rounding, not an intention."""

MOST_OBLONG = 16
"""Pixels of a shape beyond this, either way, are taken for square."""

CORNER = 16
"""Pixels of a picture, across and down, that its shape is read from."""

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
    """For pictures of one stream, one by one; it takes some 15 µs for each."""

    def __init__(self) -> None:
        self._kind: tuple[object, ...] | None = None
        self._shapes: _ShapeReader | None = None

    def of(self, picture: VideoFrame) -> Look:
        kind = (picture.width, picture.height, picture.format.name)
        if self._shapes is None or kind != self._kind:
            self._kind, self._shapes = kind, _ShapeReader(picture)
        rotation, mirrored = orientation(picture)
        return Look(
            pixel_format=picture.format.name,
            samples=samples(picture),
            shape=self._shapes.read(picture),
            rotation=rotation,
            mirrored=mirrored,
            has_alpha=has_alpha(picture),
            tags=told_tags(picture),
        )


class _ShapeReader:
    """PyAV does not tell the sample aspect ratio of a picture, and that of its decoder is ahead of the pictures that come
    out of it. FFmpeg's `scale` knows: it makes the picture's corner as wide as its pixels are oblong."""

    def __init__(self, picture: VideoFrame) -> None:
        graph = Graph()
        graph.threads = 1
        self._source = graph.add("buffer", buffer_of(picture))
        corner = graph.add("crop", f"{min(CORNER, picture.width)}:{min(CORNER, picture.height)}:0:0")
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
