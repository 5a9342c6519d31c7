"""Decoded sound on its way to an encoder: on the video's timeline, without holes, in the rendition's layout and rate."""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import av
import numpy as np
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.filter import Graph
from av.filter.context import FilterContext

from streamforge.contracts.media.plan import AudioRendition
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.timeline import SoundCount
from streamforge.media.container.opening import decoded
from streamforge.planning.sound.downmix import LAYOUTS, Mix, mix

AAC_FRAME = 1024

LATEST_SOUND_SECONDS = 600
"""Sound this long after the last picture is cut: a forged time stamp must not make us encode days of silence."""

MOST_GAPS = 50
"""That are told."""

SHORTEST_GAP = Fraction(1, 50)
"""Seconds. What is missing between two frames, if it is this much and more than a frame, becomes silence. The resampler would
stretch the sound over a gap of less than a tenth of a second; jitter and drift are for it."""

MOST_PLANES = 7

SHORTEST_OVERLAP = Fraction(1, 200)
"""Seconds. What two frames say both is cut from the later one. Less is jitter."""

LIMITER = "alimiter=limit=0.891:attack=5:release=50:level=0:latency=1"
"""−1 dBFS. Many channels in few may be too loud for a moment; nothing else is touched, and all stays as loud as it is."""


class Resampler:
    """Frames of one track as the rendition wants them, all of AAC_FRAME samples but the last.

    `gain` (dB) is applied as it is, by a caller who knows how loud the track is. With None nothing is changed but what
    mixing many channels into few would clip.
    """

    def __init__(self, source: Source, rendition: AudioRendition, gain: float | None = None) -> None:
        self._rendition = rendition
        self._gain = gain
        self._start = None if source.start is None else Fraction(source.start)
        self._clock = source.audio_clock(rendition.stream_index)
        self._duration = Fraction(source.duration)
        self._graph: Graph | None = None
        self._shape: tuple[object, ...] | None = None
        self._told_until = Fraction(0)
        self._resampled = 0
        self._ended = False
        self._heard = self._silent_for = self._cut = Fraction(0)
        self._gaps: list[tuple[float, float]] = []

    def frames(self, source: InputContainer) -> Iterator[AudioFrame | None]:
        """Ends with None, as an encoder wants it. Nothing at all when nothing decodes."""
        for frame in self._without_gaps(self._decoded(source)):
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if shape != self._shape:
                yield from self._drained()
                self._graph = self._built(frame)
                self._shape = shape
            assert self._graph is not None
            self._graph.push(frame)
            yield from self._pulled()
        if self._graph is not None:
            self._ended = True
            yield from self._drained()
            yield None

    @property
    def count(self) -> SoundCount:
        """What became of the track; known when all of it has been taken."""
        return SoundCount(
            in_source=round(float(self._heard), 3),
            shown=round(self._resampled / self._rendition.sample_rate, 3),
            silence=round(float(self._silent_for), 3),
            cut=round(float(self._cut), 3),
            gaps=self._gaps,
        )

    # ── in time ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _decoded(self, source: InputContainer) -> Iterator[AudioFrame]:
        stream = source.streams[self._rendition.stream_index]
        if not isinstance(stream, AudioStream):
            return
        for frame in _Handy().frames(decoded(source, stream, self._clock)):  # A broken packet is a moment of silence.
            length = Fraction(frame.samples, frame.sample_rate)
            self._heard += length
            if self._place(frame):
                yield frame
            else:
                self._cut += length

    def _place(self, frame: AudioFrame) -> bool:
        """Move the frame to the video's clock, in samples of its own rate. False = too late to be kept."""
        rate = frame.sample_rate
        if self._start is None or frame.pts is None or frame.time_base is None:
            frame.pts = round(self._told_until * rate)
        else:
            frame.pts = round((frame.pts * frame.time_base - self._start) * rate)
        frame.time_base = Fraction(1, rate)
        return frame.pts < (self._duration + LATEST_SOUND_SECONDS) * rate

    def _unheard(self, frame: AudioFrame) -> AudioFrame | None:
        """What of it was not said before, or lies before the first picture; None when that is nothing."""
        begin, length = Fraction(frame.pts or 0, frame.sample_rate), Fraction(frame.samples, frame.sample_rate)
        said = min(length, self._told_until - begin)
        if said < SHORTEST_OVERLAP:
            return frame
        self._cut += said
        return None if said == length else _without_head(frame, round(said * frame.sample_rate))

    def _without_gaps(self, frames: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
        """Silence in front, in the middle, and to the end of the picture: a player waits for sound that is missing."""
        last: AudioFrame | None = None
        for whole in frames:
            if (frame := self._unheard(whole)) is None:
                continue
            begin = Fraction(frame.pts or 0, frame.sample_rate)
            if begin - self._told_until > max(SHORTEST_GAP, Fraction(frame.samples, frame.sample_rate)):
                self._note_gap(begin)
                yield from self._silence(frame, begin)
            yield frame
            self._told_until = max(self._told_until, begin + Fraction(frame.samples, frame.sample_rate))
            last = frame
        if last is not None:
            yield from self._silence(last, self._duration)

    def _note_gap(self, until: Fraction) -> None:
        """Not in front of the first sound: that begins when it does."""
        if self._told_until > 0 and len(self._gaps) < MOST_GAPS:
            self._gaps.append((round(float(self._told_until), 3), round(float(until - self._told_until), 3)))

    def _silence(self, like: AudioFrame, until: Fraction) -> Iterator[AudioFrame]:
        while (missing := round((until - self._told_until) * like.sample_rate)) > 0:
            frame = _silent(like, min(missing, like.sample_rate))
            frame.pts = round(self._told_until * like.sample_rate)
            self._told_until += Fraction(frame.samples, like.sample_rate)
            self._silent_for += Fraction(frame.samples, like.sample_rate)
            yield frame

    # ── through a graph ─────────────────────────────────────────────────────────────────────────────────────────────
    def _built(self, frame: AudioFrame) -> Graph:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        filters = [_added(graph, description) for description in self._filters(frame)]
        graph.link_nodes(source, *filters, graph.add("abuffersink")).configure(auto_buffer=False)
        graph.set_audio_frame_size(AAC_FRAME)
        return graph

    def _filters(self, frame: AudioFrame) -> list[str]:
        rate, layout = self._rendition.sample_rate, LAYOUTS[self._rendition.channels]
        mixed = mix([channel.name for channel in frame.layout.channels], self._rendition.channels)
        copied = mixed.is_copy and frame.layout.name == layout
        limited = self._gain is None and mixed.can_clip
        # async fills holes with silence and squeezes overlaps; first_pts (in samples of the input) makes time 0 the first
        # picture, and lets a graph go on where the one before it ended.
        first = self._resampled * frame.sample_rate // rate
        return [
            # As floating-point numbers, which may pass full scale: what is too loud is dealt with behind it.
            *([] if copied else ["aformat=sample_fmts=fltp", _pan(layout, mixed)]),
            f"aresample={rate}:async=1000:first_pts={first}",
            *([LIMITER] if limited else []),
            *([f"volume={self._gain}dB:precision=float"] if self._gain else []),
            f"aformat=sample_fmts=fltp:channel_layouts={layout}:sample_rates={rate}",
        ]

    def _pulled(self) -> Iterator[AudioFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            if frame.samples == AAC_FRAME or self._ended:  # Only the last frame of all may be shorter.
                frame.pts = self._resampled
                self._resampled += frame.samples
                yield frame

    def _drained(self) -> Iterator[AudioFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled()


class _Handy:
    """Frames whose samples can be got at. PyAV reads past the end of what holds the planes of more than seven channels, and
    knows no samples of 64 bits: these come in one plane, as floating-point numbers."""

    def __init__(self) -> None:
        self._shape: tuple[object, ...] | None = None
        self._packer: av.AudioResampler | None = None

    def frames(self, found: Iterator[AudioFrame]) -> Iterator[AudioFrame]:
        for frame in found:
            if frame.sample_rate:
                yield from self._packed(frame) if _is_unhandy(frame) else [frame]

    def _packed(self, frame: AudioFrame) -> list[AudioFrame]:
        shape = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._packer is None or shape != self._shape:
            self._shape = shape
            self._packer = av.AudioResampler(format="flt", layout=frame.layout.name, rate=frame.sample_rate)
        return self._packer.resample(frame)


def _is_unhandy(frame: AudioFrame) -> bool:
    return frame.format.name.startswith("s64") or (frame.format.is_planar and frame.layout.nb_channels > MOST_PLANES)


def _added(graph: Graph, description: str) -> FilterContext:
    name, _, arguments = description.partition("=")
    return graph.add(name, arguments)


def _pan(layout: str, mixed: Mix) -> str:
    rows = ["+".join(f"{gain:.6f}*c{position}" for position, gain in row.items()) or "0*c0" for row in mixed.rows]
    return "|".join([f"pan={layout}", *(f"c{number}={row}" for number, row in enumerate(rows))])


def _without_head(frame: AudioFrame, samples: int) -> AudioFrame:
    is_planar = frame.format.is_planar
    left: Any = frame.to_ndarray()[:, samples * (1 if is_planar else len(frame.layout.channels)) :]
    tail = AudioFrame.from_ndarray(np.ascontiguousarray(left), format=frame.format.name, layout=frame.layout.name)
    tail.sample_rate, tail.time_base, tail.pts = frame.sample_rate, frame.time_base, (frame.pts or 0) + samples
    return tail


def _silent(like: AudioFrame, samples: int) -> AudioFrame:
    frame = AudioFrame(format=like.format.name, layout=like.layout.name, samples=samples)
    frame.sample_rate = like.sample_rate
    frame.time_base = Fraction(1, like.sample_rate)
    silence = b"\x80" if like.format.name.startswith("u8") else b"\0"
    for plane in frame.planes:
        plane.update(silence * plane.buffer_size)
    return frame
