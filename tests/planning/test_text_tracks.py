"""Which texts a stream has, and how manifests name them."""

from xml.etree import ElementTree as ET

import pytest
from factories import text_track
from playback import attributes_of
from sources import audio, source, stream, video

from streamforge.contracts.media.encoded import TextTrack
from streamforge.contracts.media.source import SubtitleSource
from streamforge.packaging import dash, hls
from streamforge.packaging.presentation import Presentation, media_files, presentation
from streamforge.planning.plan import make_plan
from streamforge.planning.text.languages import language_name, language_tag
from streamforge.planning.text.tracks import caption_label, with_captions_option, with_distinct_labels
from streamforge.settings import Settings

LISTENING = Settings.model_validate({"captions": {"enabled": True, "language": "de", "model": "small"}})


def subtitles(index: int = 2, **changes: object) -> SubtitleSource:
    return SubtitleSource.model_validate({"index": index, "codec": "subrip"} | changes)


# ── what is planned ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_nobody_asked_and_nothing_is_listened_to() -> None:
    plan = make_plan(source(None, audio()), Settings())
    assert plan.transcription is None
    assert plan.warnings == []


@pytest.mark.parametrize(
    ("asked", "enabled", "language"),
    [(None, True, "de"), ("none", False, None), ("auto", True, None), ("pt-BR", True, "pt-BR")],
)
def test_the_job_has_the_last_word(asked: str | None, enabled: bool, language: str | None) -> None:
    wanted = make_plan(source(None, audio()), with_captions_option(LISTENING, asked)).transcription
    assert (wanted is not None) == enabled
    if wanted is not None:
        assert (wanted.language, wanted.model) == (language, "small")


def test_the_default_track_is_listened_to() -> None:
    plan = make_plan(source(None, audio(1), audio(2, default=True)), LISTENING)
    assert plan.transcription is not None
    assert plan.transcription.stream_index == 2


def test_a_film_without_sound_says_so() -> None:
    plan = make_plan(source(), LISTENING)
    assert plan.transcription is None
    assert plan.warnings == ["The file has no sound that can be decoded, so there are no captions from it."]


def test_text_is_kept_and_pictures_of_text_are_told() -> None:
    film = source(video(), audio()).model_copy(
        update={
            "subtitles": [
                subtitles(2, language="ger", title="Für alle"),
                subtitles(3, codec="dvbsub"),
                subtitles(4, codec="dvbsub"),
                subtitles(5, codec="ass", forced=True),
            ]
        }
    )
    plan = make_plan(film, Settings())
    kept = [(track.name, track.stream_index, track.language, track.forced) for track in plan.subtitles]
    assert kept == [("subtitles-0", 2, "de", False), ("subtitles-1", 5, None, True)]
    assert plan.warnings == ["2 subtitle tracks of the kind dvbsub cannot be kept: they hold pictures of text."]


def test_the_parts_of_a_chunk_know_nothing_of_text() -> None:
    """Else asking for captions would encode the film again."""
    film = source(None, audio()).model_copy(update={"subtitles": [subtitles()]})
    silent, spoken = make_plan(source(None, audio()), Settings()), make_plan(film, LISTENING)
    assert spoken.for_part(spoken.renditions) == silent.for_part(silent.renditions)


def test_sound_alone_is_listened_to_as_well() -> None:
    settings = Settings.model_validate({"transcode": {"codecs": []}, "captions": {"enabled": True}})
    plan = make_plan(source(None, audio()), settings)
    assert plan.renditions == []
    assert plan.transcription is not None


# ── what it is called ───────────────────────────────────────────────────────────────────────────────────────────────
def test_languages_have_names() -> None:
    assert [language_name(tag) for tag in ("en", "pt-BR", "zh-Hant", "tlh")] == [
        "English", "Portuguese (BR)", "Chinese (Hant)", "tlh",
    ]  # fmt: skip
    assert [language_tag(tag) for tag in ("fre", "en-us", "x!", "", None)] == ["fr", "en-US", None, None, None]


def test_captions_say_that_they_are_generated() -> None:
    assert (caption_label("en"), caption_label(None)) == ("English (generated)", "Captions (generated)")


def test_labels_differ_and_only_one_is_the_default() -> None:
    tracks = with_distinct_labels(
        [
            text_track("a", forced=True, default=True),
            text_track("b", default=True),
            text_track("c", label="English (2)", default=True),
            text_track("d"),
        ]
    )
    assert [track.label for track in tracks] == ["English", "English (2)", "English (2) (2)", "English (3)"]
    assert [track.default for track in tracks] == [False, True, False, False]


# ── manifests ───────────────────────────────────────────────────────────────────────────────────────────────────────
TEXTS = [
    text_track("subtitles-0", label="Deutsch", language="de", default=True),
    text_track("subtitles-1", label="Signs", language="en", forced=True),
    text_track("subtitles-2", label="English (SDH)", language="en", hearing_impaired=True),
    text_track("captions", label='English "generated"', language="en", generated=True),
]


def with_text_tracks(*tracks: TextTrack) -> Presentation:
    whole = stream(audio())
    return presentation(
        whole.source,
        whole.plan,
        [track.encoded for track in whole.video],
        [track.encoded for track in whole.audio],
        tracks,
    )


def test_every_text_is_a_rendition_of_hls() -> None:
    master = hls.playlists(with_text_tracks(*TEXTS))["master.m3u8"].splitlines()
    lines = [attributes_of(line) for line in master if line.startswith("#EXT-X-MEDIA:TYPE=SUBTITLES")]
    assert [(a["NAME"], a["LANGUAGE"], a["DEFAULT"], a["AUTOSELECT"], a["FORCED"], a["URI"]) for a in lines] == [
        ("Deutsch", "de", "YES", "YES", "NO", "subtitles-0/index.m3u8"),
        ("Signs", "en", "NO", "YES", "YES", "subtitles-1/index.m3u8"),
        ("English (SDH)", "en", "NO", "YES", "NO", "subtitles-2/index.m3u8"),
        ("English generated", "en", "NO", "YES", "NO", "captions/index.m3u8"),
    ]
    dialog, sounds = "public.accessibility.transcribes-spoken-dialog", "public.accessibility.describes-music-and-sound"
    assert [a.get("CHARACTERISTICS") for a in lines] == [None, None, f"{dialog},{sounds}", dialog]
    variants = [attributes_of(line) for line in master if line.startswith("#EXT-X-STREAM-INF")]
    assert {variant["SUBTITLES"] for variant in variants} == {lines[0]["GROUP-ID"]}
    assert {variant["CLOSED-CAPTIONS"] for variant in variants} == {"NONE"}


def test_a_text_is_one_segment_as_long_as_the_film() -> None:
    film = with_text_tracks(*TEXTS)
    playlist = hls.playlists(film)["captions/index.m3u8"].splitlines()
    assert "#EXT-X-TARGETDURATION:9" in playlist
    assert playlist[-3:] == ["#EXTINF:9.000000,", "text.vtt", "#EXT-X-ENDLIST"]


def test_every_text_is_an_adaptation_set_of_dash() -> None:
    namespace = {"m": dash.NAMESPACE}
    root = ET.fromstring(dash.manifest(with_text_tracks(*TEXTS)))
    sets = root.findall("m:Period/m:AdaptationSet", namespace)
    assert [s.get("id") for s in sets] == [str(number) for number in range(len(sets))]
    found = [s for s in sets if s.get("contentType") == "text"]
    assert {s.get("mimeType") for s in found} == {"text/vtt"}
    assert [s.get("lang") for s in found] == ["de", "en", "en", "en"]
    assert [s.find("m:Role", namespace).get("value") for s in found] == [
        "subtitle", "forced-subtitle", "caption", "caption",
    ]  # fmt: skip
    assert [s.findtext("m:Representation/m:BaseURL", "", namespace) for s in found] == [
        f"{track.name}/text.vtt" for track in TEXTS
    ]


def test_a_stream_of_sound_alone_has_its_text() -> None:
    settings = Settings.model_validate({"transcode": {"codecs": []}})
    film = stream(audio())
    sound = presentation(
        film.source, make_plan(film.source, settings), [], [track.encoded for track in film.audio], TEXTS
    )
    master = hls.playlists(sound)["master.m3u8"]
    assert 'SUBTITLES="text"' in next(line for line in master.splitlines() if line.startswith("#EXT-X-STREAM-INF"))
    assert dash.manifest(sound).count("text/vtt") == len(TEXTS)


def test_a_stream_without_text_says_nothing_of_it() -> None:
    film = with_text_tracks()
    assert "SUBTITLES" not in hls.playlists(film)["master.m3u8"]
    assert "text/vtt" not in dash.manifest(film)


def test_texts_are_among_the_files_that_are_verified() -> None:
    assert media_files(with_text_tracks(*TEXTS))["captions/text.vtt"].size_bytes == 100
