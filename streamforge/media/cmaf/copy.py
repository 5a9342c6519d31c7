"""Copy a whole film, packet by packet, into the segments that an encoder would have filled.

What is copied is proved like what is encoded: each GOP is decoded by itself, and each of its pictures must come out, at
its time. So a player can begin at every key frame, and no damage is passed on.
"""

import struct
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import closing
from fractions import Fraction
from itertools import chain, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias, cast

import av
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import COPY
from streamforge.contracts.media.source import VIDEO_TIMESCALE, VideoSource
from streamforge.contracts.tasks import FramesEncoded
from streamforge.errors import CannotBeCopied
from streamforge.media.cmaf.fragments import GopMuxer, PictureTiming, TrackFolder
from streamforge.media.container.opening import open_source, packets, stream_by_index
from streamforge.media.decoding.looks import Look, LookReader
from streamforge.media.encoding.chunk_window import Window, track_folder
from streamforge.media.encoding.decode_check import decoder_of
from streamforge.media.process.performing import Tell
from streamforge.media.process.progress import FrameProgress
from streamforge.planning.remux import not_copied

if TYPE_CHECKING:
    Gop: TypeAlias = Sequence[Packet[VideoStream]]

TICK = Fraction(1, VIDEO_TIMESCALE)


def copy_film(window: Window, target: Path, on_progress: Tell[FramesEncoded]) -> EncodedTrack:
    """The plan's one rendition gets a folder in `target`. One GOP and one segment are held in memory.

    Raises CannotBeCopied when something turns up that the probe could not see: it does not decode pictures.
    """
    [rendition] = window.plan.renditions
    folder = track_folder(window, rendition, target)
    with open_source(window.path, window.source.analysed_bytes) as source:
        stream = stream_by_index(source, window.source.video_required.index)
        found = cast("Iterator[Packet[VideoStream]]", packets(source, stream))
        with closing(_Copy(window, stream, folder)) as copy:
            progress = FrameProgress(on_progress, lambda: {rendition.name: copy.frames})
            for gop in _gops(found):
                copy.take(gop)
                progress.tell_now_and_then()
            progress.tell()
            return copy.finish()


def _gops(found: "Iterator[Packet[VideoStream]]") -> "Iterator[Gop]":
    gop: list[Packet[VideoStream]] = []
    for packet in found:
        if packet.is_keyframe and gop:
            yield gop
            gop = []
        gop.append(packet)
    if gop:
        yield gop


class _Copy:
    """One GOP is held back, because its last picture stays until the next one begins."""

    def __init__(self, window: Window, stream: VideoStream, folder: TrackFolder) -> None:
        self._video = window.source.video_required
        self._offset = window.plan.edit_offset_ticks
        self._proof = _Proof(self._video, stream)
        self._folder = folder
        self._muxer = GopMuxer(lambda moov: folder.write_init(moov, self._offset), self._write)
        self._stream = _output(self._muxer, stream)
        self._expected: deque[tuple[int, bytes]] = deque()
        self._altered = False
        self._held: Gop = []
        self.frames = 0
        """That were found to be right."""

    def take(self, gop: "Gop") -> None:
        self._proof.decode(gop)
        self.frames += len(gop)
        for packet in gop:
            packet.pts = self._ticks(packet)
            packet.time_base = TICK
            packet.stream = self._stream
        self._put(until=min(packet.pts or 0 for packet in gop))
        self._held = gop

    def finish(self) -> EncodedTrack:
        last = max((packet.pts or 0 for packet in self._held), default=0)
        end = round(self._video.duration * VIDEO_TIMESCALE)
        if end <= last:
            end = last + max(1, round(VIDEO_TIMESCALE / self._video.frame_rate))
        self._put(until=end)
        self._muxer.close()
        self._altered |= bool(self._expected)
        self._refuse_alteration()
        return self._folder.finish(end, self._muxer.packets, COPY)

    def close(self) -> None:
        self._muxer.close()

    def _ticks(self, packet: "Packet[VideoStream]") -> int:
        if packet.pts is None or packet.time_base is None:
            raise CannotBeCopied(not_copied("not every picture has a time stamp of its own"))
        return round((packet.pts * packet.time_base - Fraction(self._video.start)) * VIDEO_TIMESCALE)

    def _put(self, until: int) -> None:
        """Mux the GOP that is held; its last picture ends at `until`."""
        if not self._held:
            return
        times = sorted(packet.pts or 0 for packet in self._held)
        pictures = [PictureTiming(time, following - time) for time, following in pairwise([*times, until])]
        for packet in self._held:
            packet.pts = (packet.pts or 0) + self._offset
        self._expected.append((times[0], b"".join(bytes(packet) for packet in self._held)))
        try:
            self._muxer.write(self._held, pictures)
        except av.error.FFmpegError as error:
            raise _unwritable(str(error)) from error
        self._refuse_alteration()

    def _write(self, fragment: bytes) -> None:
        """FFmpeg's muxer takes AV1 apart into its units: what is garbage to it is changed, or spoils the fragment."""
        start, data = self._expected.popleft()
        if fragment.endswith(struct.pack(">I4s", 8 + len(data), b"mdat") + data):
            self._folder.add(start, fragment)
        else:
            self._altered = True

    def _refuse_alteration(self) -> None:
        if self._altered:
            raise _unwritable("not what was copied")


def _unwritable(why: str) -> CannotBeCopied:
    return CannotBeCopied(not_copied("its packets cannot be written into segments as they are"), debug=why)


def _output(muxer: GopMuxer, source: VideoStream) -> VideoStream:
    stream = muxer.container.add_stream_from_template(source, opaque=True)
    stream.time_base = TICK
    stream.codec_tag = CODECS[source.codec_context.codec.canonical_name].sample_entry
    return stream


class _Proof:
    """Decodes GOPs, each as if a player had begun with it. Raises CannotBeCopied, saying where something is amiss."""

    def __init__(self, video: VideoSource, stream: VideoStream) -> None:
        self._start = Fraction(video.start)
        self._video = video
        self._reader = LookReader()
        self._first: Look | None = None
        self._decoder: VideoCodecContext = decoder_of(stream.codec_context, threads=0)

    def decode(self, gop: "Gop") -> None:
        expected = deque(sorted((packet.pts or 0, packet.time_base or TICK) for packet in gop))
        begin = float(expected[0][0] * expected[0][1] - self._start)
        try:
            for frame in self._frames(gop):
                self._refuse_change(self._reader.of(frame), begin)
                if frame.interlaced_frame:
                    raise CannotBeCopied(not_copied(f"it is interlaced from {begin:.1f} s on"))
                if not expected or frame.pts != expected.popleft()[0]:
                    raise _damaged(begin, f"an unexpected picture at {frame.pts}")
        except av.error.MemoryError:
            raise
        except av.error.FFmpegError as error:
            raise _damaged(begin, str(error)) from error
        if expected:
            raise _damaged(begin, f"{len(expected)} pictures are missing")

    def _refuse_change(self, look: Look, begin: float) -> None:
        """Players are told once what the pictures of a rendition are like."""
        self._first = self._first or look
        size = (look.samples.width, look.samples.height, look.pixel_format)
        if look != self._first or size != (self._video.coded_width, self._video.coded_height, self._video.pixel_format):
            raise CannotBeCopied(not_copied(f"its format changes at {begin:.1f} s"))

    def _frames(self, gop: "Gop") -> Iterator[VideoFrame]:
        for packet in chain(gop, [None]):
            yield from self._decoder.decode(packet)
        self._decoder.flush_buffers()


def _damaged(begin: float, why: str) -> CannotBeCopied:
    reason = f"it is damaged, or not complete in itself, in the part that begins at {begin:.1f} s"
    return CannotBeCopied(not_copied(reason), debug=why)
