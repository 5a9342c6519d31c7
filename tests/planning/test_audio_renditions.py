"""Which tracks of sound a stream gets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, video

from streamforge.contracts.media.source import AudioRole, AudioSource
from streamforge.planning.plan import make_plan
from streamforge.planning.sound.renditions import MAX_AUDIO_TRACKS
from streamforge.settings import Settings


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


def layouts(*tracks: AudioSource, **settings: object) -> list[tuple[str, int, int]]:
    plan = make_plan(source(video(), *tracks), Settings.model_validate({"audio": settings}))
    return [(rendition.name, rendition.channels, rendition.bitrate) for rendition in plan.audio]


def test_every_track_is_there_in_stereo_and_behind_them_what_has_surround_sound() -> None:
    assert layouts(audio(channels=6, layout="5.1(side)"), audio(channels=1), audio(channels=8, layout="7.1")) == [
        ("audio-0", 2, 128_000),
        ("audio-1", 1, 64_000),
        ("audio-2", 2, 128_000),
        ("audio-0-surround", 6, 384_000),
        ("audio-2-surround", 6, 384_000),
    ]


def test_surround_sound_can_be_left_out() -> None:
    assert layouts(audio(channels=6), surround=False, stereo_bitrate=96_000) == [("audio-0", 2, 96_000)]


@pytest.mark.parametrize(
    ("channels", "layout", "planned"),
    [
        (3, "2.1", [2]),
        (5, "5.0", [2]),
        (6, "6 channels", [2, 6]),
        (6, "hexagonal", [2, 6]),
        (16, "16 channels", [2]),
        (16, "ambisonic 3", [2]),
        (24, "22.2", [2, 6]),
        (64, "64 channels", [2]),
    ],
)
def test_surround_sound_is_made_of_what_is_known_to_have_it(channels: int, layout: str, planned: list[int]) -> None:
    assert [count for _, count, _ in layouts(audio(channels=channels, layout=layout))] == planned


def test_layouts_of_a_track_belong_together() -> None:
    plan = make_plan(source(video(), audio(1), audio(2, channels=6, language="deu", title="Deutsch")), Settings())
    assert [(r.name, r.track, r.stream_index, r.language, r.title) for r in plan.audio] == [
        ("audio-0", 0, 1, None, None),
        ("audio-1", 1, 2, "de", "Deutsch"),
        ("audio-1-surround", 1, 2, "de", "Deutsch"),
    ]


COMMENTARY, DESCRIPTION = AudioRole.COMMENTARY, AudioRole.DESCRIPTION


@pytest.mark.parametrize(
    ("tracks", "default"),
    [
        ([{}, {}], 0),
        ([{}, {"default": True}], 1),
        ([{"default": True}, {"default": True}], 0),
        ([{"role": COMMENTARY, "default": True}, {}], 1),
        ([{"role": DESCRIPTION}, {"role": COMMENTARY}], 0),
    ],
)
def test_one_track_is_the_default_and_it_is_the_films_own(tracks: list[dict[str, object]], default: int) -> None:
    found = [audio(index, channels=6, **track) for index, track in enumerate(tracks)]
    plan = make_plan(source(video(), *found), Settings())
    assert [r.track for r in plan.audio if r.default] == [default, default], "in stereo and in 5.1"


def test_a_loudness_that_is_asked_for_is_asked_of_every_rendition() -> None:
    settings = Settings.model_validate({"audio": {"loudness_target": -16, "true_peak_ceiling": -2}})
    plan = make_plan(source(video(), audio(channels=6)), settings)
    assert [(r.loudness_target, r.true_peak_ceiling) for r in plan.audio] == [(-16, -2)] * 2
    assert make_plan(source(video(), audio()), Settings()).audio[0].loudness_target is None


@pytest.mark.parametrize(
    ("rate", "planned"),
    [(8000, 16_000), (11_025, 16_000), (22_050, 22_050), (44_100, 44_100), (48_000, 48_000), (96_000, 48_000)],
)
def test_the_sample_rate_is_one_that_aac_has_and_loses_nothing(rate: int, planned: int) -> None:
    [track] = make_plan(source(video(), audio(sample_rate=rate)), Settings()).audio
    assert track.sample_rate == planned


@pytest.mark.parametrize(
    ("described", "found", "warnings"),
    [
        (16, 16, []),
        (17, 17, ["The file has 17 audio tracks; the first 16 are kept, 1 is left out."]),
        (64, 500, ["The file has 500 audio tracks; the first 16 are kept, 484 are left out."]),
    ],
)
def test_of_very_many_tracks_the_first_are_kept_and_the_rest_is_told(
    described: int, found: int, warnings: list[str]
) -> None:
    film = source(video(), *(audio(index) for index in range(described)))
    plan = make_plan(film.model_copy(update={"audio_track_count": found}), Settings())
    assert [r.track for r in plan.audio] == list(range(MAX_AUDIO_TRACKS))
    assert plan.warnings == warnings
