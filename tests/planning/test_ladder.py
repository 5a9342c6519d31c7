"""Which renditions a source gets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import transcode, video

from streamforge.planning.ladder import build_ladder

sides = st.integers(1, 8192)
heights = st.lists(st.integers(16, 8192), min_size=1, max_size=8)


def ladder(width: int, height: int, **settings: object) -> list[tuple[str, int, int]]:
    return [(r.name, r.width, r.height) for r in build_ladder(video(width, height), transcode(**settings))]


def even(side: int) -> int:
    return max(2, side // 2 * 2)


def test_full_hd_gets_the_rungs_below_it() -> None:
    assert ladder(1920, 1080) == [
        ("1080p", 1920, 1080),
        ("720p", 1280, 720),
        ("480p", 854, 480),
        ("360p", 640, 360),
    ]


def test_a_portrait_is_named_by_its_short_side() -> None:
    assert ladder(1080, 1920) == [
        ("1080p", 1080, 1920),
        ("720p", 720, 1280),
        ("480p", 480, 854),
        ("360p", 360, 640),
    ]


def test_a_source_above_the_largest_height_is_brought_down_to_it() -> None:
    assert ladder(3840, 2160, heights=[720, 360]) == [("720p", 1280, 720), ("360p", 640, 360)]


def test_the_top_has_the_sources_own_size_and_a_rung_close_below_it_is_left_out() -> None:
    assert [name for name, _, _ in ladder(1280, 534)] == ["534p", "360p"]
    assert [name for name, _, _ in ladder(1920, 1088)] == ["1088p", "720p", "480p", "360p"]


def test_a_source_below_all_heights_is_one_rendition_of_its_own_size() -> None:
    assert ladder(176, 144) == [("144p", 176, 144)]


def test_odd_lengths_lose_one_line() -> None:
    assert ladder(641, 361) == [("361p", 640, 360)]
    assert ladder(1079, 1921)[0] == ("1079p", 1078, 1920)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (2, 2), (3, 1), (16, 4000)])
def test_the_smallest_pictures_are_pictures(width: int, height: int) -> None:
    [(_, found_width, found_height)] = ladder(width, height)
    assert (found_width, found_height) == (even(width), even(height))


def test_heights_in_any_order_and_twice_are_one_ladder() -> None:
    assert ladder(1920, 1080, heights=[360, 1080, 720, 720]) == ladder(1920, 1080, heights=[1080, 720, 360])


def test_the_encoder_is_told_the_cap_of_its_rendition() -> None:
    for rendition in build_ladder(video(), transcode(presets={"h264": "fast"})):
        assert rendition.codec == "h264"
        assert rendition.encoder == "libx264"
        assert rendition.options["preset"] == "fast"
        assert f"vbv-maxrate={rendition.max_bitrate // 1000}" in rendition.options["x264-params"].split(":")


def test_a_faster_source_is_capped_at_the_rate_it_will_be_encoded_with() -> None:
    fast, capped = (build_ladder(video(rate=rate), transcode(max_frame_rate=60)) for rate in (240, 60))
    assert [r.max_bitrate for r in fast] == [r.max_bitrate for r in capped]


@given(width=sides, height=sides, heights=heights)
def test_nothing_is_ever_upscaled_and_all_lengths_are_even(width: int, height: int, heights: list[int]) -> None:
    for _, w, h in ladder(width, height, heights=heights):
        assert w % 2 == h % 2 == 0
        assert 2 <= w <= even(width)
        assert 2 <= h <= even(height)


@given(width=sides, height=sides, heights=heights)
def test_the_top_is_the_source_or_the_largest_height(width: int, height: int, heights: list[int]) -> None:
    name, w, h = ladder(width, height, heights=heights)[0]
    if min(width, height) <= max(heights):
        assert (w, h) == (even(width), even(height))
        assert name == f"{min(width, height)}p"
    else:
        assert abs(min(w, h) - max(heights)) <= 1
        assert name == f"{max(heights)}p"


@given(width=sides, height=sides, heights=heights)
def test_rungs_fall_strictly_and_have_names_of_their_own(width: int, height: int, heights: list[int]) -> None:
    rungs = ladder(width, height, heights=heights)
    assert len({name for name, _, _ in rungs}) == len(rungs)
    for (_, w, h), (_, lower_w, lower_h) in pairwise(rungs):
        assert lower_w < w
        assert lower_h < h


@given(width=sides, height=sides, heights=heights)
def test_the_picture_keeps_its_shape(width: int, height: int, heights: list[int]) -> None:
    for name, w, h in ladder(width, height, heights=heights):
        scale = int(name.removesuffix("p")) / min(width, height)
        assert abs(w - width * scale) <= 2
        assert abs(h - height * scale) <= 2


@given(width=sides, height=sides, heights=heights, codec=st.sampled_from(["h264", "hevc", "av1"]))
def test_a_lower_rung_never_gets_a_higher_cap(width: int, height: int, heights: list[int], codec: str) -> None:
    settings = transcode(codecs=[codec], heights=heights)
    caps = [r.max_bitrate for r in build_ladder(video(width, height), settings)]
    assert caps == sorted(caps, reverse=True)


def test_every_codec_has_the_whole_ladder_under_names_of_its_own() -> None:
    assert [name for name, _, _ in ladder(854, 480, codecs=["h264", "av1"])] == [
        "480p-h264",
        "360p-h264",
        "480p-av1",
        "360p-av1",
    ]


def test_without_codecs_there_are_no_pictures() -> None:
    assert ladder(1920, 1080, codecs=[]) == []
