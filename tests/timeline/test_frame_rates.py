"""The highest rate of a film: what is sustained, and not what a clock's jitter makes of it."""

from fractions import Fraction
from itertools import accumulate

import pytest

from streamforge.timeline.frame_rates import highest_rate

MS = Fraction(1, 1000)


def at(*gaps: int) -> list[int]:
    return [0, *accumulate(gaps)]


def test_a_constant_rate_is_its_own_highest_whatever_the_clock_rounds() -> None:
    assert highest_rate([round(n * 1000 / 60) for n in range(600)], MS, 60) == 60
    assert highest_rate([n * 3003 for n in range(600)], Fraction(1, 90_000), 30_000 / 1001) == 30_000 / 1001


def test_a_passage_that_is_faster_counts() -> None:
    """A screen recording: still, then somebody scrolls."""
    assert highest_rate(at(*[200] * 50, *[17, 17, 16] * 10, *[200] * 50), MS, 5) == 60
    assert highest_rate(at(*[40] * 100, *[28, 28, 27] * 10), MS, 25) == pytest.approx(36, abs=0.5)


def test_two_pictures_close_together_do_not() -> None:
    assert highest_rate(at(*[40] * 50, 1, 79, *[40] * 50, 0, 40), MS, 25) == 25


def test_few_pictures_have_no_other_rate() -> None:
    assert highest_rate([], MS, 25) == highest_rate(at(10, 1000), MS, 25) == 25
    assert highest_rate([7] * 100, MS, 25) == 25
