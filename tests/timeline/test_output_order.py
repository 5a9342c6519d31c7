"""A time for every picture that comes out of a decoder."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from streamforge.timeline.output_order import OutputOrder


def placed(times: list[int | None], usual: int = 10) -> list[tuple[int, int]]:
    """(time, number) of everything that comes out."""
    order = OutputOrder[int](usual)
    found = [each for number, time in enumerate(times) for each in order.take(time, number)]
    return [*found, *order.finish()]


def test_good_times_stay() -> None:
    assert placed([0, 10, 20, 35]) == [(0, 0), (10, 1), (20, 2), (35, 3)]


def test_what_has_no_time_goes_between_its_neighbours() -> None:
    assert placed([0, None, 20]) == [(0, 0), (10, 1), (20, 2)]
    assert placed([0, None, None, 12]) == [(0, 0), (4, 1), (8, 2), (12, 3)]


def test_what_falls_back_goes_between_its_neighbours() -> None:
    assert placed([0, 10, 20, 5, 40]) == [(0, 0), (10, 1), (20, 2), (30, 3), (40, 4)]


def test_what_comes_too_early_waits_for_its_time() -> None:
    assert placed([0, 10, 60, 20, 70, 30, 80, 90]) == [
        (0, 0), (10, 1), (20, 3), (30, 5), (60, 2), (70, 4), (80, 6), (90, 7)
    ]  # fmt: skip


def test_what_comes_too_late_is_waited_for_where_its_packet_was_seen() -> None:
    """As MPEG-2's decoder gives out a key frame behind a picture that is lost: with the next one that others refer to."""
    order = OutputOrder[int](10)
    found = []
    for time in (0, 30, 10, 20, 60, 40, 50):
        order.expect(time)
    for time in (0, 10, 40, 50, 30, 20, 60):
        found += order.take(time, time)
    assert [*found, *order.finish()] == [(time, time) for time in (0, 10, 20, 30, 40, 50, 60)]


def test_what_never_comes_is_not_waited_for_long() -> None:
    order = OutputOrder[int](10)
    order.expect(5)
    assert [len(list(order.take(time, time))) for time in range(10, 110, 10)] == [0, 0, 0, 1, 1, 1, 1, 1, 1, 1]


def test_the_same_time_twice_is_one_picture_after_the_other() -> None:
    assert placed([0, 10, 10, 30]) == [(0, 0), (10, 1), (20, 2), (30, 3)]


def test_times_before_the_first_one_that_is_known() -> None:
    assert placed([None, None, 20, 30]) == [(0, 0), (10, 1), (20, 2), (30, 3)]


def test_nothing_has_a_time() -> None:
    assert placed([None] * 40) == [(number * 10, number) for number in range(40)]


def test_a_late_start_is_kept() -> None:
    assert placed([500, 510]) == [(500, 0), (510, 1)]


@given(st.lists(st.one_of(st.none(), st.integers(0, 10**6)), max_size=80))
def test_nothing_is_lost_and_times_increase(times: list[int | None]) -> None:
    order = OutputOrder[int](10)
    found = [each for number, time in enumerate(times) for each in order.take(time, number)]
    found += order.finish()
    assert len({number for _, number in found}) == len(found)
    assert all(earlier[0] < later[0] for earlier, later in pairwise(found))
    assert len(found) + order.without_room == len(times)
