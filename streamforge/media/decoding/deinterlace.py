"""Whole pictures out of interlaced ones: FFmpeg's bwdif, one picture for each, at the source's frame rate.

One for each field would double the frame rate, and with it the cost of every encode, for motion that few who made 25 or
29.97 frames a second ever saw. Pictures that are not flagged as interlaced pass as they are, so mixed material is safe.
"""

from collections import deque
from collections.abc import Iterable, Iterator

import av
from av.filter import Graph
from av.video.frame import VideoFrame

from streamforge.media.decoding.first_picture import buffer_of

SMALLEST = 16
"""Lines and columns. A damaged header can make pictures of less, which bwdif refuses."""

Timed = tuple[int, VideoFrame]
"""Ticks from the source's first frame, and the picture."""


def deinterlaced(frames: Iterable[Timed]) -> Iterator[Timed]:
    """As many pictures as come in, at the same times. Each needs its neighbours: the first and the last are made without,
    so of a window that is to be like that of the whole film they are best thrown away."""
    filter_: _Bwdif | None = None
    for ticks, picture in frames:
        if filter_ is not None and not filter_.takes(picture):
            yield from filter_.flush()
            filter_ = None
        if min(picture.width, picture.height) < SMALLEST:
            yield ticks, picture
            continue
        filter_ = filter_ or _Bwdif(picture)
        yield from filter_.push(ticks, picture)
    if filter_ is not None:
        yield from filter_.flush()


class _Bwdif:
    """For pictures of one size and pixel format. It holds one back, until its neighbour is there."""

    def __init__(self, picture: VideoFrame) -> None:
        self._kind = _kind(picture)
        self._times: deque[int] = deque()
        graph = Graph()
        graph.threads = 1
        self._source = graph.add("buffer", buffer_of(picture))
        bwdif = graph.add("bwdif", "mode=send_frame:parity=auto:deint=interlaced")
        self._sink = graph.add("buffersink")
        self._source.link_to(bwdif)
        bwdif.link_to(self._sink)
        graph.configure(auto_buffer=False)
        self._graph = graph

    def takes(self, picture: VideoFrame) -> bool:
        return _kind(picture) == self._kind

    def push(self, ticks: int, picture: VideoFrame) -> Iterator[Timed]:
        self._times.append(ticks)
        picture.pts = ticks
        self._source.push(picture)
        return self._pulled()

    def flush(self) -> Iterator[Timed]:
        self._source.push(None)
        return self._pulled()

    def _pulled(self) -> Iterator[Timed]:
        while True:
            try:
                picture = self._sink.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(picture, VideoFrame)
            yield self._times.popleft(), picture


def _kind(picture: VideoFrame) -> tuple[object, ...]:
    return picture.width, picture.height, picture.format.name, int(picture.colorspace), int(picture.color_range)
