"""Which pictures are measured, and which ones they need beside them."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.quality.sampling import Sampling

steps = st.integers(3, 101)


def test_every_picture_when_the_step_is_one() -> None:
    sampling = Sampling(1)
    assert all(sampling.measures(number) and sampling.needs(number) == [number] for number in range(10))


@given(step=steps)
def test_one_picture_in_every_step(step: int) -> None:
    measured = [number for number in range(10 * step) if Sampling(step).measures(number)]
    assert len(measured) == 10
    assert {later - earlier for earlier, later in itertools.pairwise(measured)} == {step}


@given(step=steps)
def test_a_measured_picture_takes_both_its_neighbours_along(step: int) -> None:
    sampling = Sampling(step)
    needed: dict[int, list[int]] = {}
    for number in range(5 * step):
        for measured in sampling.needs(number):
            needed.setdefault(measured, []).append(number)
    assert all(found == [n - 1, n, n + 1] for n, found in needed.items())
    assert list(needed) == [n for n in range(5 * step) if sampling.measures(n)]


@pytest.mark.parametrize("step", [3, 7, 33])
def test_the_first_picture_has_nothing_before_it_and_is_not_sampled(step: int) -> None:
    assert not Sampling(step).measures(0)
