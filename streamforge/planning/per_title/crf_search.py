"""The CRF that gives the quality that is asked for, found with few probes.

VMAF falls with the CRF in an S, slowly at the top, and the bit rate falls exponentially, closely enough in every encoder
here. So the search looks at the log-odds of the one and the logarithm of the other, where curves are nearly straight: the
first probe and the slope that films have on average say where the second should be, and a line through two says the rest
(regula falsi). Probes are dear and films differ more than samples of them are exact, so it stops as soon as a line can be
trusted.
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import exp, log

from streamforge.codecs.base import CrfScale
from streamforge.contracts.media.per_title import RateAndQuality

MOST_PROBES = 4
MARGIN = 1.0
"""VMAF: so far from 0 and from 100 no score ever comes, and its log-odds are a number."""
STEEPEST = 2.5
"""How many times steeper, or flatter, than usual a curve is believed to go on beyond its probes."""


FAR_BEYOND_ONE = 0.75
FAR_BEYOND_TWO = 2.5
WIDE_APART = 6.0
"""In units: how far from its only probe the usual slope is good enough, how far beyond several their own line is, and how
far apart two may be for the line between them."""


class CrfSearch:
    """Of one rendition. `add` takes what each probe measured; `next` is the CRF to probe, None when enough is known.

    VMAF is in percent of the best that the rendition can reach. `max_bitrate` is its ceiling: a CRF that would need more
    is not worth having, because rate control takes it away again.
    """

    def __init__(
        self, target: float, first: float, bounds: tuple[float, float], max_bitrate: float, scale: CrfScale
    ) -> None:
        self._target = target
        self._first = first
        self._bounds = bounds
        self._max_bitrate = max_bitrate
        self._scale = scale
        self.probes: list[RateAndQuality] = []

    def add(self, probe: RateAndQuality) -> None:
        self.probes.append(probe)

    def next(self) -> float | None:
        if not self.probes:
            return self._first
        crf = self.crf
        if len(self.probes) >= MOST_PROBES or any(probe.crf == crf for probe in self.probes) or self._is_trusted(crf):
            return None
        return crf

    def _is_trusted(self, crf: float) -> bool:
        """Whether the lines say well enough what this CRF gives."""
        known = sorted(probe.crf for probe in self.probes)
        position = bisect_right(known, crf)
        if 0 < position < len(known):
            return known[position] - known[position - 1] <= WIDE_APART * self._scale.unit
        reach = FAR_BEYOND_ONE if len(known) == 1 else FAR_BEYOND_TWO
        return min(abs(crf - each) for each in known) <= reach * self._scale.unit

    # ── what is known so far ────────────────────────────────────────────────────────────────────────────────────────
    @property
    def crf(self) -> float:
        """The best guess, on the encoder's scale and within the bounds."""
        return self._allowed(max(self._for_target, self._for_ceiling))

    @property
    def limited_by(self) -> str | None:
        """What keeps the rendition from its target: `bitrate`, its ceiling, or `crf`, the bounds of the setting."""
        if self._allowed(self._for_ceiling) > self._allowed(self._for_target):
            return "bitrate"
        lowest, highest = self._bounds
        return "crf" if not lowest - self._scale.finest < self._for_target < highest + self._scale.finest else None

    def at(self, crf: float) -> RateAndQuality:
        """What a CRF gives: as it was measured, or by the lines."""
        for probe in self.probes:
            if probe.crf == crf:
                return probe
        return RateAndQuality(crf=crf, vmaf=_vmaf(self._missing.at(crf)), bitrate=round(exp(-self._bits.at(crf))))

    @property
    def _for_target(self) -> float:
        return self._missing.where(_missing(self._target))

    @property
    def _for_ceiling(self) -> float:
        return self._bits.where(-log(self._max_bitrate))

    @property
    def _missing(self) -> "_Line":
        return self._line(lambda probe: _missing(probe.vmaf), self._scale.more_missing)

    @property
    def _bits(self) -> "_Line":
        return self._line(lambda probe: -log(max(1, probe.bitrate)), self._scale.fewer_bits)

    def _line(self, value: Callable[[RateAndQuality], float], usual_slope: float) -> "_Line":
        known = sorted((probe.crf, value(probe)) for probe in self.probes)
        return _Line([crf for crf, _ in known], [value for _, value in known], usual_slope)

    def _allowed(self, crf: float) -> float:
        lowest, highest = self._bounds
        steps = round(min(highest, max(lowest, crf)) / self._scale.finest)
        return min(highest, max(lowest, steps * self._scale.finest))


def _missing(vmaf: float) -> float:
    """How much is missing to the best, as log-odds."""
    vmaf = min(100.0, max(0.0, vmaf))
    return log((100.0 - vmaf + MARGIN) / (vmaf + MARGIN))


def _vmaf(missing: float) -> float:
    share = 1 / (1 + exp(missing))
    return min(100.0, max(0.0, (100.0 + 2 * MARGIN) * share - MARGIN))


class _Line:
    """Straight between points, never falling; beyond the outermost it goes on as steeply as it came, within reason."""

    def __init__(self, xs: Sequence[float], ys: Sequence[float], usual_slope: float) -> None:
        self._xs = xs
        self._ys = list(accumulate(ys, max))
        self._usual_slope = usual_slope

    def at(self, x: float) -> float:
        position = bisect_right(self._xs, x)
        if 0 < position < len(self._xs):
            (x0, x1), (y0, y1) = self._xs[position - 1 : position + 1], self._ys[position - 1 : position + 1]
            return y0 + (y1 - y0) * (x - x0) / (x1 - x0)
        end = min(position, len(self._xs) - 1)
        return self._ys[end] + (x - self._xs[end]) * self._slope_beyond(end)

    def where(self, y: float) -> float:
        """The x at which the line is at `y`; the first one where it is flat."""
        for (x0, x1), (y0, y1) in zip(pairwise(self._xs), pairwise(self._ys), strict=True):
            if y0 <= y <= y1:
                return x0 + (x1 - x0) * (y - y0) / (y1 - y0) if y1 > y0 else x0
        end = 0 if y < self._ys[0] else len(self._xs) - 1
        return self._xs[end] + (y - self._ys[end]) / self._slope_beyond(end)

    def _slope_beyond(self, end: int) -> float:
        if len(self._xs) == 1:
            return self._usual_slope
        inner = 1 if end == 0 else end - 1
        slope = (self._ys[end] - self._ys[inner]) / (self._xs[end] - self._xs[inner])
        return min(self._usual_slope * STEEPEST, max(self._usual_slope / STEEPEST, slope))
