"""A job with captions: the words are in the stream, everybody hears of it, and nothing that goes wrong is a failure."""

import re

import pytest
from clips import Clips
from playback import Subtitles, dash_texts, hls_texts
from speech_model import MODEL
from system import Finished, System

from streamforge.settings import Settings

SAID = "ask not what your country can do for you"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    captions = settings.captions.model_copy(update={"model": MODEL})
    return settings.model_copy(update={"captions": captions})


def words(text: Subtitles) -> str:
    plain = " ".join(re.sub(r"<[^>]*>", "", cue.text) for cue in text.cues).lower()
    return " ".join(re.findall(r"[a-z']+", plain))


def phases(finished: Finished) -> list[str]:
    told = [frame.data["details"] for frame in finished.frames if frame.event == "captions"]
    return list(dict.fromkeys(details["phase"] for details in told))


async def test_the_words_are_in_the_stream_and_it_is_told_that_they_come(system: System, clips: Clips) -> None:
    finished = await system.process(clips.speech, name="speech.mkv", captions="auto")
    job = finished.job
    assert job["status"] == "completed", job["error"]
    assert job["result"]["warnings"] == []
    output = system.output(finished.id)
    for texts in (hls_texts(output / "master.m3u8"), dash_texts(output / "manifest.mpd")):
        (text,) = texts.values()
        assert list(texts) == ["English (generated)"]
        assert SAID in words(text)
        assert re.search(r"<00:00:0\d\.\d{3}>country", text.cues[0].text + text.cues[1].text)
    (track,) = job["result"]["text"]
    assert (track["label"], track["language"], track["generated"]) == ("English (generated)", "en", True)
    (listed,) = job["playback"]["captions"]
    assert (listed["kind"], listed["language"], listed["generated"]) == ("captions", "en", True)
    response = await system.api.http.get(listed["src"])
    assert response.headers["content-type"].startswith("text/vtt")
    assert response.text.startswith("WEBVTT\n")
    assert_told_beside_the_progress(finished)


def assert_told_beside_the_progress(finished: Finished) -> None:
    """… which it does not disturb."""
    assert phases(finished) == ["extracting_audio", "transcribing"]
    last = [frame.data["details"] for frame in finished.frames if frame.event == "captions"][-1]
    assert last == {"phase": "transcribing", "progress": 1.0, "language": "en"}
    assert finished.progress == sorted(finished.progress)
    assert finished.stages[0] == "uploading"


async def test_nobody_asked(system: System, clips: Clips) -> None:
    finished = await system.process(clips.speech, name="speech.mkv")
    assert finished.job["playback"]["captions"] == []
    assert phases(finished) == []
    assert not (system.output(finished.id) / "captions").exists()


@pytest.mark.parametrize("clip", ["silence", "music"])
async def test_nobody_speaks(system: System, clips: Clips, clip: str) -> None:
    path = getattr(clips, clip)
    finished = await system.process(path, name=path.name, captions="auto")
    assert finished.job["status"] == "completed"
    assert finished.job["result"]["text"] == []
    assert finished.job["result"]["warnings"] == ["No speech was found in the sound, so there are no captions."]
    assert hls_texts(system.output(finished.id) / "master.m3u8") == {}


async def test_subtitles_of_the_source_are_kept_without_being_asked_for(system: System, clips: Clips) -> None:
    finished = await system.process(clips.subtitled, name="subtitled.mkv")
    output = system.output(finished.id)
    for texts in (hls_texts(output / "master.m3u8"), dash_texts(output / "manifest.mpd")):
        assert {label: len(text.cues) for label, text in texts.items()} == {"German (SDH)": 2, "Subtitles": 1}
        assert texts["German (SDH)"].cues[0].text == "Schöne Grüße &amp; &lt;3"
    assert [listed["kind"] for listed in finished.job["playback"]["captions"]] == ["captions", "subtitles"]
    stored = [name for name in system.api.stored if name.startswith("output/")]
    assert finished.job["result"]["file_count"] == len(stored)


@pytest.mark.parametrize(
    ("captions", "warning"),
    [
        ("tlh", "There are no captions: The speech model does not know the language tlh."),
        ("de", "There are no captions: The speech model does not know the language de."),
    ],
)
async def test_a_language_that_nobody_here_understands(
    system: System, clips: Clips, captions: str, warning: str
) -> None:
    finished = await system.process(clips.speech, name="speech.mkv", captions=captions)
    assert finished.job["status"] == "completed"
    assert finished.job["result"]["warnings"] == [warning]


class TestWithoutAModel:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        captions = settings.captions.model_copy(update={"model": "/no/such/model"})
        return settings.model_copy(update={"captions": captions})

    async def test_the_stream_comes_without_captions_and_says_so(self, system: System, clips: Clips) -> None:
        finished = await system.process(clips.small, captions="auto")
        assert finished.job["status"] == "completed"
        (warning,) = finished.job["result"]["warnings"]
        assert warning.startswith("There are no captions: The speech model of this server is not there")
        assert "/no/such" not in str(finished.job)
