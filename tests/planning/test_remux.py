"""Which sources are copied, which are encoded all the same, and what is said about it."""

import pytest
from sources import audio, coding, source, video

from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Color
from streamforge.planning.plan import make_plan
from streamforge.planning.prediction import predict
from streamforge.settings import Settings

REMUX = Settings().for_profile("remux")


def planned(settings: Settings = REMUX, **changes: object) -> Plan:
    facts: dict[str, object] = {"coding": coding()}
    return make_plan(source(video(**(facts | changes)), audio()), settings)


def test_a_source_that_fits_is_copied_whole_into_one_rendition() -> None:
    plan = planned()
    [rendition] = plan.renditions
    assert (rendition.name, rendition.width, rendition.height) == ("1080p", 1920, 1080)
    assert (rendition.codec, rendition.encoder, rendition.options) == ("h264", "copy", {})
    assert rendition.codec_string == "avc1.640028"
    [chunk] = plan.chunks
    assert (chunk.start, chunk.end, chunk.expected_frames) == (0, None, 1440)
    assert not plan.quality.enabled
    assert plan.warnings == []
    assert [track.codec for track in plan.audio] == ["aac"]


def test_nothing_is_copied_unless_it_is_asked_for() -> None:
    plan = planned(Settings())
    assert [rendition.encoder for rendition in plan.renditions] == ["libx264"] * 4
    assert plan.warnings == []


@pytest.mark.parametrize(("scheme", "encoder"), [("none", "copy"), ("aes-128", "copy"), ("cbcs", "libx264")])
def test_cbcs_is_not_for_what_somebody_else_has_encoded(scheme: str, encoder: str) -> None:
    plan = planned(Settings.model_validate({"protection": {"scheme": scheme}}).for_profile("remux"))
    assert plan.renditions[0].encoder == encoder
    refused = "not copied: slices of other encoders cannot be protected by cbcs"
    assert any(refused in warning for warning in plan.warnings) == (scheme == "cbcs")


@pytest.mark.parametrize(("delay", "offset"), [(0.0, 0), (0.1, 9001), (1 / 30, 3001), (12.0, 90_001)])
def test_decode_times_get_the_room_that_the_source_reorders_in(delay: float, offset: int) -> None:
    assert planned(coding=coding(reorder_delay=delay)).edit_offset_ticks == offset
    assert offset / VIDEO_TIMESCALE >= min(delay, 1)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"coding": None, "codec": "vp9"}, "its codec is vp9, and the profile has h264"),
        ({"coding": coding(codec="hevc", profile="Main"), "codec": "hevc"}, "its codec is hevc"),
        ({"coding": coding(profile="High 10"), "pixel_format": "yuv420p10le"}, "High 10 in yuv420p10le"),
        ({"coding": coding(profile="High 4:2:2"), "pixel_format": "yuv422p"}, "High 4:2:2 in yuv422p"),
        ({"interlaced": True}, "interlaced"),
        ({"reorder_gap": 12.0}, "its pictures stay for up to 6.0 s"),
        ({"frame_count": 1, "reorder_gap": 0.0}, "its pictures stay for up to"),
        ({"mirrored": True}, "mirrored"),
        ({"color": Color(primaries=9, matrix=9)}, "wider than"),
        ({"dynamic_range": "hlg"}, "wider than"),
        ({"rotation": 90, "width": 1080, "height": 1920}, "turned by 90°"),
        ({"coded_width": 1440}, "its pixels are not square"),
        ({"width": 1919, "coded_width": 1919}, "1919×1080 is odd"),
        (
            {"width": 7680, "height": 4320, "coded_width": 7680, "coded_height": 4320},
            "4320 lines are more than the 2160",
        ),
        ({"rate": 120}, "120 frames per second are more than the 60"),
        ({"coding": coding(bitrate=7_000_000)}, "7.0 Mbit/s are more than the 6.5"),
        ({"coding": coding(codec_string=None)}, "does not say in its header"),
        ({"coding": coding(is_whole=False)}, "damaged, or cut away"),
        ({"coding": coding(one_configuration=False)}, "format changes on the way"),
        ({"coding": coding(exact_times=False)}, "time stamp"),
        ({"coding": coding(closed_gops=False)}, "open GOPs"),
        ({"coding": coding(longest_gop=10.5)}, "up to 10.5 s apart; 10 s is the most"),
    ],
)
def test_what_does_not_fit_is_encoded_and_a_warning_says_why(changes: dict[str, object], said: str) -> None:
    plan = planned(**changes)
    assert {rendition.encoder for rendition in plan.renditions} == {"libx264"}
    assert plan.quality.enabled
    [warning] = plan.warnings
    assert warning.startswith("The video was encoded, not copied: ")
    assert said in warning


@pytest.mark.parametrize(("codec", "profile"), [("h264", "Constrained Baseline"), ("hevc", "Main"), ("av1", "Main")])
def test_of_several_codecs_that_of_the_source_is_enough(codec: str, profile: str) -> None:
    settings = Settings.model_validate({"transcode": {"remux": True, "codecs": ["h264", "hevc", "av1"]}})
    [rendition] = planned(settings, coding=coding(codec=codec, profile=profile)).renditions
    assert (rendition.name, rendition.codec, rendition.is_copy) == ("1080p", codec, True)


def test_broadcast_rates_are_not_above_their_round_number() -> None:
    assert planned(rate=60.0002).is_copy


def test_slices_of_other_encoders_are_not_given_to_cbcs() -> None:
    wanted = {"transcode": {"remux": True}, "protection": {"scheme": "cbcs"}}
    plan = planned(Settings.model_validate(wanted))
    assert not plan.is_copy
    assert plan.warnings == ["The video was encoded, not copied: slices of other encoders cannot be protected by cbcs."]
    wanted["protection"]["scheme"] = "aes-128"
    assert planned(Settings.model_validate(wanted)).is_copy


def test_a_copy_that_failed_is_not_tried_again() -> None:
    found = source(video(coding=coding()))
    plan = make_plan(found, REMUX, "The video was encoded, not copied: it is damaged.")
    assert not plan.is_copy
    assert plan.warnings == ["The video was encoded, not copied: it is damaged."]


def test_a_copy_is_predicted_to_cost_next_to_nothing_and_to_be_as_large_as_the_source() -> None:
    found = source(video(coding=coding(bitrate=2_000_000)), audio())
    copied, encoded = predict(found, make_plan(found, REMUX), 2), predict(found, make_plan(found, Settings()), 2)
    assert copied.cpu_seconds < encoded.cpu_seconds / 5
    assert copied.output_bytes == 60 * (2_000_000 + 128_000) / 8


def test_a_stream_of_sound_has_no_video_to_copy() -> None:
    settings = Settings.model_validate({"transcode": {"remux": True, "codecs": []}})
    assert planned(settings).warnings == []


def test_a_plan_of_a_copy_survives_the_wire() -> None:
    assert Plan.model_validate_json(planned().model_dump_json()) == planned()
