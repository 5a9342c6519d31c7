"""Reads a file without anything of StreamForge: every packet into a plain decoder, and then the marks."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from marks import Sound, beeps_in, number_of

Stream = VideoStream | AudioStream


@dataclass
class Seen:
    """Times in seconds; None where a picture has none. The number of a picture is None where it cannot be read."""

    pictures: list[tuple[float | None, int | None]] = field(default_factory=list)
    beeps: list[tuple[float, int]] = field(default_factory=list)
    ends: float = 0.0
    sound_ends: float = 0.0
    frames: int = 0
    """Of the rendition, with those that only show the same picture again."""

    @property
    def numbers(self) -> list[int]:
        return [number for _, number in self.pictures if number is not None]


def decodable(path: Path) -> Seen:
    """What a source holds, whatever its clock says: all pictures of all its films in the order of the file, and the beeps
    of all its sound put together, so that only their order says something. Nothing where FFmpeg does not open the file, as an
    MP4 of VP9 in which no key frame is left."""
    try:
        return _decodable(path)
    except av.error.InvalidDataError:
        return Seen()


def _decodable(path: Path) -> Seen:
    with av.open(str(path), metadata_errors="replace") as container:
        films = [stream for stream in container.streams.video if stream.codec_context]
        numbers = [(None, number_of(frame)) for frame in _decoded(container, films)]
    with av.open(str(path), metadata_errors="replace") as container:
        tracks = [stream for stream in container.streams.audio if stream.codec_context]
        frames = list(_decoded(container, tracks))
    rate = frames[0].sample_rate if frames else 1
    sound = np.concatenate([_mono(frame) for frame in frames]) if frames else np.zeros(0, np.float32)
    return Seen(numbers, beeps_in(sound, rate))


def played(pictures: Path | None, sound: Path | None, read: Callable[[VideoFrame], int | None] = number_of) -> Seen:
    """What a viewer sees and hears of a rendition, at its times. A picture that comes again and again is one that stays."""
    seen = Seen()
    if pictures is not None:
        with av.open(str(pictures)) as container:
            stream = container.streams.video[0]
            for frame in container.decode(stream):
                seen.frames += 1
                number = read(frame)
                begins = float(frame.pts * frame.time_base)
                if number is None or not seen.pictures or seen.pictures[-1][1] != number:
                    seen.pictures.append((begins, number))
                lasts = float((frame.duration or 0) * frame.time_base)
                seen.ends = max(seen.ends, begins + lasts)
    if sound is not None:
        samples, rate = _laid_out(sound)
        seen.beeps = beeps_in(samples, rate)
        seen.sound_ends = samples.size / rate
    return seen


def _laid_out(path: Path) -> tuple[Sound, int]:
    """Every frame of sound at its time."""
    with av.open(str(path)) as container:
        frames = list(container.decode(audio=0))
    if not frames:
        return np.zeros(0, np.float32), 1
    rate = frames[0].sample_rate
    places = [round(Fraction(frame.pts) * frame.time_base * rate) for frame in frames]
    laid = np.zeros(max(place + frame.samples for place, frame in zip(places, frames, strict=True)), np.float32)
    for place, frame in zip(places, frames, strict=True):
        samples = _mono(frame)[max(0, -place) :]
        laid[max(0, place) : max(0, place) + samples.size] = samples
    return laid, rate


def _mono(frame: AudioFrame) -> Sound:
    """The first channel, between -1 and 1."""
    samples = frame.to_ndarray()
    channel = samples[0] if frame.format.is_planar else samples.reshape(-1, frame.layout.nb_channels)[:, 0]
    if np.issubdtype(channel.dtype, np.integer):
        return channel.astype(np.float32) / np.float32(2 ** (8 * channel.dtype.itemsize - 1))
    return channel.astype(np.float32)


def _decoded(container: av.container.InputContainer, streams: list[Stream]) -> Iterator[VideoFrame | AudioFrame]:
    """What is broken is skipped; what a decoder still holds comes at the end, in the order of the streams."""
    for stream in streams:
        stream.thread_type = "AUTO"  # With threads for slices alone, FFmpeg does not paint over what is broken.
    try:
        for packet in container.demux(streams):
            if packet.size:
                yield from _frames(packet.stream, packet)
    except (av.error.FFmpegError, IndexError):
        pass
    for stream in streams:
        yield from _frames(stream, None)


def _frames(stream: Stream, packet: av.Packet | None) -> list[VideoFrame] | list[AudioFrame]:
    try:
        return stream.decode(packet)
    except (av.error.FFmpegError, ValueError):
        return []
