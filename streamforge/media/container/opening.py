"""Opening hostile files. Every container that came from outside is opened here and nowhere else."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from fractions import Fraction
from math import inf
from pathlib import Path
from typing import TypeAlias, overload

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.packet import Packet
from av.stream import Stream
from av.subtitles.stream import SubtitleStream
from av.video.codeccontext import VideoCodecContext
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import TrackClock
from streamforge.errors import NotAVideo, SourceTooComplex, TruncatedSource, UndecodableSource
from streamforge.media.container.cut_off import is_cut_off, is_film
from streamforge.media.container.packet_clock import AS_IT_IS, AnyPacket, Losses, PacketClock
from streamforge.media.decoding.accepted import ACCEPTED
from streamforge.media.decoding.decoders import own_decoder

CONTAINERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,ogg,asf,mxf,nut,ivf,dv,gif,h264,hevc,obu,mpegvideo,m4v,"
    "yuv4mpegpipe,wav,mp3,flac,aac,aiff"
)
"""Formats that hold their media themselves. Playlists and scripts (hls, dash, concat, image2, sdp, …) are left out: a
file that names others would make the server read its own disk or its network for the caller (CVE-2016-1897)."""

OPTIONS = {
    "format_whitelist": CONTAINERS,
    "codec_whitelist": ACCEPTED,
    "protocol_whitelist": "file",
    "enable_drefs": "0",  # QuickTime data references point to other files.
    "use_absolute_path": "0",
}

ANALYSED_MICROSECONDS = 24 * 3600 * 1_000_000

Decoder: TypeAlias = VideoStream | AudioStream | VideoCodecContext
OnPacket = Callable[[AnyPacket], None]
OnFailure = Callable[[Exception], None]

MAX_STUMBLES = 10_000
"""Times in a row that a demuxer may ask to be called again; MPEG-TS does for every 64 KiB without a sync byte."""


@contextmanager
def open_source(path: Path, analysed_bytes: int = 0, *, fills_in: bool = True) -> Iterator[InputContainer]:
    """The container, closed at the end. Raises TruncatedSource, UndecodableSource or NotAVideo, naming what to do.

    `analysed_bytes` of it are read to find its streams, whatever time they last; 0 = FFmpeg's own 5 MB and some seconds.
    The streams of a file must have the same numbers whenever it is opened: it is Source.analysed_bytes everywhere.
    `fills_in`: packets without a time get the one that FFmpeg thinks they have.
    """
    options = OPTIONS | _analysis(analysed_bytes) | ({} if fills_in else {"fflags": "nofillin"})
    try:
        container = av.open(str(path), options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise _cannot_open(path, error, options) from error
    with container:
        yield container


def _analysis(analysed_bytes: int) -> dict[str, str]:
    """Microseconds are the unit of FFmpeg's analyzeduration."""
    return {"probesize": str(analysed_bytes), "analyzeduration": str(ANALYSED_MICROSECONDS)} if analysed_bytes else {}


def _cannot_open(path: Path, error: Exception, options: dict[str, str]) -> Exception:
    if isinstance(error, av.error.MemoryError):
        return _too_many_streams(path, options) or error
    if is_cut_off(path):
        message = (
            "The video is cut off: its header or its index is missing, as after an interrupted recording or transfer."
        )
        return TruncatedSource(message, debug=str(error))
    if is_film(path):
        return UndecodableSource("The video is damaged: its header cannot be read.", debug=str(error))
    message = "This is not a video in a format that can be read; send MP4, MOV, WebM, MKV, AVI or MPEG-TS, for example."
    return NotAVideo(message, debug=str(error))


def _too_many_streams(path: Path, options: dict[str, str]) -> SourceTooComplex | None:
    """FFmpeg's own limit of a thousand looks like a lack of memory; only its log tells them apart."""
    level = av.logging.get_level()
    av.logging.set_level(av.logging.ERROR)
    try:
        with av.logging.Capture() as lines, suppress(av.error.FFmpegError):
            av.open(str(path), options=options).close()
    finally:
        av.logging.set_level(level)
    if any("max_streams" in text for _, _, text in lines):
        return SourceTooComplex("The file has more than 1,000 streams; no film has.")
    return None


def stream_by_index(container: InputContainer, index: int) -> VideoStream:
    stream = container.streams[index]
    if not isinstance(stream, VideoStream):
        raise UndecodableSource("The video stream has vanished from the file.")
    return stream


# ── reading what may be broken anywhere ─────────────────────────────────────────────────────────────────────────────
def packets(container: InputContainer, *streams: VideoStream | AudioStream | SubtitleStream) -> Iterator[AnyPacket]:
    """Packets that hold something, to the end of the file or to where its container is broken beyond reading on."""
    stumbles = 0
    while stumbles < MAX_STUMBLES:
        try:
            for packet in container.demux(*streams):
                if packet.size:  # Empty ones mark the end, or are damage that decoders refuse.
                    stumbles = 0
                    yield packet
            return
        except av.error.BlockingIOError:
            stumbles += 1
        except av.error.MemoryError:
            raise
        except (av.error.FFmpegError, IndexError):
            return  # IndexError: a stream turned up that the header does not name, and PyAV has lost its place.


@overload
def decoded(
    container: InputContainer,
    stream: VideoStream,
    clock: TrackClock = ...,
    on_packet: OnPacket = ...,
    on_failure: OnFailure = ...,
    *,
    from_key_frame: bool = ...,
    from_byte: int | None = ...,
) -> Iterator[VideoFrame]: ...
@overload
def decoded(
    container: InputContainer,
    stream: AudioStream,
    clock: TrackClock = ...,
    on_packet: OnPacket = ...,
    on_failure: OnFailure = ...,
    *,
    from_key_frame: bool = ...,
    from_byte: int | None = ...,
) -> Iterator[AudioFrame]: ...
def decoded(
    container: InputContainer,
    stream: VideoStream | AudioStream,
    clock: TrackClock = AS_IT_IS,
    on_packet: OnPacket = lambda _: None,
    on_failure: OnFailure = lambda _: None,
    *,
    from_key_frame: bool = False,
    from_byte: int | None = None,
) -> Iterator[VideoFrame | AudioFrame]:
    """Every frame that can be decoded, at its time by `clock`, of the stream and of those that continue it;
    `on_packet` gets each packet at its time, `on_failure` hears why one could not be decoded. `from_key_frame`: what comes
    before the first one is passed over, as behind a seek into MPEG-TS, or in a recording that begins within a GOP: some
    decoders would make something of it. `from_byte`: so is what lies in front of that in the file."""
    current, decoder = stream, _decoder_of(stream)
    waits, losses = from_key_frame, Losses(container.format.name)
    for packet in clocked(container, stream, clock, from_byte):
        if packet is None:
            yield from _frames(decoder, _flush(current), on_failure)
            continue
        waits = waits and not losses.begins_decoding(packet)
        if waits:
            continue
        if packet.stream is not current:
            current = _continuing(packet.stream)
            decoder = _decoder_of(current)
        on_packet(packet)
        yield from _frames(decoder, packet, on_failure)


def clocked(
    container: InputContainer, stream: VideoStream | AudioStream, clock: TrackClock, from_byte: int | None = None
) -> Iterator[AnyPacket | None]:
    """Packets of the stream, and then of each that continues it, at their times by `clock`, with None behind the last one
    of each; none that lies in front of `from_byte`. One stream is read to its end before the next: of MPEG-TS FFmpeg has
    the last packet under an old number only at the end of the file."""
    reader = PacketClock(clock, stream.time_base)
    streams = [stream, *(_continuing(container.streams[index]) for index in clock.continued_by)]
    ends = [*clock.continued_at, inf]
    has_read = False
    for each, begin, end in zip(streams, [0, *clock.continued_at], ends, strict=True):
        if from_byte is not None and from_byte >= end:
            continue
        if has_read:
            container.seek(begin, unsupported_byte_offset=True)
            reader.go_back()
        has_read = True
        for packet in packets(container, each):
            reader.correct(packet)
            if from_byte is None or reader.position >= from_byte:
                yield packet
        yield None


def _decoder_of(stream: VideoStream | AudioStream) -> Decoder:
    return (own_decoder(stream) if isinstance(stream, VideoStream) else None) or stream


def _frames(decoder: Decoder, packet: AnyPacket, on_failure: OnFailure) -> Iterator[VideoFrame | AudioFrame]:
    try:
        frames = decoder.decode(packet)
    except av.error.MemoryError:
        raise
    except av.error.FFmpegError as error:
        on_failure(error)
    else:
        yield from frames


def _continuing(stream: Stream) -> VideoStream | AudioStream:
    if not isinstance(stream, VideoStream | AudioStream):
        raise UndecodableSource("A stream has vanished from the file.")
    return stream


def _flush(stream: VideoStream | AudioStream) -> AnyPacket:
    """An empty packet: the decoder gives out what it still holds."""
    packet: AnyPacket = Packet()
    packet.time_base = stream.time_base or Fraction(1, VIDEO_TIMESCALE)
    return packet
