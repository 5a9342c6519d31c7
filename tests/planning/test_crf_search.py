"""The search over CRFs, on curves that are known."""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.per_title import RateAndQuality
from streamforge.planning.per_title.crf_search import MOST_PROBES, CrfSearch

BOUNDS = (16.0, 36.0)
TOLERANCE = 1.5
"""VMAF: what the middle of a wide gap, and half a step of the CRF, may be off."""

Curve = Callable[[float], float]


@dataclass(frozen=True)
class Film:
    """VMAF by CRF about as it is in films: an S, or what is missing to 100 grows exponentially. `hard` is the CRF at which
    half of it is lost, `width` says how slowly."""

    hard: float
    width: float
    is_s_shaped: bool = True

    def vmaf(self, crf: float) -> float:
        away = (crf - self.hard) / self.width
        return 100 / (1 + exp(away)) if self.is_s_shaped else max(0.0, 100 - 50 * exp(away))

    def probe(self, crf: float) -> RateAndQuality:
        return RateAndQuality(crf=crf, vmaf=self.vmaf(crf), bitrate=round(50e6 * exp(-0.12 * crf)))


films = st.builds(Film, st.floats(24, 55), st.floats(5, 10), st.booleans())
targets = st.floats(85, 97)


def searched(
    probe: Callable[[float], RateAndQuality],
    target: float = 93,
    *,
    bounds: tuple[float, float] = BOUNDS,
    max_bitrate: float = inf,
    codec: str = "h264",
) -> CrfSearch:
    """A search that has ended."""
    search = CrfSearch(target, 23, bounds, max_bitrate, CODECS[codec].crf_scale)
    for _ in range(MOST_PROBES):
        if (crf := search.next()) is not None:
            search.add(probe(crf))
    assert search.next() is None
    return search


@given(films, targets)
def test_it_finds_the_crf_of_the_target_or_says_what_keeps_it_from_it(film: Film, target: float) -> None:
    search = searched(film.probe, target)
    if search.limited_by is None:
        assert film.vmaf(search.crf) == pytest.approx(target, abs=TOLERANCE)
    elif film.vmaf(search.crf) > target:
        assert search.crf == BOUNDS[1]
    else:
        assert search.crf == BOUNDS[0]


@given(films, targets)
def test_what_it_predicts_is_what_comes(film: Film, target: float) -> None:
    search = searched(film.probe, target)
    predicted = search.at(search.crf)
    assert predicted.vmaf == pytest.approx(film.vmaf(search.crf), abs=TOLERANCE)
    assert predicted.bitrate == pytest.approx(film.probe(search.crf).bitrate, rel=0.02)


@given(films, targets)
def test_two_probes_are_usual_and_four_the_most(film: Film, target: float) -> None:
    assert len(searched(film.probe, target).probes) <= MOST_PROBES
    usual = [len(searched(Film(hard, 5).probe, 93).probes) for hard in range(28, 50)]
    assert sum(usual) / len(usual) < 2.5


@given(
    st.lists(st.floats(0, 100), min_size=64, max_size=64),
    st.floats(20, 99),
    st.tuples(st.integers(1, 25), st.integers(26, 51)),
    st.floats(1e3, 1e8),
)
def test_whatever_the_curve_it_ends_within_its_bounds(
    scores: list[float], target: float, bounds: tuple[int, int], max_bitrate: float
) -> None:
    """Also where it is not one that an encoder could have: flat, noisy, upside down."""

    def probe(crf: float) -> RateAndQuality:
        return RateAndQuality(crf=crf, vmaf=scores[int(crf)], bitrate=round(1000 * scores[int(crf) // 2]))

    search = searched(probe, target, bounds=bounds, max_bitrate=max_bitrate)
    tried = [one.crf for one in search.probes]
    assert len(set(tried)) == len(tried)
    assert all(bounds[0] <= crf <= bounds[1] for crf in tried[1:])
    assert bounds[0] <= search.crf <= bounds[1]
    assert 0 <= search.at(search.crf).vmaf <= 100


@given(films, st.floats(300_000, 20_000_000))
def test_the_ceiling_of_the_bit_rate_is_kept(film: Film, max_bitrate: float) -> None:
    search = searched(film.probe, 93, max_bitrate=max_bitrate)
    if search.crf < BOUNDS[1]:
        assert film.probe(search.crf).bitrate < max_bitrate * 1.05
    if search.limited_by == "bitrate":
        assert film.vmaf(search.crf) < 93 + TOLERANCE


@given(films, targets)
def test_av1_counts_in_whole_numbers(film: Film, target: float) -> None:
    slower = Film(film.hard + 10, film.width * 2)
    search = searched(slower.probe, target, bounds=(16, 54), codec="av1")
    assert all(probe.crf == int(probe.crf) for probe in search.probes)
    assert search.crf == int(search.crf)


def test_a_film_that_is_right_already_costs_one_probe() -> None:
    film = Film(23 + 5 * 2.5867, 5)  # 93 at CRF 23.
    search = searched(film.probe, 93)
    assert (search.crf, len(search.probes)) == (23, 1)


def test_the_first_probe_is_the_fixed_ladder_also_where_the_bounds_exclude_it() -> None:
    search = searched(Film(30, 5).probe, 93, bounds=(25, 36))
    assert search.probes[0].crf == 23
    assert search.crf == 25
