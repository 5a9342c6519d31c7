"""What goes into the file of a rendition."""

from dataclasses import replace

from sources import audio, source, stream, video

from streamforge.packaging.downloads import download_name, downloaded_tracks
from streamforge.planning.encryption import NO_DOWNLOADS
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings


def test_one_rendition_with_the_sound_that_is_played_by_itself() -> None:
    film = stream(audio(1), audio(2), picture=video(854, 480))
    assert [track.name for track in downloaded_tracks(film, "360p")] == ["360p", "audio-0"]
    assert download_name("360p") == "downloads/360p.mp4"


def test_another_sound_where_that_one_could_not_be_decoded() -> None:
    film = stream(audio(1), audio(2), picture=video(854, 480))
    film = replace(film, audio=film.audio[1:])
    assert [track.name for track in downloaded_tracks(film, "480p")] == ["480p", "audio-1"]


def test_a_silent_film() -> None:
    assert [track.name for track in downloaded_tracks(stream(picture=video(320, 180)), "180p")] == ["180p"]


def test_a_protected_film_is_not_to_be_had_without_its_protection() -> None:
    wanted = {"downloads": {"enabled": True}}
    assert make_plan(source(video()), Settings.model_validate(wanted)).downloads
    plan = make_plan(source(video()), Settings.model_validate(wanted | {"protection": {"scheme": "cbcs"}}))
    assert not plan.downloads
    assert NO_DOWNLOADS in plan.warnings
