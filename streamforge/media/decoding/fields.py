"""Whole pictures out of fields that are coded as pictures of their own, as HEVC does with interlaced films (ITU-T H.265
§D.3.3, pic_struct 1, 2 and 9 to 12): FFmpeg's decoder gives each by itself, half as high as a picture.

H.264 and MPEG-2 code fields, too, but their decoders weave them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from streamforge.media.decoding.deinterlace import Timed
from streamforge.media.decoding.first_picture import buffer_of


def is_field(picture: VideoFrame, codec: str) -> bool:
    """The decoder of HEVC calls nothing else interlaced."""
    return codec == "hevc" and bool(picture.interlaced_frame)


def woven(frames: Iterable[Timed]) -> Iterator[Timed]:
    """A picture for each two fields, at the time of the first of them. One that has lost its other is woven with itself, and
    what is no field passes."""
    held: _Field | None = None
    for ticks, picture in frames:
        if held is not None and picture.interlaced_frame and held.goes_with(picture):
            yield held.ticks, _weave(held.picture, picture, top_first=held.is_top)
            held = None
            continue
        if held is not None:
            yield held.alone()
        held = _Field(ticks, picture, _is_top(picture)) if picture.interlaced_frame else None
        if held is None:
            yield ticks, picture
    if held is not None:
        yield held.alone()


def alone(field: VideoFrame) -> VideoFrame:
    """The picture that a field would make with another like it."""
    return _weave(field, field, top_first=True)


@dataclass(frozen=True)
class _Field:
    ticks: int
    picture: VideoFrame
    is_top: bool

    def goes_with(self, other: VideoFrame) -> bool:
        return _kind(self.picture) == _kind(other) and _is_top(other) != self.is_top

    def alone(self) -> Timed:
        return self.ticks, alone(self.picture)


def _kind(picture: VideoFrame) -> tuple[object, ...]:
    return picture.width, picture.height, picture.format.name


def _is_top(field: VideoFrame) -> bool:
    """PyAV does not tell; FFmpeg's `select` does."""
    graph = Graph()
    source, select, sink = (
        graph.add("buffer", buffer_of(field)),
        graph.add("select", "eq(interlace_type,1)"),
        graph.add("buffersink"),
    )
    source.link_to(select)
    select.link_to(sink)
    graph.configure(auto_buffer=False)
    source.push(field)
    try:
        sink.pull()
    except (av.error.BlockingIOError, av.error.EOFError):
        return False
    return True


def _weave(first: VideoFrame, second: VideoFrame, *, top_first: bool) -> VideoFrame:
    """At the time of the first."""
    graph = Graph()
    graph.threads = 1
    source, weave, sink = (
        graph.add("buffer", buffer_of(first)),
        graph.add("weave", f"first_field={'top' if top_first else 'bottom'}"),
        graph.add("buffersink"),
    )
    source.link_to(weave)
    weave.link_to(sink)
    graph.configure(auto_buffer=False)
    source.push(first)
    source.push(second)
    picture = sink.pull()
    assert isinstance(picture, VideoFrame)
    picture.pts, picture.time_base = first.pts, first.time_base
    return picture
