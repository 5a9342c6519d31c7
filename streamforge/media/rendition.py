"""Encoder and muxer of one rendition of one chunk: pictures in, CMAF segments out."""

import hashlib
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import accumulate
from pathlib import Path

import av
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media import (
    VIDEO_TIMESCALE,
    EncodedTrack,
    KeyFrame,
    Segment,
    VideoRendition,
    segment_name,
)
from streamforge.errors import OutputInvalid
from streamforge.media.cmaf import MUXER_OPTIONS, FragmentSplitter, codec_string, first_sample_end, init_segment
from streamforge.media.proof import OnPicture, Proof
from streamforge.media.protection import Lock
from streamforge.media.scaling import LIMITED, Output, Size
from streamforge.planning.manifests import INIT_SEGMENT


@dataclass(frozen=True)
class Picture:
    """One frame on its way to one encoder; times in ticks from the source's first frame."""

    frame: VideoFrame
    ticks: int
    duration: int
    is_key: bool


@dataclass
class Cuts:
    """Where GOPs begin, in ticks from the source's first frame, found while encoding."""

    gop_ticks: int
    segment_ticks: int
    gop_starts: list[int] = field(default_factory=list)
    end: int = 0
    frames: int = 0
    _slot: int = -1

    def starts_gop(self, ticks: int, duration: int) -> bool:
        """Whether the frame at `ticks` is the first one in its slot. One tick of slack: 29.97 does not divide evenly."""
        self.frames += 1
        self.end = ticks + duration
        slot = (ticks + 1) // self.gop_ticks
        if slot == self._slot:
            return False
        self._slot = slot
        self.gop_starts.append(ticks)
        return True

    def segments(self) -> list[tuple[int, int, list[int]]]:
        """(start, duration, starts of the GOPs in it) of each segment."""
        grouped: dict[int, list[int]] = {}
        for start in self.gop_starts:
            grouped.setdefault((start + 1) // self.segment_ticks, []).append(start)
        starts = [group[0] for group in grouped.values()]
        ends = [*starts[1:], self.end]
        return [(s, e - s, g) for s, e, g in zip(starts, ends, grouped.values(), strict=True)]


class RenditionEncoder:
    """Encoder and muxer of one rendition of one chunk.

    The n-th packet's decode time is the n-th frame's presentation time; presentation times are shifted up by the edit
    offset to make room. So a chunk's decode times span exactly its own piece of the timeline, and chunks encoded apart
    cannot overlap at their joint, also with a variable frame rate (an encoder's own decode times do).
    """

    def __init__(
        self, rendition: VideoRendition, folder: Path, frame_rate: float, on_picture: OnPicture, lock: Lock
    ) -> None:
        """`on_picture` gets every picture as a player will see it; `lock` everything before it is written."""
        self.name = rendition.name
        self.output = output_of(rendition)
        self._rendition = rendition
        self.proof = Proof(rendition.name, on_picture)
        self._folder = folder
        self._lock = lock
        folder.mkdir(parents=True)
        self._moov = b""
        self._fragments: list[bytes] = []
        self._frame_rate = Fraction(frame_rate).limit_denominator(1001)
        sink = FragmentSplitter(self._set_moov, self._fragments.append)
        self._container: OutputContainer = av.open(sink, "w", format="mp4", options=_muxer_options())
        self._stream: VideoStream | None = None
        self._times: list[tuple[int, int]] = []
        self._gop: list[av.Packet[VideoStream]] = []
        self._packets = 0

    def _set_moov(self, moov: bytes) -> None:
        self._moov = moov

    def encode(self, picture: Picture) -> None:
        frame = picture.frame
        if self._stream is None:
            self._stream = add_encoder(self._container, self._rendition, self._frame_rate)
        # A decoded frame carries its source's picture type; left alone, every I-frame of it would become a key frame.
        frame.pict_type = PictureType.I if picture.is_key else PictureType.NONE
        frame.duration = picture.duration
        self._times.append((picture.ticks, picture.duration))
        self.proof.expect(frame)
        self._take(self._stream.encode(frame), self._stream)

    def flush(self) -> None:
        if self._stream is not None:
            self._take(self._stream.encode(None), self._stream)
            self._write_gop()
            self.proof.finish()
        self._container.close()

    def close(self) -> None:
        self._container.close()

    def _take(self, packets: "list[av.Packet[VideoStream]]", stream: VideoStream) -> None:
        for packet in packets:
            self.proof.take(packet, stream.codec_context)
            if packet.is_keyframe:
                self._write_gop()
            self._gop.append(packet)

    def _write_gop(self) -> None:
        latest = None
        decode_times = [self._times[self._packets + position] for position in range(len(self._gop))]
        stamped = []
        for packet, (ticks, duration) in zip(reversed(self._gop), reversed(decode_times), strict=True):
            # Never after its own presentation, should reordering need more room than the edit offset gives.
            limit = packet.pts if latest is None else min(packet.pts or 0, latest - 1)
            packet.dts = latest = min(ticks, limit or 0)
            packet.duration = duration
            stamped.append(packet)
        self._container.mux(list(reversed(stamped)))
        self._packets += len(self._gop)
        self._gop = []

    def write_segments(self, cuts: Cuts, edit_offset_ticks: int) -> EncodedTrack:
        """No segments at all when one picture stays on screen for longer than the chunk: the one before it has it."""
        if cuts.frames == 0:
            return self._track(b"", [])
        fragments = self._fragments
        if len(fragments) != len(cuts.gop_starts) or self._packets != cuts.frames:
            raise OutputInvalid(
                "An encoder did not put its key frames where it was told.",
                debug=f"{self._rendition.name}: {len(fragments)} fragments of {len(cuts.gop_starts)}, "
                f"{self._packets} pictures of {cuts.frames}",
            )
        init = self._lock.init(init_segment(self._moov, edit_offset_ticks))
        (self._folder / INIT_SEGMENT).write_bytes(init)
        remaining = iter(fragments)
        segments = []
        for start, duration, gops in cuts.segments():
            parts = [self._lock.fragment(next(remaining)) for _ in gops]
            data = self._lock.segment(segment_name(start), b"".join(parts))
            segment = Segment(
                start_ticks=start,
                duration_ticks=duration,
                size_bytes=len(data),
                key_frames=_key_frames(gops, parts) if self._lock.has_byte_ranges else [],
            )
            (self._folder / segment.file_name).write_bytes(data)
            segments.append(segment)
        return self._track(init, segments)

    def _track(self, init: bytes, segments: list[Segment]) -> EncodedTrack:
        return EncodedTrack(
            name=self._rendition.name,
            timescale=VIDEO_TIMESCALE,
            codec_string=codec_string(init) if init else "",
            init_sha256=hashlib.sha256(init).hexdigest(),
            init_size_bytes=len(init),
            frames=self._packets,
            segments=segments,
        )


def output_of(rendition: VideoRendition) -> Output:
    return Output(Size(rendition.width, rendition.height), rendition.pixel_format, rendition.dynamic_range)


def _key_frames(gop_starts: list[int], fragments: list[bytes]) -> list[KeyFrame]:
    """Each fragment is one GOP and begins with its key frame."""
    sizes = [len(fragment) for fragment in fragments]
    offsets = accumulate(sizes[:-1], initial=0)
    return [
        KeyFrame(ticks=ticks, offset=offset, size_bytes=first_sample_end(fragment))
        for ticks, offset, fragment in zip(gop_starts, offsets, fragments, strict=True)
    ]


def codec_string_of(rendition: VideoRendition, frame_rate: float) -> str:
    """What `codec_string` will say of its init segment: x264, x265 and SVT-AV1 know when they open."""
    headers: list[bytes] = []
    sink = FragmentSplitter(headers.append, lambda _: None)
    with av.open(sink, "w", format="mp4", options=_muxer_options()) as container:
        add_encoder(container, rendition, Fraction(frame_rate).limit_denominator(1001))
        container.start_encoding()
    return codec_string(headers[0])


def add_encoder(container: OutputContainer, rendition: VideoRendition, frame_rate: Fraction) -> VideoStream:
    stream = container.add_stream(rendition.encoder, rate=frame_rate, options=dict(rendition.options))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = rendition.width, rendition.height, rendition.pixel_format
    context.time_base = stream.time_base = Fraction(1, VIDEO_TIMESCALE)
    context.color_range = LIMITED
    context.color_primaries = rendition.color.primaries
    context.color_trc = rendition.color.transfer
    context.colorspace = rendition.color.matrix
    if rendition.codec == "hevc":
        context.codec_tag = "hvc1"  # Apple players refuse hev1.
    return stream


def _muxer_options() -> dict[str, str]:
    return MUXER_OPTIONS | {"video_track_timescale": str(VIDEO_TIMESCALE)}
