"""Encoder of one rendition of one chunk: pictures in, CMAF segments out."""

import re
from dataclasses import dataclass, field
from fractions import Fraction

import av
from av.container import OutputContainer
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media import VIDEO_TIMESCALE, EncodedTrack, VideoRendition
from streamforge.errors import OutputInvalid
from streamforge.media.cmaf import codec_string
from streamforge.media.fragments import GopMuxer, Shown, TrackFolder
from streamforge.media.proof import OnPicture, Proof
from streamforge.media.scaling import LIMITED, Output, Size

SIGNATURE = re.compile(rb"x264 - core \d+(?: r\d+)?(?: [0-9a-f]{6,})?|x265 \(build \d+\) - [\w.+-]+")


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


class RenditionEncoder:
    """Key frames stand where the pictures say. All of a chunk's fragments are in memory until its end is known."""

    def __init__(
        self, rendition: VideoRendition, folder: TrackFolder, frame_rate: float, on_picture: OnPicture
    ) -> None:
        """`on_picture` gets every picture as a player will see it."""
        self.name = rendition.name
        self.output = output_of(rendition)
        self._rendition = rendition
        self.proof = Proof(rendition.name, on_picture)
        self._folder = folder
        self._moov = b""
        self._fragments: list[bytes] = []
        self._frame_rate = Fraction(frame_rate).limit_denominator(1001)
        self._muxer = GopMuxer(self._set_moov, self._fragments.append)
        self._stream: VideoStream | None = None
        self._shown: list[Shown] = []
        self._gop: list[av.Packet[VideoStream]] = []
        self._written_by = rendition.encoder

    def _set_moov(self, moov: bytes) -> None:
        self._moov = moov

    def encode(self, picture: Picture) -> None:
        frame = picture.frame
        if self._stream is None:
            self._stream = add_encoder(self._muxer.container, self._rendition, self._frame_rate)
        # A decoded frame carries its source's picture type; left alone, every I-frame of it would become a key frame.
        frame.pict_type = PictureType.I if picture.is_key else PictureType.NONE
        frame.duration = picture.duration
        self._shown.append(Shown(picture.ticks, picture.duration))
        self.proof.expect(frame)
        self._take(self._stream.encode(frame), self._stream)

    def flush(self) -> None:
        if self._stream is not None:
            self._take(self._stream.encode(None), self._stream)
            self._write_gop()
            self.proof.finish()
        self._muxer.close()

    def close(self) -> None:
        self._muxer.close()

    def _take(self, packets: "list[av.Packet[VideoStream]]", stream: VideoStream) -> None:
        for packet in packets:
            self.proof.take(packet, stream.codec_context)
            if not self._muxer.packets and not self._gop:
                said = signature((stream.codec_context.extradata or b"") + bytes(packet))
                self._written_by = f"{self._rendition.encoder} ({said})" if said else self._rendition.encoder
            if packet.is_keyframe:
                self._write_gop()
            self._gop.append(packet)

    def _write_gop(self) -> None:
        begun = self._muxer.packets
        self._muxer.write(self._gop, self._shown[begun : begun + len(self._gop)])
        self._gop = []

    def write_segments(self, cuts: Cuts, edit_offset_ticks: int) -> EncodedTrack:
        """No segments at all when one picture stays on screen for longer than the chunk: the one before it has it."""
        if cuts.frames > 0:
            self._check(cuts)
            self._folder.write_init(self._moov, edit_offset_ticks)
            for start, fragment in zip(cuts.gop_starts, self._fragments, strict=True):
                self._folder.add(start, fragment)
        return self._folder.finish(cuts.end, self._muxer.packets, self._written_by)

    def _check(self, cuts: Cuts) -> None:
        fragments, packets = len(self._fragments), self._muxer.packets
        if fragments != len(cuts.gop_starts) or packets != cuts.frames:
            raise OutputInvalid(
                "An encoder did not put its key frames where it was told.",
                debug=f"{self.name}: {fragments} fragments of {len(cuts.gop_starts)}, {packets} of {cuts.frames} pictures",
            )


def output_of(rendition: VideoRendition) -> Output:
    return Output(Size(rendition.width, rendition.height), rendition.pixel_format, rendition.dynamic_range)


def signature(stream: bytes) -> str | None:
    """What x264 and x265 write about themselves into the head of a stream; other encoders do not."""
    found = SIGNATURE.search(stream)
    return found.group().decode() if found else None


def codec_string_of(rendition: VideoRendition, frame_rate: float) -> str:
    """What `codec_string` will say of its init segment: x264, x265 and SVT-AV1 know when they open."""
    headers: list[bytes] = []
    muxer = GopMuxer(headers.append, lambda _: None)
    with muxer.container as container:
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
