"""The plan of a job."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, video

from streamforge.contracts.media import VIDEO_TIMESCALE
from streamforge.planning.plan import MAX_AUDIO_TRACKS, make_plan
from streamforge.settings import Settings


def test_the_same_source_and_settings_give_the_same_plan() -> None:
    assert make_plan(source(video(), audio()), Settings()) == make_plan(source(video(), audio()), Settings())


def test_the_plan_holds_what_the_parts_decide() -> None:
    plan = make_plan(source(video(duration=20)), Settings())
    assert [rendition.name for rendition in plan.renditions] == ["1080p", "720p", "480p", "360p"]
    assert [chunk.start for chunk in plan.chunks] == [0, 4, 12, 16]
    assert list(plan.quality.floors) == ["1080p", "720p", "480p", "360p"]
    assert plan.audio == []
    assert plan.total_frames == 480
    assert (plan.segment_seconds, plan.gop_seconds, plan.max_frame_rate) == (4, 2, 60)


def test_a_plan_survives_the_wire() -> None:
    plan = make_plan(source(video(), audio(language="deu", title="Deutsch")), Settings())
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


def test_the_first_audio_track_is_the_default_and_all_have_names_of_their_own() -> None:
    plan = make_plan(source(video(), audio(2, language="eng"), audio(1, language="deu", title="Kommentar")), Settings())
    assert [(a.name, a.stream_index, a.language, a.title, a.default) for a in plan.audio] == [
        ("audio-0", 2, "en", None, True),
        ("audio-1", 1, "de", "Kommentar", False),
    ]


@pytest.mark.parametrize(
    ("told", "planned"),
    [
        ("eng", "en"),
        ("fre", "fr"),
        ("fra", "fr"),
        ("deu", "de"),
        ("chi", "zh"),
        ("gsw", "gsw"),  # ISO 639-1 has no two letters for it.
        ("pt-BR", "pt-BR"),
        ("zh-hant", "zh-Hant"),
        ("iw", "he"),
        ("xx", None),
        ("english", None),
        (None, None),
    ],
)
def test_languages_are_told_as_rfc_5646_has_them(told: str | None, planned: str | None) -> None:
    [track] = make_plan(source(video(), audio(language=told)), Settings()).audio
    assert track.language == planned


@given(text=st.text())
def test_whatever_a_file_calls_its_language_is_no_error(text: str) -> None:
    [track] = make_plan(source(video(), audio(language=text)), Settings()).audio
    assert track.language is None or track.language.replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("channels", "planned", "bitrate"), [(1, 1, 64_000), (2, 2, 128_000), (6, 2, 128_000), (64, 2, 128_000)]
)
def test_audio_is_mono_or_stereo(channels: int, planned: int, bitrate: int) -> None:
    [track] = make_plan(source(video(), audio(channels=channels)), Settings()).audio
    assert (track.channels, track.bitrate) == (planned, bitrate)


@pytest.mark.parametrize(
    ("rate", "planned"),
    [(8000, 16_000), (11_025, 16_000), (22_050, 22_050), (44_100, 44_100), (48_000, 48_000), (96_000, 48_000)],
)
def test_the_sample_rate_is_one_that_aac_has_and_loses_nothing(rate: int, planned: int) -> None:
    [track] = make_plan(source(video(), audio(sample_rate=rate)), Settings()).audio
    assert track.sample_rate == planned


def test_a_file_with_hundreds_of_audio_tracks_does_not_get_them_all() -> None:
    tracks = [audio(index) for index in range(500)]
    assert len(make_plan(source(video(), *tracks), Settings()).audio) == MAX_AUDIO_TRACKS


@given(rate=st.floats(0.01, 300), gap=st.floats(0, 1e9))
def test_the_edit_offset_leaves_room_for_two_frames_and_ends_before_an_hour(rate: float, gap: float) -> None:
    plan = make_plan(source(video(rate=rate, reorder_gap=gap, frame_count=10)), Settings())
    room = plan.edit_offset_ticks / VIDEO_TIMESCALE
    assert room <= 3600
    assert room >= min(60, max(gap, 2 / min(rate, 60)))
