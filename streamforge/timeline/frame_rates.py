"""How fast pictures follow each other where they are fastest."""

from collections.abc import Sequence
from fractions import Fraction

SUSTAINED = 12
"""Pictures in a row that make a rate, when as many behind them have it, too. Two that are a millisecond apart by accident
are not 1000 a second, nor do they make those around them faster."""

JITTER = 0.02
"""Relative. What a clock of milliseconds and a phone's sensor make of a rate that does not change."""


def highest_rate(times: Sequence[int], time_base: Fraction, usual: float) -> float:
    """Pictures a second in the fastest passage of a film. `times` are those of all its pictures, in order, in units of
    `time_base` seconds. `usual` comes back where there is no passage that is clearly faster."""
    spans = [later - earlier for earlier, later in zip(times, times[SUSTAINED:], strict=False)]
    longer_halves = (max(halves) for halves in zip(spans, spans[SUSTAINED:], strict=False))
    shortest = min((span for span in longer_halves if span > 0), default=0)
    if shortest == 0:
        return usual
    highest = float(SUSTAINED / (shortest * time_base))
    return _rounded(highest) if highest > usual * (1 + JITTER) else usual


def _rounded(rate: float) -> float:
    """To a whole number that it differs from by no more than jitter."""
    return float(round(rate)) if abs(round(rate) - rate) < rate * JITTER else rate
