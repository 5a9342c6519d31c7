"""Frames of one window of the source's timeline, each with its exact place and duration.

The encoder and the VMAF scorer both read the source through here, so that frame n of a chunk is the same picture to both.
"""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Protocol, Self

import av
from av.container import InputContainer
from av.video.frame import VideoFrame

from streamforge.contracts.media import VIDEO_TIMESCALE, Chunk, VideoSource
from streamforge.errors import TruncatedSource, UndecodableSource
from streamforge.media.deinterlace import Timed, deinterlaced
from streamforge.media.source import AnyPacket, decoded, open_source, stream_by_index
from streamforge.planning.completeness import stops_at, tolerated_seconds

SEEK_MARGINS = (0.0, 4.0, 30.0, 300.0, 3000.0)
"""Seconds to seek ahead of the window, tried in turn: an index may be missing or wrong. Last comes the whole way."""

MAX_LOST_SHARE = 2 / 3
MAX_LOST = 50
"""A chunk of which more packets than this, and than this share, come to no picture is given up; single broken pictures
are skipped."""


@dataclass(frozen=True)
class SourceFrame:
    """`ticks` counts from the first frame of the source, in 1/VIDEO_TIMESCALE s; `duration` likewise."""

    ticks: int
    duration: int
    picture: VideoFrame


class Frames(Protocol):
    """What an encoder is fed from. `goes_on`: whether something is to be seen until the end, also where nothing came."""

    goes_on: bool

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def __iter__(self) -> Iterator[SourceFrame]: ...


class FrameWindow:
    """Iterate over the frames with chunk.start ≤ t < chunk.end, in presentation order, strictly increasing in time.

    Above `max_frame_rate` only the first frame of each slot is kept; slots lie on the source's own timeline, so that
    all chunks agree.
    """

    def __init__(
        self,
        path: Path,
        video: VideoSource,
        chunk: Chunk,
        max_frame_rate: float,
        threads: int = 0,
        *,
        analysed_bytes: int = 0,
    ) -> None:
        """`threads` of the decoder; 0 = one for each core. `analysed_bytes` is the source's."""
        self._path = path
        self._analysed_bytes = analysed_bytes
        self._threads = threads
        self._video = video
        self._start = _ticks(chunk.start)
        self._end = None if chunk.end is None else _ticks(chunk.end)
        self._slot = VIDEO_TIMESCALE / max_frame_rate if video.frame_rate > max_frame_rate * 1.01 else None
        self._nominal = max(1, round(VIDEO_TIMESCALE / min(video.frame_rate, max_frame_rate)))
        self._stack = ExitStack()
        self._packets: list[int] = []
        self._pictures: list[int] = []
        self._last_failure: Exception | None = None
        self.goes_on = False
        """Whether something is to be seen until the window's end: an empty window is then a long still picture."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __iter__(self) -> Iterator[SourceFrame]:
        """One frame is held back, because a frame lasts until the next one begins.

        Raises TruncatedSource when the source stops before its end, UndecodableSource when hardly anything decodes.
        Both are known only after the last frame; a hole that is followed by a picture is bridged by the one before it.
        """
        held: Timed | None = None
        for ticks, picture in self._thinned(self._whole(self._in_order(self._decoded_from_start()))):
            if held is not None:
                yield SourceFrame(held[0], ticks - held[0], held[1])
                held = None
            if self._end is not None and ticks >= self._end:
                self.goes_on = True
                break
            held = (ticks, picture)
        if not self.goes_on:
            self._refuse_early_end()
            self.goes_on = len(self._pictures) > 0
        self._refuse_rubble()
        if held is not None:
            left = _ticks(self._video.duration) - held[0]
            yield SourceFrame(held[0], left if left > 0 else self._nominal, held[1])

    def _in_order(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        """Strictly increasing in time. A damaged time stamp leaps ahead for one picture or falls back; that one goes."""
        last = -1
        held: Timed | None = None
        for ticks, picture in frames:
            if held is not None and ticks > held[0]:
                yield held
                last = held[0]
                held = (ticks, picture)
            elif ticks > last and (held is None or ticks < held[0]):
                held = (ticks, picture)
        if held is not None:
            yield held

    def _whole(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        return deinterlaced(frames) if self._video.interlaced else frames

    def _thinned(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        last_slot = -1
        for ticks, picture in frames:
            slot = ticks if self._slot is None else int((ticks + 1) / self._slot)
            if slot > last_slot:
                last_slot = slot
                if ticks >= self._start:
                    yield ticks, picture

    def _decoded_from_start(self) -> Iterator[Timed]:
        """Frames from at or before the window's start. If a seek lands too late, it is tried again from further back.

        From before it where pictures are made with the help of the one before them."""
        margins = SEEK_MARGINS if self._start > 0 else ()
        latest = self._start - (self._nominal if self._video.interlaced else 0)
        for margin in margins:
            frames = self._decode(seek_to=max(0.0, latest / VIDEO_TIMESCALE - margin))
            first = next(frames, None)
            if first is not None and first[0] <= latest:
                yield first
                yield from frames
                return
        yield from self._decode(seek_to=None)

    def _decode(self, seek_to: float | None) -> Iterator[Timed]:
        self._stack.close()
        container = self._stack.enter_context(open_source(self._path, self._analysed_bytes))
        stream = stream_by_index(container, self._video.index)
        stream.thread_type = "AUTO"
        stream.codec_context.thread_count = self._threads
        if seek_to is not None:
            base = stream.time_base or Fraction(1, VIDEO_TIMESCALE)
            try:
                container.seek(int((self._video.start + seek_to) / base), stream=stream, backward=True)
            except av.error.FFmpegError:
                return
        yield from self._stamped(container)

    def _stamped(self, container: InputContainer) -> Iterator[Timed]:
        stream = stream_by_index(container, self._video.index)
        self._packets, self._pictures = [], []
        for number, picture in enumerate(decoded(container, stream, self._note_packet, self._note_failure)):
            ticks = self._place(picture, number)
            self._pictures.append(ticks)
            yield ticks, picture

    def _place(self, what: VideoFrame | AnyPacket, number: int) -> int:
        if not self._video.seekable or what.pts is None or what.time_base is None:
            return round(number * VIDEO_TIMESCALE / self._video.frame_rate)
        return round((what.pts * what.time_base - Fraction(self._video.start)) * VIDEO_TIMESCALE)

    # ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _note_packet(self, packet: AnyPacket) -> None:
        if not packet.is_discard:
            self._packets.append(self._place(packet, len(self._packets)))

    def _note_failure(self, error: Exception) -> None:
        self._last_failure = error

    def _refuse_early_end(self) -> None:
        """See streamforge.planning.completeness for what counts as an end. Asked when the file is at its end and this
        window had nothing behind it, so in every chunk behind the damage, and in the one that it begins in."""
        stopped = stops_at(self._packets, self._pictures) if self._video.seekable else None
        if stopped is None:
            return
        missing = (max(self._packets) + self._nominal - stopped) / VIDEO_TIMESCALE
        if missing > tolerated_seconds(self._video.duration):
            raise TruncatedSource(
                f"The video stops at {stopped / VIDEO_TIMESCALE:.1f} s of {self._video.duration:.1f} s: from there on "
                "it cannot be decoded. Send the complete file.",
                debug=str(self._last_failure),
            )

    def _refuse_rubble(self) -> None:
        packets, pictures = self._within(self._packets), self._within(self._pictures)
        if packets - pictures > max(MAX_LOST, packets * MAX_LOST_SHARE):
            raise UndecodableSource(
                f"Most of the video behind {self._start / VIDEO_TIMESCALE:.0f} s cannot be decoded; it is damaged.",
                debug=str(self._last_failure),
            )

    def _within(self, times: list[int]) -> int:
        return sum(self._start <= time and (self._end is None or time < self._end) for time in times)


def _ticks(seconds: float) -> int:
    return round(seconds * VIDEO_TIMESCALE)
