"""Frames of one window of the source's timeline, each with its exact place and duration.

The encoder and the VMAF scorer both read the source through here, so that frame n of a chunk is the same picture to both.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import Protocol, Self, TypeAlias

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media.plan import Chunk
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source
from streamforge.contracts.media.timeline import PictureCount
from streamforge.errors import TruncatedSource, UndecodableSource
from streamforge.media.container.opening import decoded, open_source, stream_by_index
from streamforge.media.container.packet_clock import AnyPacket, is_hidden
from streamforge.media.decoding.deinterlace import Timed, deinterlaced
from streamforge.media.decoding.fields import woven
from streamforge.media.decoding.looks import Look, LookLog
from streamforge.timeline.completeness import stops_at, tolerated_seconds
from streamforge.timeline.output_order import OutputOrder

SEEK_MARGINS = (0.0, 4.0, 30.0, 300.0, 3000.0)
"""Seconds to seek ahead of the window, tried in turn: an index may be missing or wrong. Last comes the whole way."""

TOLERATED = 2
MOST_MISSING = 20
"""Gaps that are told, if more pictures than TOLERATED are missing."""

SOUGHT_BY_BYTES = {"mpegts", "mpeg"}
"""Containers that can be entered anywhere, and whose clock FFmpeg then reads as before. (FLV's wraps.)"""

GIVEN_OUT_LATE = {"mpeg1video", "mpeg2video"}
"""Codecs whose decoder keeps a picture back behind later ones, where the next one that others refer to is lost. Elsewhere the
order in which pictures come out is better than their times."""

MAX_LOST_SHARE = 2 / 3
MAX_LOST = 50
"""A chunk of which more packets than this, and than this share, come to no picture is given up; single broken pictures
are skipped."""


Placed: TypeAlias = tuple[int | None, VideoFrame]
"""A picture and when it is shown, in ticks from the source's first one; None where its packet does not say."""

Seek: TypeAlias = Callable[[InputContainer, VideoStream], None]


@dataclass(frozen=True)
class SourceFrame:
    """`ticks` counts from the first frame of the source, in 1/VIDEO_TIMESCALE s; `duration` likewise. `look` is None where
    the picture itself is to be asked."""

    ticks: int
    duration: int
    picture: VideoFrame
    look: Look | None = None


class Frames(Protocol):
    """What an encoder is fed from. `goes_on`: whether something is to be seen until the end, also where nothing came."""

    goes_on: bool

    @property
    def count(self) -> PictureCount: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...
    def __iter__(self) -> Iterator[SourceFrame]: ...


class FrameWindow:
    """Iterate over the frames with chunk.start ≤ t < chunk.end, in presentation order, strictly increasing in time.

    Above `max_frame_rate` only the first frame of each slot is kept; slots lie on the source's own timeline, so that
    all chunks agree.
    """

    def __init__(self, path: Path, source: Source, chunk: Chunk, max_frame_rate: float, threads: int = 0) -> None:
        """`threads` of the decoder; 0 = one for each core."""
        video = source.video_required
        self._keeps_damage = source.keeps_damage
        self._container = source.container
        self._analysed_bytes = source.analysed_bytes
        self._path = path
        self._threads = threads
        self._video = video
        self._start = _ticks(chunk.start)
        self._end = None if chunk.end is None else _ticks(chunk.end)
        self._slot = VIDEO_TIMESCALE / max_frame_rate if video.frame_rate > max_frame_rate * 1.01 else None
        self._nominal = max(1, round(VIDEO_TIMESCALE / video.frame_rate_up_to(max_frame_rate)))
        self._stack = ExitStack()
        self._order = OutputOrder[VideoFrame](self._nominal)
        self._entry = chunk.entry
        self._looks = LookLog()
        self._packets: list[int] = []
        self._pictures: list[int] = []
        self._decode_times: list[int] = []
        self._lead_in = 0
        self._without_room = 0
        self._shown = 0
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
        for ticks, picture in self._thinned(self._counted(self._whole(self._timed(self._decoded_from_start())))):
            if held is not None:
                yield SourceFrame(held[0], ticks - held[0], held[1], self._looks.at(held[0]))
                held = None
            if self._end is not None and ticks >= self._end:
                self.goes_on = True
                break
            self._shown += 1
            held = (ticks, picture)
        if not self._keeps_damage:
            if not self.goes_on:
                self._refuse_early_end()
            self._refuse_rubble()
        self.goes_on = self.goes_on or self._keeps_damage or len(self._pictures) > 0
        if held is not None:
            left = _ticks(self._video.duration) - held[0]
            duration = left if left > 0 else self._nominal
            yield SourceFrame(held[0], duration, held[1], self._looks.at(held[0]))

    @property
    def count(self) -> PictureCount:
        """What became of the window's pictures; known when they have all been taken."""
        decoded_here = self._within(self._pictures)
        in_source = self._within(self._packets)
        shown_by = in_source // (2 if self._video.fields else 1)
        return PictureCount(
            in_source=in_source,
            decoded=decoded_here + self._without_room,
            shown=self._shown,
            missing=self._missing() if shown_by > decoded_here + TOLERATED else [],
            thinned=self._without_room + (decoded_here - self._shown if self._slot is not None else 0),
        )

    def _missing(self) -> list[tuple[float, float]]:
        """Where packets gave no picture, and how long that lasted: from one picture to the next."""
        there = set(self._pictures)
        lost = sorted(
            ticks for ticks in set(self._packets) if ticks not in there and self._is_within(ticks) and ticks >= 0
        )
        edges = sorted(there)
        gaps = dict.fromkeys(bisect_right(edges, ticks) for ticks in lost)
        spans = [(edges[at - 1] if at else 0, edges[at] if at < len(edges) else lost[-1]) for at in gaps]
        return [(begin / VIDEO_TIMESCALE, (end - begin) / VIDEO_TIMESCALE) for begin, end in spans[:MOST_MISSING]]

    def _timed(self, frames: Iterator[tuple[int | None, VideoFrame]]) -> Iterator[Timed]:
        for ticks, picture in frames:
            yield from self._order.take(ticks, picture)
        yield from self._order.finish()
        self._without_room = self._order.without_room

    def _counted(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        for ticks, picture in frames:
            self._pictures.append(ticks)
            yield ticks, picture

    def _whole(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        noted = self._looks.noted(woven(frames) if self._video.fields else frames)
        return deinterlaced(noted) if self._video.interlaced else noted

    def _thinned(self, frames: Iterator[Timed]) -> Iterator[Timed]:
        last_slot = -1
        for ticks, picture in frames:
            slot = ticks if self._slot is None else int((ticks + 1) / self._slot)
            if slot > last_slot:
                last_slot = slot
                if ticks >= self._start:
                    yield ticks, picture

    def _decoded_from_start(self) -> Iterator[Placed]:
        """Frames from at or before the window's start. If a seek lands too late, it is tried again from further back.

        From before it where pictures are made with the help of the one before them."""
        latest = self._start - (self._nominal if self._video.interlaced else 0)
        for seek, from_byte in self._seeks(latest):
            frames = self._decode(seek, from_byte)
            first = next(frames, None)
            if first is not None and first[0] is not None and first[0] <= latest:
                yield first
                yield from frames
                return
        yield from self._decode(_from_the_beginning, None)

    def _seeks(self, latest: int) -> Iterator[tuple[Seek, int | None]]:
        """Ways to the window's start, and the byte of the file that decoding then begins at, where that is known."""
        if self._start <= 0 or not self._video.seekable:
            return
        if self._video.clock.runs or self._video.clock.continued_by:
            if self._entry is not None and self._container in SOUGHT_BY_BYTES:
                yield partial(_to_byte, self._entry), self._entry
            if self._entry is not None:
                yield partial(_to_moment, self._own_clock(latest)), self._entry
                yield _from_the_beginning, self._entry
            return
        start = Fraction(self._video.start)
        for margin in SEEK_MARGINS:
            yield partial(_to_moment, start + Fraction(max(0.0, latest / VIDEO_TIMESCALE - margin))), None

    def _own_clock(self, ticks: int) -> Fraction:
        """What the source's own clock says there, in seconds: by the run that the window is entered in."""
        runs = self._video.clock.runs
        at = bisect_right([run.position for run in runs], self._entry or 0) - 1
        shift = runs[at].shift if at >= 0 else 0
        return Fraction(self._video.start) + Fraction(ticks - shift, VIDEO_TIMESCALE)

    def _decode(self, seek: Seek, from_byte: int | None) -> Iterator[Placed]:
        self._stack.close()
        container = self._stack.enter_context(open_source(self._path, self._analysed_bytes))
        stream = stream_by_index(container, self._video.index)
        for each in [stream, *(stream_by_index(container, index) for index in self._video.clock.continued_by)]:
            each.thread_type = "AUTO"
            each.codec_context.thread_count = self._threads
        try:
            seek(container, stream)
        except av.error.FFmpegError:
            return
        self._packets, self._pictures, self._decode_times = [], [], []
        self._lead_in = 0
        self._order = OutputOrder[VideoFrame](self._nominal)
        pictures = decoded(
            container,
            stream,
            self._video.clock,
            self._note_packet,
            self._note_failure,
            from_key_frame=self._video.has_key_frames,
            from_byte=from_byte,
        )
        for number, picture in enumerate(pictures):
            yield self._place(picture, number), picture

    def _place(self, what: VideoFrame | AnyPacket, number: int) -> int | None:
        if self._video.clock.in_output_order and isinstance(what, VideoFrame):
            return self._decode_times[number] if number < len(self._decode_times) else None
        if not self._video.seekable:
            return round(number * VIDEO_TIMESCALE / self._video.frame_rate)
        return None if what.pts is None or what.time_base is None else self._ticks_of(what.pts * what.time_base)

    def _ticks_of(self, seconds: Fraction) -> int:
        return round((seconds - Fraction(self._video.start)) * VIDEO_TIMESCALE)

    # ── damage ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _note_packet(self, packet: AnyPacket) -> None:
        if packet.is_discard or is_hidden(packet):
            return
        if packet.dts is not None and packet.time_base is not None:
            self._decode_times.append(self._ticks_of(packet.dts * packet.time_base))
        placed = self._place(packet, len(self._packets))
        self._lead_in += self._is_lead_in(packet)
        if placed is not None and self._video.codec in GIVEN_OUT_LATE:
            self._order.expect(placed)
        if placed is None:  # Nearly: it only has to be counted in the same window by all of them.
            placed = self._packets[-1] + self._nominal if self._packets else 0
        self._packets.append(placed)

    def _is_lead_in(self, packet: AnyPacket) -> bool:
        at = packet.pos
        return at is not None and any(begin <= at < end for begin, end in self._video.clock.lead_ins)

    def _note_failure(self, error: Exception) -> None:
        self._last_failure = error

    def _refuse_early_end(self) -> None:
        """See streamforge.timeline.completeness for what counts as an end. Asked when the file is at its end and this
        window had nothing behind it, so in every chunk behind the damage, and in the one that it begins in."""
        packets = [ticks for ticks in self._packets if ticks >= 0]
        stopped = stops_at(packets, self._pictures) if self._video.seekable else None
        if stopped is None:
            return
        missing = (max(packets) + self._nominal - stopped) / VIDEO_TIMESCALE
        if missing > tolerated_seconds(self._video.duration):
            raise TruncatedSource(
                f"The video stops at {stopped / VIDEO_TIMESCALE:.1f} s of {self._video.duration:.1f} s: from there on "
                "it cannot be decoded. Send the complete file.",
                debug=str(self._last_failure),
            )

    def _refuse_rubble(self) -> None:
        packets, pictures = self._within(self._packets) - self._lead_in, self._within(self._pictures)
        if packets - pictures > max(MAX_LOST, packets * MAX_LOST_SHARE):
            raise UndecodableSource(
                f"Most of the video behind {self._start / VIDEO_TIMESCALE:.0f} s cannot be decoded; it is damaged.",
                debug=str(self._last_failure),
            )

    def _within(self, times: list[int]) -> int:
        return sum(map(self._is_within, times))

    def _is_within(self, time: int) -> bool:
        return self._start <= time and (self._end is None or time < self._end)


def _from_the_beginning(container: InputContainer, stream: VideoStream) -> None:
    """Where a container is when it was opened."""


def _to_moment(seconds: Fraction, container: InputContainer, stream: VideoStream) -> None:
    base = stream.time_base or Fraction(1, VIDEO_TIMESCALE)
    container.seek(int(seconds / base), stream=stream, backward=True)


def _to_byte(position: int, container: InputContainer, stream: VideoStream) -> None:
    container.seek(position, unsupported_byte_offset=True)


def _ticks(seconds: float) -> int:
    return round(seconds * VIDEO_TIMESCALE)
