"""The progress bands of the wire contract."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.contracts.job import Stage
from streamforge.progress.bands import BANDS, progress_at

fractions = st.floats(allow_nan=True, allow_infinity=True)


def test_the_bands_are_those_of_the_wire_contract() -> None:
    assert BANDS == {
        "uploading": (0, 10),
        "transcoding": (10, 50),
        "validation": (50, 60),
        "packaging": (60, 85),
        "storage": (85, 95),
        "completed": (100, 100),
    }


@pytest.mark.parametrize(
    ("stage", "fraction", "expected"),
    [
        (Stage.UPLOADING, 0, 0),
        (Stage.UPLOADING, 0.5, 5),
        (Stage.UPLOADING, 1, 10),
        (Stage.TRANSCODING, 0, 10),
        (Stage.TRANSCODING, 0.5, 30),
        (Stage.TRANSCODING, 0.999, 49),
        (Stage.TRANSCODING, 1, 50),
        (Stage.VALIDATION, 1, 60),
        (Stage.PACKAGING, 0.2, 65),
        (Stage.STORAGE, 1, 95),
        (Stage.COMPLETED, 0, 100),
    ],
)
def test_a_stage_fills_its_band(stage: Stage, fraction: float, expected: int) -> None:
    assert progress_at(stage, fraction) == expected


@given(stage=st.sampled_from(sorted(BANDS)), fraction=fractions)
def test_progress_never_leaves_the_band_of_its_stage(stage: Stage, fraction: float) -> None:
    low, high = BANDS[stage]
    assert low <= progress_at(stage, fraction) <= high


@given(stage=st.sampled_from(sorted(BANDS)), one=fractions, other=fractions)
def test_more_done_is_never_less_progress(stage: Stage, one: float, other: float) -> None:
    if not math.isnan(one) and not math.isnan(other):
        less, more = sorted([one, other])
        assert progress_at(stage, less) <= progress_at(stage, more)


def test_one_stage_begins_where_the_one_before_ended() -> None:
    before_completion = list(BANDS)[:-1]
    for stage, following in pairwise(before_completion):
        assert progress_at(stage, 1) == progress_at(following, 0)
