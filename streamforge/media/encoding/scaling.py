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

from streamforge.contracts.media.source import VIDEO_TIMESCALE, Color, Crop, DynamicRange, VideoSource
from streamforge.media.decoding.first_picture import buffer_of, is_rgb
from streamforge.media.decoding.looks import Look, LookReader, crop_of, like
from streamforge.media.encoding.tone_mapping import write_cube
from streamforge.planning.color.dynamic_range import color_of, needs_mapping
from streamforge.planning.sizes import nearest_even

TURNS = {0: [], 90: [("transpose", "clock")], 180: [("hflip", ""), ("vflip", "")], 270: [("transpose", "cclock")]}

RGB_MATRIX = 0
LIMITED, FULL = 1, 2
"""FFmpeg's AVCOL_RANGE_MPEG and AVCOL_RANGE_JPEG."""

MATRICES = {1: "bt709", 4: "fcc", 5: "bt470bg", 6: "smpte170m", 7: "smpte240m", 9: "bt2020"}
"""As `scale` calls them, by their code in H.273."""

SAME_SHAPE = 0.02
"""Relative. Sizes are rounded; pictures whose shape differs more than this have another one than the film."""


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

    Each picture is understood by itself, and the graph is rebuilt when one is not like the one before it. A picture of
    another shape than the film has is not stretched, but gets black bars.
    """

    def __init__(self, video: VideoSource, outputs: Sequence[Output | Size]) -> None:
        self._video = video
        self._outputs = [output if isinstance(output, Output) else Output(output) for output in outputs]
        self._colors = [color_of(output.dynamic_range, video) for output in self._outputs]
        self._reader = LookReader()
        self._look: Look | None = None
        self._like = video
        self._source: FilterContext | None = None
        self._sinks: list[FilterContext] = []
        self._graph: Graph | None = None

    def scale(self, picture: VideoFrame, ticks: int, look: Look | None = None) -> list[VideoFrame]:
        """`ticks` in 1/VIDEO_TIMESCALE s becomes the time stamp of every picture that comes out. Where its look is not
        known yet, the picture is asked."""
        look = look or self._reader.of(picture)
        if is_new := look != self._look:
            self._look, self._like = look, like(self._video, look)
        full_range = self._is_full_range(picture) or _is_limited_gray(look, self._like)
        _tag(picture, self._color_of_source(picture), full_range=full_range)
        if is_new:
            self._build(picture, look)
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
        color = self._like.color
        return color.model_copy(update={"matrix": RGB_MATRIX}) if is_rgb(picture) else color

    def _is_full_range(self, picture: VideoFrame) -> bool:
        return self._like.full_range or is_rgb(picture)

    # ── the graph ───────────────────────────────────────────────────────────────────────────────────────────────────
    def _build(self, picture: VideoFrame, look: Look) -> None:
        graph = Graph()
        graph.threads = 1  # The encoders fill the cores; more threads here only add switches.
        self._source = graph.add("buffer", buffer_of(picture))
        upright = self._source
        for name, args in [*_cropping(crop_of(self._video, look)), *self._turns(), *_in_color(look, self._like)]:
            upright = _linked(upright, graph.add(name, args or None))
        if self._like.has_alpha:
            upright = _linked(upright, graph.add("premultiply", "inplace=1"))  # What is transparent becomes black.
        self._graph = graph
        split = _linked(upright, graph.add("split", str(len(self._outputs))))
        self._sinks = []
        for position, output in enumerate(self._outputs):
            fitted = self._fitted(output.size)
            scale = graph.add(
                "scale", f"{fitted.width}:{fitted.height}:flags=bicubic{self._conversion(position, picture)}"
            )
            split.link_to(scale, position, 0)
            last = self._mapped(scale, position) if needs_mapping(output.dynamic_range, self._like) else scale
            square = _linked(last, graph.add("setsar", "1"))
            last = _linked(square, graph.add("format", output.pixel_format))
            if fitted != output.size:
                last = _linked(last, graph.add("pad", f"{output.size.width}:{output.size.height}:-1:-1"))
            self._sinks.append(_linked(last, graph.add("buffersink")))
        graph.configure(auto_buffer=False)

    def _turns(self) -> list[tuple[str, str]]:
        return [*([("hflip", "")] if self._like.mirrored else []), *TURNS[self._like.rotation]]

    def _conversion(self, position: int, picture: VideoFrame) -> str:
        """Options of `scale` for colours that are only written in another way; nothing for those of most sources."""
        if needs_mapping(self._outputs[position].dynamic_range, self._like):
            return ""
        matrix = self._colors[position].matrix
        limited = ":out_range=limited" if self._is_full_range(picture) else ""
        rewritten = matrix != self._color_of_source(picture).matrix
        return limited + (f":out_color_matrix={MATRICES[matrix]}" if rewritten else "")

    def _mapped(self, scaled: FilterContext, position: int) -> FilterContext:
        """In each output's own size: what a picture looks like must not depend on what others are made beside it."""
        assert self._graph is not None
        rgb = _linked(scaled, self._graph.add("format", "gbrp16le"))
        with tempfile.NamedTemporaryFile(suffix=".cube") as file:
            wanted = self._outputs[position].dynamic_range
            write_cube(self._like, Path(file.name), wanted, self._colors[position].primaries)
            mapped = _linked(rgb, self._graph.add("lut3d", file=file.name))
        matrix = MATRICES[self._colors[position].matrix]
        return _linked(mapped, self._graph.add("scale", f"out_range=limited:out_color_matrix={matrix}"))

    def _fitted(self, size: Size) -> Size:
        """All of `size`, unless the picture has another shape than the film."""
        film, picture = self._video, self._like
        wider = (picture.width * film.height) / (picture.height * film.width)
        if abs(wider - 1) <= SAME_SHAPE:
            return size
        if wider > 1:
            return Size(size.width, nearest_even(size.height / wider))
        return Size(nearest_even(size.width * wider), size.height)


def _cropping(crop: Crop) -> list[tuple[str, str]]:
    if crop == Crop():
        return []
    across, down = crop.left + crop.right, crop.top + crop.bottom
    return [("crop", f"iw-{across}:ih-{down}:{crop.left}:{crop.top}:exact=1")]


def _is_limited_gray(look: Look, picture: VideoSource) -> bool:
    return look.pixel_format.startswith("gray") and not picture.full_range


def _in_color(look: Look, picture: VideoSource) -> list[tuple[str, str]]:
    """`scale` takes all gray for full range, whatever it is told. So limited range goes through as full, which leaves its
    samples as they are, and is called limited behind that."""
    if not _is_limited_gray(look, picture):
        return []
    finer = f"{look.samples.bit_depth}le" if look.samples.bit_depth > 8 else ""
    return [("scale", "out_range=full"), ("format", f"yuv420p{finer}"), ("setparams", "range=limited")]


def _tag(frame: VideoFrame, color: Color, *, full_range: bool) -> None:
    frame.color_primaries = color.primaries
    frame.color_trc = color.transfer
    frame.colorspace = color.matrix
    frame.color_range = FULL if full_range else LIMITED


def _linked(earlier: FilterContext, later: FilterContext) -> FilterContext:
    earlier.link_to(later)
    return later
