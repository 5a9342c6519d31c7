"""Encoder of one rendition of one chunk: pictures in, CMAF segments out."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import cast

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from streamforge.codecs.base import LONGEST_REORDERED_SECONDS
from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.errors import OutputInvalid
from streamforge.media.cmaf.boxes import codec_string, configuration_of
from streamforge.media.cmaf.fragments import GopMuxer, PictureTiming, TrackFolder
from streamforge.media.encoding.decode_check import DecodeCheck, OnPicture
from streamforge.media.encoding.scaling import LIMITED, Output, Size

SIGNATURE = re.compile(b"|".join(codec.signature for codec in CODECS.values() if codec.signature is not None))


class GpuFailed(Exception):
    """A GPU's encoder did not start, or stopped. A CPU's can do the same work."""


@dataclass(frozen=True)
class Picture:
    """One frame on its way to one encoder; times in ticks from the source's first frame."""

    frame: VideoFrame
    ticks: int
    duration: int
    is_key: bool


@dataclass
class GopStarts:
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
        self,
        rendition: VideoRendition,
        folder: TrackFolder,
        frame_rate: float,
        on_picture: OnPicture,
        *,
        on_gpu: bool = False,
        reorders: bool = True,
    ) -> None:
        """`on_picture` gets every picture as a player will see it. `on_gpu`: by the rendition's GPU encoder. `reorders`:
        whether it may decode pictures in another order than they are shown.

        A GPU encoder raises GpuFailed, from `encode` and `flush`.
        """
        self.name = rendition.name
        self.output = output_of(rendition)
        self._rendition = rendition
        self.proof = DecodeCheck(rendition.name, on_picture)
        self._folder = folder
        self._moov = b""
        self._fragments: list[bytes] = []
        self._frame_rate = Fraction(frame_rate).limit_denominator(1001)
        self._muxer = GopMuxer(self._set_moov, self._fragments.append)
        self._stream: VideoStream | None = None
        self._held: Picture | None = None
        self._shown: list[PictureTiming] = []
        self._gop: list[av.Packet[VideoStream]] = []
        self._on_gpu = on_gpu
        self._reorders = reorders
        self._encoder = rendition.gpu_encoder if on_gpu and rendition.gpu_encoder else rendition.encoder
        self._written_by = self._encoder

    def _set_moov(self, moov: bytes) -> None:
        self._moov = moov

    def encode(self, picture: Picture) -> None:
        """One picture is held back: what kind it becomes depends on the next one, too."""
        self._encode_held(picture)
        self._held = picture

    def _encode_held(self, following: Picture | None) -> None:
        if self._held is not None:
            self._encode(self._held, self._kind(self._held, following))
        self._held = None

    def _kind(self, picture: Picture, following: Picture | None) -> PictureType:
        """NONE leaves it to the encoder. Only what lies between two P-frames is reordered, so a picture that stays for
        long becomes one, and the picture before it, too. NVENC does not listen."""
        if picture.is_key:
            return PictureType.I
        if not self._reorders or stays_long(picture) or (following is not None and stays_long(following)):
            return PictureType.P
        return PictureType.NONE

    def _encode(self, picture: Picture, kind: PictureType) -> None:
        frame = picture.frame
        if self._stream is None:
            self._stream = self._add_encoder()
        # A decoded frame carries its source's picture type; left alone, every I-frame of it would become a key frame.
        frame.pict_type = kind
        frame.duration = picture.duration
        self._shown.append(PictureTiming(picture.ticks, picture.duration))
        self.proof.expect(frame)
        self._take(self._encoded(self._stream, frame), self._stream)

    def _add_encoder(self) -> VideoStream:
        rendition = self._rendition
        if self._on_gpu:
            return add_gpu_encoder(self._muxer.container, rendition, self._frame_rate, self._reorders)
        return add_encoder(self._muxer.container, rendition, self._frame_rate)

    def _encoded(self, stream: VideoStream, frame: VideoFrame | None) -> "list[Packet[VideoStream]]":
        """Packets that can be decoded from each key frame on, as the rendition has it."""
        with failing_as_gpu(self._on_gpu):
            packets = stream.encode(frame)
        if self._rendition.gpu_encoder is None:
            return packets
        return [with_parameter_sets(packet, stream.codec_context) for packet in packets]

    def flush(self) -> None:
        self._encode_held(None)
        if self._stream is not None:
            self._take(self._encoded(self._stream, None), self._stream)
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
                self._written_by = f"{self._encoder} ({said})" if said else self._encoder
            if packet.is_keyframe:
                self._write_gop()
            self._gop.append(packet)

    def _write_gop(self) -> None:
        begun = self._muxer.packets
        self._muxer.write(self._gop, self._shown[begun : begun + len(self._gop)])
        self._gop = []

    def write_segments(self, cuts: GopStarts, edit_offset_ticks: int) -> EncodedTrack:
        """No segments at all when one picture stays on screen for longer than the chunk: the one before it has it."""
        if cuts.frames > 0:
            self._check(cuts)
            in_band = self._rendition.gpu_encoder is not None
            moov = header_of(self._rendition, self._frame_rate) if in_band else self._moov
            self._folder.write_init(moov, edit_offset_ticks)
            for start, fragment in zip(cuts.gop_starts, self._fragments, strict=True):
                self._folder.add(start, fragment)
        return self._folder.finish(cuts.end, self._muxer.packets, self._written_by)

    def _check(self, cuts: GopStarts) -> None:
        fragments, packets = len(self._fragments), self._muxer.packets
        if fragments != len(cuts.gop_starts) or packets != cuts.frames:
            raise OutputInvalid(
                "An encoder did not put its key frames where it was told.",
                debug=f"{self.name}: {fragments} fragments of {len(cuts.gop_starts)}, {packets} of {cuts.frames} pictures",
            )


def stays_long(picture: Picture) -> bool:
    return picture.duration > LONGEST_REORDERED_SECONDS * VIDEO_TIMESCALE


def output_of(rendition: VideoRendition) -> Output:
    return Output(Size(rendition.width, rendition.height), rendition.pixel_format, rendition.dynamic_range)


def signature(stream: bytes) -> str | None:
    """What an encoder writes about itself into the head of a stream; not all do."""
    found = SIGNATURE.search(stream)
    return found.group().decode() if found else None


def codec_string_of(rendition: VideoRendition, frame_rate: float) -> str:
    """What `codec_string` will say of its init segment: x264, x265 and SVT-AV1 know when they open."""
    return codec_string(header_of(rendition, Fraction(frame_rate).limit_denominator(1001)))


def header_of(rendition: VideoRendition, frame_rate: Fraction) -> bytes:
    """`moov` as the CPU's encoder has it written. Where chunks come from different encoders it is the one for all."""
    headers: list[bytes] = []
    muxer = GopMuxer(headers.append, lambda _: None)
    with muxer.container as container:
        add_encoder(container, rendition, frame_rate)
        container.start_encoding()
    return headers[0]


def add_encoder(container: OutputContainer, rendition: VideoRendition, frame_rate: Fraction) -> VideoStream:
    return _add_stream(container, rendition, frame_rate, rendition.encoder, rendition.options)


def add_gpu_encoder(
    container: OutputContainer, rendition: VideoRendition, frame_rate: Fraction, reorders: bool
) -> VideoStream:
    assert rendition.gpu_encoder is not None
    configuration = configuration_of(header_of(rendition, frame_rate))
    codec = CODECS[rendition.codec]
    options = codec.gpu_options(rendition.options, rendition.max_bitrate, configuration, reorders=reorders)
    return _add_stream(container, rendition, frame_rate, rendition.gpu_encoder, options)


def _add_stream(
    container: OutputContainer, rendition: VideoRendition, frame_rate: Fraction, encoder: str, options: dict[str, str]
) -> VideoStream:
    stream = container.add_stream(encoder, rate=frame_rate, options=dict(options))
    assert isinstance(stream, VideoStream)
    context = stream.codec_context
    context.width, context.height, context.pix_fmt = rendition.width, rendition.height, rendition.pixel_format
    context.time_base = stream.time_base = Fraction(1, VIDEO_TIMESCALE)
    context.color_range = LIMITED
    context.color_primaries = rendition.color.primaries
    context.color_trc = rendition.color.transfer
    context.colorspace = rendition.color.matrix
    context.codec_tag = CODECS[rendition.codec].sample_entry
    if rendition.gpu_encoder is not None:
        context.codec_tag = "avc3"  # Parameter sets may be in the samples, ISO/IEC 14496-15 §5.3.3.
    return stream


def with_parameter_sets(packet: "Packet[VideoStream]", encoder: VideoCodecContext) -> "Packet[VideoStream]":
    """A key frame with the sets (Annex B, as the packet) in front of it; other packets as they are."""
    if not packet.is_keyframe:
        return packet
    whole = cast("Packet[VideoStream]", Packet((encoder.extradata or b"") + bytes(packet)))
    whole.pts, whole.dts, whole.duration = packet.pts, packet.dts, packet.duration
    whole.time_base, whole.stream, whole.is_keyframe = packet.time_base, packet.stream, True
    return whole


def failure_of(error: GpuFailed | OutputInvalid) -> str:
    """What a log says about it."""
    return (error.debug or error.message) if isinstance(error, OutputInvalid) else str(error)


@contextmanager
def failing_as_gpu(on_gpu: bool) -> Iterator[None]:
    """Whatever FFmpeg says of a GPU's encoder becomes GpuFailed: no driver, no free session, no memory in it."""
    try:
        yield
    except av.error.FFmpegError as error:
        if not on_gpu:
            raise
        raise GpuFailed(str(error)) from error
