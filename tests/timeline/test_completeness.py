"""When a source counts as stopped, and when only as broken here and there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.timeline.completeness import stops_at, tolerated_seconds

TIMES = list(range(0, 1000, 10))


def test_a_source_that_decodes_does_not_stop() -> None:
    assert stops_at(TIMES, TIMES) is None


@given(st.sets(st.sampled_from(TIMES[:-20]), max_size=20))
def test_broken_pictures_in_front_of_a_good_end_are_no_stop(broken: set[int]) -> None:
    assert stops_at(TIMES, [time for time in TIMES if time not in broken]) is None


@given(st.integers(1, 99))
def test_it_stops_where_the_pictures_end(count: int) -> None:
    assert stops_at(TIMES, TIMES[:count]) == TIMES[count]


def test_random_bytes_that_decode_now_and_then_are_no_pictures() -> None:
    assert stops_at(TIMES, [*TIMES[:50], *TIMES[55::10]]) == TIMES[50]


def test_packets_may_be_half_a_picture_or_one_that_is_never_shown() -> None:
    assert stops_at(TIMES, TIMES[1::2]) is None
    assert stops_at([*TIMES, *(time - 1 for time in TIMES[::16])], TIMES) is None


@pytest.mark.parametrize(("duration", "seconds"), [(2, 0.5), (60, 3), (600, 10), (36_000, 10)])
def test_five_per_cent_of_the_end_may_be_missing_within_bounds(duration: float, seconds: float) -> None:
    assert tolerated_seconds(duration) == pytest.approx(seconds)
