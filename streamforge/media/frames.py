"""Frames of one window of the source's timeline, each with its exact place and duration.

The encoder and the VMAF scorer both read the source through here, so that frame n of a chunk is the same picture to both.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from streamforge.contracts.media import VIDEO_TIMESCALE, Chunk, VideoSource
from streamforge.errors import UndecodableSource
from streamforge.media.source import open_source, stream_by_index

SEEK_MARGINS = (0.0, 4.0, 30.0)
"""Seconds to seek ahead of the window, tried in turn: an index may be missing or wrong. Last comes the whole way."""

MAX_FAILED_SHARE = 0.5
"""A source of which more packets than this fail to decode is given up; single broken pictures are skipped."""


@dataclass(frozen=True)
class SourceFrame:
    """`ticks` counts from the first frame of the source, in 1/VIDEO_TIMESCALE s; `duration` likewise."""

    ticks: int
    duration: int
    picture: VideoFrame


class FrameWindow:
    """Iterate over the frames with chunk.start ≤ t < chunk.end, in presentation order, strictly increasing in time.

    Above `max_frame_rate` only the first frame of each slot is kept; slots lie on the source's own timeline, so that
    all chunks agree.
    """

    def __init__(self, path: Path, video: VideoSource, chunk: Chunk, max_frame_rate: float) -> None:
        self._path = path
        self._video = video
        self._start = _ticks(chunk.start)
        self._end = None if chunk.end is None else _ticks(chunk.end)
        self._slot = VIDEO_TIMESCALE / max_frame_rate if video.frame_rate > max_frame_rate * 1.01 else None
        self._nominal = max(1, round(VIDEO_TIMESCALE / min(video.frame_rate, max_frame_rate)))
        self._stack = ExitStack()
        self.failed_packets = 0
        self.packets = 0
        self.goes_on = False
        """Whether the source has a frame behind the window: an empty window in front of it is a long still picture."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[SourceFrame]:
        """One frame is held back, because a frame lasts until the next one begins."""
        held: tuple[int, VideoFrame] | None = None
        for ticks, picture in self._thinned(self._decoded_from_start()):
            if held is not None:
                yield SourceFrame(held[0], ticks - held[0], held[1])
                held = None
            if self._end is not None and ticks >= self._end:
                self.goes_on = True
                return
            held = (ticks, picture)
        if held is not None:
            left = _ticks(self._video.duration) - held[0]
            yield SourceFrame(held[0], left if left > 0 else self._nominal, held[1])

    def _thinned(self, frames: Iterator[tuple[int, VideoFrame]]) -> Iterator[tuple[int, VideoFrame]]:
        last_ticks = last_slot = -1
        for ticks, picture in frames:
            slot = ticks if self._slot is None else int((ticks + 1) / self._slot)
            if ticks > last_ticks and slot > last_slot:
                last_ticks, last_slot = ticks, slot
                if ticks >= self._start:
                    yield ticks, picture

    def _decoded_from_start(self) -> Iterator[tuple[int, VideoFrame]]:
        """Frames from at or before the window's start. If a seek lands too late, it is tried again from further back."""
        margins = SEEK_MARGINS if self._start > 0 else ()
        for margin in margins:
            frames = self._decode(seek_to=max(0.0, self._start / VIDEO_TIMESCALE - margin))
            first = next(frames, None)
            if first is not None and first[0] <= self._start:
                yield first
                yield from frames
                return
        yield from self._decode(seek_to=None)

    def _decode(self, seek_to: float | None) -> Iterator[tuple[int, VideoFrame]]:
        self._stack.close()
        container = self._stack.enter_context(open_source(self._path))
        stream = stream_by_index(container, self._video.index)
        stream.thread_type = "AUTO"
        if seek_to is not None:
            base = stream.time_base or Fraction(1, VIDEO_TIMESCALE)
            try:
                container.seek(int((self._video.start + seek_to) / base), stream=stream, backward=True)
            except av.error.FFmpegError:
                return
        yield from self._stamped(container)

    def _stamped(self, container: InputContainer) -> Iterator[tuple[int, VideoFrame]]:
        stream = stream_by_index(container, self._video.index)
        number = 0
        for packet in container.demux(stream):
            self.packets += 1
            try:
                pictures = packet.decode()
            except av.error.InvalidDataError as error:
                self._count_failure(error)
                continue
            for picture in pictures:
                yield self._place(picture, number), picture
                number += 1

    def _place(self, picture: VideoFrame, number: int) -> int:
        if not self._video.seekable or picture.pts is None or picture.time_base is None:
            return round(number * VIDEO_TIMESCALE / self._video.frame_rate)
        return round((picture.pts * picture.time_base - Fraction(self._video.start)) * VIDEO_TIMESCALE)

    def _count_failure(self, error: Exception) -> None:
        self.failed_packets += 1
        if self.failed_packets > 50 and self.failed_packets > self.packets * MAX_FAILED_SHARE:
            at = self._start / VIDEO_TIMESCALE
            raise UndecodableSource(
                f"The video stops being decodable near {at:.0f} s; it is damaged.", debug=str(error)
            )


def _ticks(seconds: float) -> int:
    return round(seconds * VIDEO_TIMESCALE)
