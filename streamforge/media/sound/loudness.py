"""How loud a track is, by EBU R 128: measured on its way to the encoder."""

from fractions import Fraction
from math import log10

import av
from av.audio.frame import AudioFrame
from av.filter import Graph

from streamforge.contracts.media.encoded import Loudness

SILENCE_LUFS = -70.0
"""The absolute gate of ITU-R BS.1770-4: what is below does not count, and of what has nothing above there is no value."""

PEAK_STEP = 0.0005
"""FFmpeg tells peaks with three digits."""


class LoudnessMeter:
    """Takes frames of one format, layout and rate. A mono track is measured as it is heard: from two loudspeakers."""

    def __init__(self, layout: str, sample_rate: int) -> None:
        self._graph = Graph()
        source = self._graph.add_abuffer(
            sample_rate=sample_rate, format="fltp", layout=layout, time_base=Fraction(1, sample_rate)
        )
        meter = self._graph.add("ebur128", "metadata=1:peak=true:dualmono=1")
        sink = self._graph.add("abuffersink")
        self._graph.link_nodes(source, meter, sink).configure(auto_buffer=False)
        self._told: dict[str, str] = {}

    def take(self, frame: AudioFrame | None) -> None:
        """None at the end."""
        self._graph.push(frame)
        while True:
            try:
                measured = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            self._told = measured.metadata or self._told

    def result(self) -> Loudness:
        """Of all that was taken. Values are None where there are none: of silence, or of less than 0.4 s."""
        integrated, span, peak = (
            float(self._told.get(f"lavfi.r128.{name}", "nan")) for name in ("I", "LRA", "true_peak")
        )
        audible = integrated > SILENCE_LUFS
        return Loudness(
            integrated=round(integrated, 1) if audible else None,
            range=round(span, 1) if audible else None,
            true_peak=round(20 * log10(peak), 1) if peak > 0 else None,
        )

    def gain_towards(self, target: float, ceiling: float) -> float:
        """dB that bring the loudness to `target` (LUFS), or as near as leaves the true peak below `ceiling` (dBTP)."""
        integrated = float(self._told.get("lavfi.r128.I", SILENCE_LUFS))
        if integrated <= SILENCE_LUFS:
            return 0.0
        peak = float(self._told["lavfi.r128.true_peak"]) + PEAK_STEP
        return round(min(target - integrated, ceiling - 20 * log10(peak)), 2)
