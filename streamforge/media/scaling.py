"""One filter graph that turns a source picture upright and makes every size of it, from one upload of the frame.

A filter graph and not frame.reformat(): that one keeps a scaler of some 15 MB alive per live frame.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from av.filter import Graph
from av.filter.context import FilterContext
from av.video.frame import VideoFrame

from streamforge.contracts.media import VIDEO_TIMESCALE, Color, DynamicRange, VideoSource
from streamforge.media.first_picture import is_rgb
from streamforge.media.tone_mapping import write_cube
from streamforge.planning.dynamic_range import color_of, needs_mapping

TURNS = {0: [], 90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "cclock")]}

RGB_MATRIX = 0
LIMITED, FULL = 1, 2
"""FFmpeg's AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG."""

MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
"""As `scale` calls them, by their code in H.273."""

SAME_SHAPE = 0.02
"""Relative. Sizes are rounded; pictures whose shape differs more than this have got another one on the way."""


@dataclass(frozen=True)
class Size:
    width: int
    height: int


@dataclass(frozen=True)
class Output:
    """A kind of picture that is wanted of the source; always of limited range."""

    size: Size
    pixel_format: str = "yuv420p"
    dynamic_range: DynamicRange = "sdr"


class Scaler:
    """Pictures in, one picture per output out, with the time stamps they came with; a Size stands for an 8-bit SDR output.

    The graph is rebuilt when the source changes its size or pixel format on the way. A picture whose shape has changed
    is not stretched, but gets black bars.
    """

    def __init__(self, video: VideoSource, outputs: Sequence[Output | Size]) -> None:
        self._video = video
        self._outputs = [output if isinstance(output, Output) else Output(output) for output in outputs]
        self._colors = [color_of(output.dynamic_range, video) for output in self._outputs]
        self._shape: tuple[object, ...] | None = None
        self._source: FilterContext | None = None
        self._sinks: list[FilterContext] = []
        self._graph: Graph | None = None

    def scale(self, picture: VideoFrame, ticks: int) -> list[VideoFrame]:
        """`ticks` in 1/VIDEO_TIMESCALE s becomes the time stamp of every picture that comes out."""
        shape = (picture.width, picture.height, picture.format.name)
        _tag(picture, self._color_of_source(picture), full_range=self._is_full_range(picture))
        if shape != self._shape:
            self._build(picture)
            self._shape = shape
        picture.pts = ticks
        picture.time_base = Fraction(1, VIDEO_TIMESCALE)
        assert self._source is not None
        self._source.push(picture)
        return [self._pulled(position) for position in range(len(self._outputs))]

    def _pulled(self, position: int) -> VideoFrame:
        frame = self._sinks[position].pull()
        assert isinstance(frame, VideoFrame)
        _tag(frame, self._colors[position], full_range=False)
        return frame

    def _color_of_source(self, picture: VideoFrame) -> Color:
        color = self._video.color
        return color.model_copy(update={"matrix": RGB_MATRIX}) if is_rgb(picture) else color

    def _is_full_range(self, picture: VideoFrame) -> bool:
        return self._video.full_range or is_rgb(picture)

    # ── the graph ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _build(self, picture: VideoFrame) -> None:
        graph = Graph()
        graph.threads = 1  # The encoders fill the cores; more threads here only add switches.
        self._source = graph.add(
            "buffer",
            f"video_size={picture.width}x{picture.height}:pix_fmt={picture.format.name}"
            f":time_base=1/{VIDEO_TIMESCALE}:pixel_aspect=1/1"
            f":colorspace={int(picture.colorspace)}:range={int(picture.color_range)}",
        )
        upright = self._source
        for name, args in self._turns():
            upright = _linked(upright, graph.add(name, args or None))
        if self._video.has_alpha:
            upright = _linked(upright, graph.add("premultiply", "inplace=1"))  # What is transparent becomes black.
        self._graph = graph
        split = _linked(upright, graph.add("split", str(len(self._outputs))))
        self._sinks = []
        for position, output in enumerate(self._outputs):
            fitted = self._fitted(picture, output.size)
            scale = graph.add(
                "scale", f"{fitted.width}:{fitted.height}:flags=bicubic{self._conversion(position, picture)}"
            )
            split.link_to(scale, position, 0)
            last = self._mapped(scale) if needs_mapping(output.dynamic_range, self._video) else scale
            square = _linked(last, graph.add("setsar", "1"))
            last = _linked(square, graph.add("format", output.pixel_format))
            if fitted != output.size:
                last = _linked(last, graph.add("pad", f"{output.size.width}:{output.size.height}:-1:-1"))
            self._sinks.append(_linked(last, graph.add("buffersink")))
        graph.configure(auto_buffer=False)

    def _turns(self) -> list[tuple[str, str]]:
        return [*([("hflip", "")] if self._video.mirrored else []), *TURNS[self._video.rotation]]

    def _conversion(self, position: int, picture: VideoFrame) -> str:
        """Options of `scale` for colours that are only written in another way; nothing for those of most sources."""
        if needs_mapping(self._outputs[position].dynamic_range, self._video):
            return ""
        matrix = self._colors[position].matrix
        limited = ":out_range=limited" if self._is_full_range(picture) else ""
        rewritten = matrix != self._color_of_source(picture).matrix
        return limited + (f":out_color_matrix={MATRICES[matrix]}" if rewritten else "")

    def _mapped(self, scaled: FilterContext) -> FilterContext:
        """In each output's own size: what a picture looks like must not depend on what others are made beside it."""
        assert self._graph is not None
        rgb = _linked(scaled, self._graph.add("format", "gbrp16le"))
        with tempfile.NamedTemporaryFile(suffix=".cube") as file:
            write_cube(self._video, Path(file.name))
            mapped = _linked(rgb, self._graph.add("lut3d", file=file.name))
        return _linked(mapped, self._graph.add("scale", "out_range=limited:out_color_matrix=bt709"))

    def _fitted(self, picture: VideoFrame, size: Size) -> Size:
        """All of `size`, unless the picture has another shape than the source began with."""
        video = self._video
        change = (picture.width * video.coded_height) / (picture.height * video.coded_width)
        if abs(change - 1) <= SAME_SHAPE:
            return size
        wider = 1 / change if video.rotation in {90, 270} else change
        if wider > 1:
            return Size(size.width, _even(size.height / wider))
        return Size(_even(size.width * wider), size.height)


def _even(length: float) -> int:
    return max(2, round(length / 2) * 2)


def _tag(frame: VideoFrame, color: Color, *, full_range: bool) -> None:
    frame.color_primaries = color.primaries
    frame.color_trc = color.transfer
    frame.colorspace = color.matrix
    frame.color_range = FULL if full_range else LIMITED


def _linked(earlier: FilterContext, later: FilterContext) -> FilterContext:
    earlier.link_to(later)
    return later
