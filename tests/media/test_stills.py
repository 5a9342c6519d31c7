"""Which pictures are encoded again, and when."""

from itertools import pairwise

from av.video.frame import VideoFrame
from hypothesis import given
from hypothesis import strategies as st

from streamforge.media.decoding.frames import SourceFrame
from streamforge.media.encoding.long_stills import STEP, with_stills

PICTURE = VideoFrame(16, 16, "yuv420p")


def pieces(ticks: int, duration: int) -> list[tuple[int, int]]:
    return [(each.ticks, each.duration) for each in with_stills([SourceFrame(ticks, duration, PICTURE)])]


def test_a_picture_of_a_film_is_encoded_once() -> None:
    assert pieces(89_000, 3600) == [(89_000, 3600)]
    assert pieces(45_000, STEP) == [(45_000, STEP)]


def test_one_that_stays_is_encoded_again_on_whole_seconds() -> None:
    assert pieces(45_000, 250_000) == [(45_000, 45_000), (90_000, 90_000), (180_000, 90_000), (270_000, 25_000)]


def test_a_picture_that_misses_its_second_by_a_tick_is_taken_to_be_on_it() -> None:
    assert pieces(89_999, 180_002) == [(89_999, 90_001), (180_000, 90_001)]


@given(ticks=st.integers(0, 10**9), duration=st.integers(1, 10**8))
def test_together_they_stay_as_long_as_the_picture(ticks: int, duration: int) -> None:
    found = pieces(ticks, duration)
    assert found[0][0] == ticks
    assert all(begin + stays == following for (begin, stays), (following, _) in pairwise(found))
    assert sum(stays for _, stays in found) == duration
    assert all(0 < stays <= STEP + 1 for _, stays in found)
