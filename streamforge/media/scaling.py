"""One filter graph that turns a source picture upright and makes every size of it, from one upload of the frame.

A filter graph and not frame.reformat(): that one keeps a scaler of some 15 MB alive per live frame.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from streamforge.contracts.media import VIDEO_TIMESCALE, VideoSource

TURNS = {0: [], 90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "cclock")]}
PIXEL_FORMAT = "yuv420p"


@dataclass(frozen=True)
class Size:
    width: int
    height: int


class Scaler:
    """Pictures in, one picture per size out, in PIXEL_FORMAT, with the time stamps they came with.

    The graph is rebuilt when the source changes its size or pixel format on the way.
    """

    def __init__(self, video: VideoSource, sizes: Sequence[Size]) -> None:
        self._rotation = video.rotation
        self._sizes = sizes
        self._shape: tuple[object, ...] | None = None
        self._source: FilterContext | None = None
        self._sinks: list[FilterContext] = []
        self._graph: Graph | None = None

    def scale(self, picture: VideoFrame, ticks: int) -> list[VideoFrame]:
        """`ticks` in 1/VIDEO_TIMESCALE s becomes the time stamp of every picture that comes out."""
        shape = (picture.width, picture.height, picture.format.name, picture.colorspace, picture.color_range)
        if shape != self._shape:
            self._build(picture)
            self._shape = shape
        picture.pts = ticks
        picture.time_base = Fraction(1, VIDEO_TIMESCALE)
        assert self._source is not None
        self._source.push(picture)
        return [self._pulled(sink) for sink in self._sinks]

    @staticmethod
    def _pulled(sink: FilterContext) -> VideoFrame:
        frame = sink.pull()
        assert isinstance(frame, VideoFrame)
        return frame

    def _build(self, picture: VideoFrame) -> None:
        graph = Graph()
        graph.threads = 1  # The encoders fill the cores; more threads here only add switches.
        self._source = graph.add(
            "buffer",
            f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
            f":time_base=1/{VIDEO_TIMESCALE}:pixel_aspect=1/1"
            f":colorspace={int(picture.colorspace)}:range={int(picture.color_range)}",
        )
        last = self._source
        for name, args in TURNS[self._rotation]:
            last = _linked(last, graph.add(name, args or None))
        split = _linked(last, graph.add("split", str(len(self._sizes))))
        self._sinks = []
        for position, size in enumerate(self._sizes):
            scale = graph.add("scale", f"{size.width}:{size.height}:flags=bicubic")
            split.link_to(scale, position, 0)
            square = _linked(scale, graph.add("setsar", "1"))
            formatted = _linked(square, graph.add("format", PIXEL_FORMAT))
            self._sinks.append(_linked(formatted, graph.add("buffersink")))
        graph.configure(auto_buffer=False)
        self._graph = graph


def _linked(earlier: FilterContext, later: FilterContext) -> FilterContext:
    earlier.link_to(later)
    return later
