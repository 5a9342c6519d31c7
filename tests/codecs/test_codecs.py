"""Caps and options of the encoders."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.codecs.registry import CODECS
from streamforge.planning.trial import trial_renditions
from streamforge.settings import Settings

CAP = 6_500_000

codecs = st.sampled_from(sorted(CODECS))
sides = st.integers(2, 8192)
rates = st.floats(0.1, 120)


def test_the_cap_of_h264_1080p30_is_the_one_all_others_follow_from() -> None:
    assert CODECS["h264"].max_bitrate(1920, 1080, 30, CAP) == CAP


def test_better_codecs_need_fewer_bits() -> None:
    caps = [CODECS[codec].max_bitrate(1920, 1080, 30, CAP) for codec in ("h264", "hevc", "av1")]
    assert caps == sorted(caps, reverse=True)


@given(codec=codecs, width=sides, height=sides, rate=rates, wider=st.integers(0, 1000), faster=st.floats(0, 60))
def test_more_pixels_or_frames_never_lower_the_cap(
    codec: str, width: int, height: int, rate: float, wider: int, faster: float
) -> None:
    encoder = CODECS[codec]
    cap = encoder.max_bitrate(width, height, rate, CAP)
    assert encoder.max_bitrate(width + wider, height, rate, CAP) >= cap
    assert encoder.max_bitrate(width, height + wider, rate, CAP) >= cap
    assert encoder.max_bitrate(width, height, rate + faster, CAP) >= cap
    assert encoder.max_bitrate(height, width, rate, CAP) == cap


@given(codec=codecs, width=sides, height=sides, rate=rates)
def test_a_cap_is_whole_kilobits_and_never_starves_the_encoder(
    codec: str, width: int, height: int, rate: float
) -> None:
    cap = CODECS[codec].max_bitrate(width, height, rate, CAP)
    assert cap >= 200_000
    assert cap % 1000 == 0


@pytest.mark.parametrize(("codec", "threads"), [("h264", "threads=1"), ("hevc", "pools=none"), ("av1", "lp=1")])
def test_what_an_encoder_would_choose_by_its_machine_or_its_input_is_fixed(codec: str, threads: str) -> None:
    options = CODECS[codec].options("veryfast", 23.5, 6_500_000)
    private = next(value for name, value in options.items() if name.endswith("-params")).split(":")
    assert (options["preset"], options["crf"]) == ("veryfast", "23.5")
    assert threads in private
    assert {"keyint=infinite", "keyint=-1"} & set(private)
    assert {"scenecut=0", "scd=0"} & set(private)
    assert {"vbv-maxrate=6500", "mbr=6500"} & set(private)


@pytest.mark.parametrize(
    ("codec", "preset", "crf"), [("h264", "veryfast", 23), ("hevc", "veryfast", 26), ("av1", 8, 32)]
)
def test_the_trial_encodes_with_the_real_options(codec: str, preset: str | int, crf: float) -> None:
    settings = Settings.model_validate({"transcode": {"codecs": [codec]}, "profiles": {"default": {}}})
    [trial] = trial_renditions(settings)
    assert trial.encoder == CODECS[codec].encoder
    assert trial.options == CODECS[codec].options(preset, crf, trial.max_bitrate)
    assert trial.width % 2 == trial.height % 2 == 0


def test_every_way_in_which_a_profile_encodes_is_tried_once() -> None:
    profiles = {
        "default": {},
        "same": {"validation": {"enabled": False}},
        "better": {"transcode": {"crf": {"h264": 18}}},
    }
    trials = trial_renditions(Settings.model_validate({"profiles": profiles}))
    assert [trial.options["crf"] for trial in trials] == ["23", "18"]
