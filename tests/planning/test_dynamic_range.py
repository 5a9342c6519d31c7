"""Where HDR goes on and where it ends, and what a source's tags are taken for."""

import pytest
from sources import transcode, video

from streamforge.contracts.media.source import Color, ContentLight, MasteringDisplay
from streamforge.planning.color.dynamic_range import color_of, needs_mapping
from streamforge.planning.color.tags import Samples, Tags, Understood, understand
from streamforge.planning.ladder import build_ladder

BT2020_PQ = Color(primaries=9, transfer=16, matrix=9)
SCREEN = MasteringDisplay(
    red=(0.68, 0.32), green=(0.265, 0.69), blue=(0.15, 0.06), white=(0.3127, 0.329),
    min_luminance=0.005, max_luminance=1000,
)  # fmt: skip
HDR10 = video(
    dynamic_range="hdr10",
    color=BT2020_PQ,
    bit_depth=10,
    mastering_display=SCREEN,
    content_light=ContentLight(max_content=900, max_frame_average=300),
)


@pytest.mark.parametrize(
    ("codec", "pixel_format", "dynamic_range", "color"),
    [
        ("h264", "yuv420p", "sdr", Color()),
        ("hevc", "yuv420p10le", "hdr10", BT2020_PQ),
        ("av1", "yuv420p10le", "hdr10", BT2020_PQ),
    ],
)
def test_hdr_is_kept_where_the_codec_carries_it(
    codec: str, pixel_format: str, dynamic_range: str, color: Color
) -> None:
    for rendition in build_ladder(HDR10, transcode(codecs=[codec])):
        assert rendition.pixel_format == pixel_format
        assert rendition.dynamic_range == dynamic_range
        assert rendition.color == color


def test_its_metadata_is_written_as_each_encoder_wants_it() -> None:
    hevc = build_ladder(HDR10, transcode(codecs=["hevc"]))[0].options["x265-params"]
    screen = "G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,50)"
    assert hevc.endswith(f":master-display={screen}:max-cll=900,300")
    av1 = build_ladder(HDR10, transcode(codecs=["av1"]))[0].options["svtav1-params"]
    assert "G(0.26500,0.69000)" in av1
    assert av1.endswith("L(1000.0000,0.0050):content-light=900,300")
    assert "master" not in str(build_ladder(HDR10, transcode(codecs=["h264"]))[0].options)


@pytest.mark.parametrize(("codec", "kept"), [("h264", "yuv420p"), ("hevc", "yuv420p10le"), ("av1", "yuv420p10le")])
def test_ten_bits_of_sdr_stay_ten_bits_in_hevc_and_av1(codec: str, kept: str) -> None:
    deep, usual = video(bit_depth=10), video()
    assert {r.pixel_format for r in build_ladder(deep, transcode(codecs=[codec]))} == {kept}
    assert {r.pixel_format for r in build_ladder(usual, transcode(codecs=[codec]))} == {"yuv420p"}


def test_old_colors_stay_and_wide_ones_are_mapped() -> None:
    old = video(color=Color(primaries=5, transfer=6, matrix=5))
    assert color_of("sdr", old) == Color(primaries=5, transfer=1, matrix=5)
    wide = video(color=Color(primaries=9, transfer=14, matrix=9))
    assert color_of("sdr", wide) == Color()
    assert (needs_mapping("sdr", old), needs_mapping("sdr", wide), needs_mapping("hdr10", HDR10)) == (
        False,
        True,
        False,
    )


# ── tags ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def understood(primaries: int = 2, transfer: int = 2, matrix: int = 2, full: int = 0, **samples: object) -> Understood:
    facts: dict[str, object] = {"is_rgb": False, "is_gray": False, "bit_depth": 8, "width": 1280, "height": 720}
    return understand(Tags(primaries, transfer, matrix, full), Samples(**(facts | samples)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("width", "height", "matrix"), [(1920, 1080, 1), (1280, 720, 1), (720, 576, 5), (720, 480, 6), (320, 180, 6)]
)
def test_untagged_colors_are_guessed_by_size_without_a_word(width: int, height: int, matrix: int) -> None:
    found = understood(width=width, height=height)
    assert found.color == Color(primaries=matrix, transfer=1, matrix=matrix)
    assert (found.full_range, found.dynamic_range, found.warnings) == (False, "sdr", [])


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
def test_hdr_of_eight_bits_is_somebodys_mistake(transfer: int, name: str) -> None:
    found = understood(9, transfer, 9)
    assert found.dynamic_range == "sdr"
    assert found.color == Color()
    assert found.warnings == [f"The colours are tagged as HDR ({name}), but have 8 bits; they are taken for SDR."]
    assert understood(9, transfer, 9, bit_depth=10).warnings == []


@pytest.mark.parametrize(
    ("tags", "about"),
    [((1, 1, 0), "matrix is tagged as GBR"), ((1, 1, 8), "YCgCo"), ((0, 1, 1), "primaries"), ((1, 3, 1), "transfer")],
)
def test_tags_that_cannot_be_are_replaced_and_named(tags: tuple[int, int, int], about: str) -> None:
    found = understood(*tags)
    assert found.color == Color()
    assert len(found.warnings) == 1
    assert about in found.warnings[0]


def test_hdr_without_a_matrix_has_that_of_bt2020() -> None:
    assert understood(2, 16, 2, bit_depth=10).color == BT2020_PQ


def test_rgb_and_gray_are_of_full_range_and_become_bt709() -> None:
    assert understood(2, 13, 0, is_rgb=True).color == Color(primaries=1, transfer=13, matrix=1)
    assert understood(is_rgb=True).full_range
    assert understood(is_gray=True).full_range
    assert not understood(is_gray=True, full=1).full_range
    assert understood(full=2).full_range
