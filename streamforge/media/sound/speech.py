"""The sound of a source as speech recognition wants it: 16 kHz, mono, on the video's timeline."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream

from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import Listened
from streamforge.media.container.opening import decoded, open_source
from streamforge.media.process.performing import Tell

if TYPE_CHECKING:
    from numpy.typing import NDArray

RATE = 16_000
SAMPLE_BYTES = 2
JITTER_SECONDS = 0.05
"""Matroska rounds times to milliseconds: frames that miss each other by so little follow each other."""

REPORT_EVERY_SECONDS = 30
"""Of the source's own time; decoding it takes a tenth of a second."""


def write_speech(path: Path, source: Source, stream_index: int, target: Path, on_progress: Tell[Listened]) -> int:
    """Signed 16-bit samples of one audio track, from the first picture to the last; how many there are.

    In a file, not in memory: a film of three hours has 350 MB of them. Where there is no sound the file has holes,
    which read as silence.
    """
    longest = round(source.duration * RATE)
    reported = 0.0
    with target.open("wb") as file:
        file.truncate(longest * SAMPLE_BYTES)
        for position, samples in _placed(path, source, stream_index):
            _write(file, position, samples, longest)
            if position - reported >= REPORT_EVERY_SECONDS * RATE:
                reported = position
                on_progress(Listened(phase="extracting_audio", progress=min(1.0, position / longest)))
    on_progress(Listened(phase="extracting_audio", progress=1.0))
    return longest


def read_speech(file: Path, start: int, end: int) -> "NDArray[np.float32]":
    """Samples [start, end) as numbers from -1 to 1."""
    count = end - start
    samples = np.fromfile(file, np.int16, count, offset=start * SAMPLE_BYTES)
    return samples.astype(np.float32) / np.float32(32768)


def _write(file: BinaryIO, position: int, samples: "NDArray[np.int16]", longest: int) -> None:
    """What lies before the first picture or behind the last one is cut."""
    samples = samples[max(0, -position) : max(0, longest - position)]
    if len(samples):
        file.seek(max(0, position) * SAMPLE_BYTES)
        file.write(samples.tobytes())


def _placed(path: Path, source: Source, stream_index: int) -> "Iterator[tuple[int, NDArray[np.int16]]]":
    """Samples and where they begin, counted from the first picture."""
    offset = None if source.start is None else Fraction(source.start)
    cursor = 0
    resampler, shape = None, None
    for frame in _frames(path, source, stream_index):
        found = (frame.format.name, frame.layout.name, frame.sample_rate)
        if resampler is None or found != shape:
            resampler, shape = av.AudioResampler(format="s16", layout="mono", rate=RATE), found
        at = cursor
        if offset is not None and frame.pts is not None and frame.time_base is not None:
            at = round((frame.pts * frame.time_base - offset) * RATE)
        if abs(at - cursor) > JITTER_SECONDS * RATE:
            cursor = at
        frame.pts = None
        for resampled in resampler.resample(frame):
            samples = np.asarray(resampled.to_ndarray(), np.int16).reshape(-1)
            yield cursor, samples
            cursor += len(samples)


def _frames(path: Path, source: Source, stream_index: int) -> Iterator[AudioFrame]:
    with open_source(path, source.analysed_bytes) as container:
        stream = container.streams[stream_index]
        if isinstance(stream, AudioStream):
            found = decoded(container, stream, source.audio_clock(stream_index))
            yield from (frame for frame in found if frame.sample_rate and frame.samples)
