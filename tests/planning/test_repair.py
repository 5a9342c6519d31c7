"""When a chunk is encoded again, and how much better."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import transcode, video

from streamforge.planning.ladder import build_ladder
from streamforge.planning.repair import with_better_crf

TOP = build_ladder(video(), transcode())[0]
LOW_BITRATE = TOP.max_bitrate / 4


def crf_for(score: float, floor: float = 80, bitrate: float = LOW_BITRATE) -> int | None:
    found = with_better_crf(TOP, score, floor, bitrate)
    return None if found is None else int(found.options["crf"])


def test_a_chunk_at_its_floor_is_left_alone() -> None:
    assert crf_for(80) is None


@pytest.mark.parametrize(("score", "crf"), [(79.9, 21), (77, 20), (74, 18), (20, 15)])
def test_the_further_below_its_floor_the_better_the_crf(score: float, crf: int) -> None:
    assert TOP.options["crf"] == "23"
    assert crf_for(score) == crf


def test_at_the_ceiling_of_its_bit_rate_a_better_crf_would_change_nothing() -> None:
    assert crf_for(50, bitrate=TOP.max_bitrate * 0.95) is None


@given(score=st.floats(0, 79), floor=st.floats(79.5, 100))
def test_nothing_but_the_crf_changes_and_it_stays_one_that_encoders_take(score: float, floor: float) -> None:
    found = with_better_crf(TOP, score, floor, LOW_BITRATE)
    assert found is not None
    assert found.model_copy(update={"options": TOP.options}) == TOP
    assert {name for name in found.options if found.options[name] != TOP.options[name]} == {"crf"}
    assert 1 <= int(found.options["crf"]) < 23
