"""Which pieces of a film a per-title search encodes: as many as it may cost, spread over the film, the same every time."""

from bisect import bisect_right
from dataclasses import dataclass

from streamforge.contracts.media.plan import Chunk, VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE, VideoSource
from streamforge.planning.prediction import (
    DECODED_PER_SECOND,
    PROVEN_PER_SECOND,
    encoding_speed,
)
from streamforge.quality.floors import USUAL_SAMPLES
from streamforge.quality.registry import METRIC

FEWEST, MOST = 2, 12
"""Samples. One says nothing about a film; and viewers wait for the search, however long the film."""


@dataclass(frozen=True)
class Length:
    """Of a sample, in seconds; `measured` is how many of its pictures are, on average."""

    seconds: float
    measured: float


SHORT, LONG = Length(0.4, 1.5), Length(0.8, 2.0)
"""In short ones an encoder has little to refer to, and the first pictures behind a key frame are better than others; but
many short ones say more about a film than few long ones. Long ones where there can be as many as there may be."""
MOST_OF_THE_FILM = 0.5
USUAL_PROBES = 2
START_SECONDS = 0.15
"""CPU of opening encoders and the ffmpeg that scores."""
CAREFUL = 0.75
"""Share of what may be spent that is planned with: predictions are off, and some renditions need a third probe."""
MOST_SECONDS_IN_VAIN = 1.0
"""Of film, to decode before a sample begins."""
GOLDEN_RATIO = 0.618034


@dataclass(frozen=True)
class Samples:
    """`pieces` are `length` seconds each. One picture in `step` is measured, and `cpu_seconds` is what two probes are expected
    to cost."""

    pieces: list[Chunk]
    length: float
    step: int
    cpu_seconds: float


NONE = Samples([], SHORT.seconds, 1, 0.0)


def samples_of(video: VideoSource, renditions: list[VideoRendition], max_cost: float) -> Samples:
    """NONE where even the fewest would cost more than `max_cost`, a share of what encoding the film costs, or where the
    source cannot be cut."""
    price = _Price(video, renditions)
    budget = CAREFUL * max_cost * price.of_encoding(video.duration) - USUAL_PROBES * START_SECONDS
    many = min(MOST, int(video.duration * MOST_OF_THE_FILM / LONG.seconds))
    length = LONG if many >= FEWEST and budget >= many * price.of_sample(LONG) else SHORT
    room = int(video.duration * MOST_OF_THE_FILM / length.seconds)
    count = min(MOST, room, int(budget / price.of_sample(length)))
    if not video.seekable or count < FEWEST:
        return NONE
    cost = count * price.of_sample(length)
    in_vain = min(MOST_SECONDS_IN_VAIN, (budget - cost) / count / price.of_decoding(1.0))
    return Samples(
        pieces=[_piece(video, position, count, length.seconds, in_vain) for position in range(count)],
        length=length.seconds,
        step=_step(length.seconds * video.frame_rate, length.measured),
        cpu_seconds=round(cost + USUAL_PROBES * START_SECONDS, 1),
    )


class _Price:
    """In CPU seconds, by the constants of streamforge.planning.prediction."""

    def __init__(self, video: VideoSource, renditions: list[VideoRendition]) -> None:
        pixels = sum(r.width * r.height for r in renditions)
        scaled = {(r.width, r.height) for r in renditions} - {(video.width, video.height)}
        self._picture = METRIC.price_of_lead * video.width * video.height / METRIC.pixels_per_second
        self._renditions = len(renditions)
        self._curves = USUAL_PROBES * len(renditions) + len(scaled)
        self._decoding = video.frame_rate * video.coded_width * video.coded_height / DECODED_PER_SECOND
        encoding = sum(r.width * r.height / encoding_speed(r) for r in renditions) + pixels / PROVEN_PER_SECOND
        self._encoding = self._decoding + video.frame_rate * encoding

    def of_encoding(self, seconds: float) -> float:
        """With the fewest pictures that validation measures."""
        return seconds * self._encoding + USUAL_SAMPLES * self._renditions * self._picture

    def of_sample(self, length: Length) -> float:
        return USUAL_PROBES * length.seconds * self._encoding + length.measured * self._curves * self._picture

    def of_decoding(self, seconds: float) -> float:
        return USUAL_PROBES * seconds * self._decoding


def _piece(video: VideoSource, position: int, count: int, length: float, in_vain: float) -> Chunk:
    share = video.duration / count
    start = _start(video, share * (position + _offset(position)), (share * position, share * (position + 1)), in_vain)
    frames = max(1, round(length * video.frame_rate))
    return Chunk(index=position, start=start, end=start + length, expected_frames=frames)


def _offset(position: int) -> float:
    """Where in its equal part of the film a sample begins, 0.05–0.8: by the golden ratio, so that samples do not fall into
    step with anything that repeats."""
    return 0.05 + 0.75 * ((0.5 + position * GOLDEN_RATIO) % 1)


def _start(video: VideoSource, wanted: float, part: tuple[float, float], in_vain: float) -> float:
    """Decoding begins at a key frame, and what lies between it and the sample is decoded in vain. Where that is too much,
    the closest key frame in the same `part` of the film will do."""
    keys = [ticks / VIDEO_TIMESCALE for ticks in video.key_frame_ticks]
    position = bisect_right(keys, wanted)
    before = keys[position - 1] if position else 0.0
    if not keys or wanted - before <= in_vain:
        return wanted
    return min((key for key in keys if part[0] <= key < part[1]), key=lambda key: abs(key - wanted), default=wanted)


def _step(pictures: float, measured: float) -> int:
    """Odd, because encoders repeat themselves every two, four or eight pictures; and at least 3, see Sampling."""
    step = max(3, int(pictures / measured))
    return step - 1 + step % 2
