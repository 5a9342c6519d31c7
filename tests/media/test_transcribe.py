"""Captions from the sound, with a real model: the words that are said come out, when they are said, and no others."""

import asyncio
import re
import sys
from pathlib import Path

import pytest
from clips import Clips
from speech_model import CAPTIONS, MODEL
from texts import cues_of, transcribe

from streamforge.errors import CaptionsUnavailable
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.text.webvtt import Cue

SAID = "ask not what your country can do for you"


def words(cues: list[Cue]) -> str:
    plain = re.sub(r"<[^>]*>", "", " ".join(cue.text for cue in cues)).replace("\n", " ")
    return " ".join(re.findall(r"[a-z']+", plain.lower()))


def said_at(cues: list[Cue], word: str) -> float:
    """Seconds: from its timestamp tag, or from its cue where it is the first one."""
    for cue in cues:
        for tag, found in re.findall(r"(?:<([\d:.]+)>)?([\w']+)", cue.text):
            if found.lower() == word:
                hours, minutes, seconds = tag.split(":") if tag else (0, 0, cue.start_ms / 1000)
                return int(hours) * 3600 + int(minutes) * 60 + float(seconds)
    raise AssertionError(f"nobody says {word!r}")


async def test_the_words_come_out_when_they_are_said(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    text, told = await transcribe(children, clips.speech, tmp_path, CAPTIONS)
    (track,) = text.tracks
    assert (track.language, track.label, track.generated) == ("en", "English (generated)", True)
    cues = cues_of(tmp_path, track.name)
    assert SAID in words(cues)
    assert track.cues == len(cues)
    assert 0 <= cues[0].start_ms < 1000
    assert said_at(cues, "fellow") == pytest.approx(1.4, abs=0.5)
    assert said_at(cues, "country") == pytest.approx(6.0, abs=0.5)
    assert 10_000 < cues[-1].end_ms <= 11_000
    assert {step["phase"] for step in told} == {"extracting_audio", "transcribing"}
    assert told[-1] == {"phase": "transcribing", "progress": 1.0, "language": "en"}
    assert [path.name for path in tmp_path.iterdir()] == [track.name]


async def test_a_long_film_is_heard_in_windows_that_cut_no_word(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    """Speech at the beginning and from 595 s to 606 s: a cut at ten minutes would go through it."""
    text, _ = await transcribe(children, clips.long_speech, tmp_path, CAPTIONS)
    cues = cues_of(tmp_path, text.tracks[0].name)
    late = [cue for cue in cues if cue.start_ms > 500_000]
    assert SAID in words([cue for cue in cues if cue.start_ms < 20_000])
    assert SAID in words(late)
    assert said_at(late, "country") == pytest.approx(595 + 6.0, abs=0.7)
    assert len(words(cues).split()) == pytest.approx(2 * 22, abs=6)


async def test_sound_that_begins_late_is_captioned_late(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    text, _ = await transcribe(children, clips.late_speech, tmp_path, CAPTIONS)
    cues = cues_of(tmp_path, text.tracks[0].name)
    assert SAID in words(cues)
    assert cues[0].start_ms == pytest.approx(2000, abs=700)
    assert said_at(cues, "country") == pytest.approx(8.0, abs=0.6)


@pytest.mark.parametrize("clip", ["silence", "music"])
async def test_nobody_speaks_and_nothing_is_said(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str
) -> None:
    text, _ = await transcribe(children, getattr(clips, clip), tmp_path, CAPTIONS)
    assert text.tracks == []
    assert text.warnings == ["No speech was found in the sound, so there are no captions."]


@pytest.mark.parametrize("model", ["tiny", "no-such-model", "/no/such/folder"])
async def test_a_model_that_is_not_here_is_not_fetched(
    clips: Clips, tmp_path: Path, model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hub"))
    async with MediaChildren(memory_bytes=4 * 2**30, stall_seconds=60) as with_empty_cache:
        with pytest.raises(CaptionsUnavailable, match=r"is not there; see captions\.model"):
            await transcribe(with_empty_cache, clips.speech, tmp_path, CAPTIONS.model_copy(update={"model": model}))


async def test_a_model_without_its_tokenizer_is_none(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """faster-whisper would fetch one from the network."""
    for name in ("model.bin", "config.json", "vocabulary.txt"):
        (tmp_path / name).symlink_to(Path(MODEL) / name)
    with pytest.raises(CaptionsUnavailable):
        await transcribe(children, clips.speech, tmp_path, CAPTIONS.model_copy(update={"model": str(tmp_path)}))


async def test_a_language_that_the_model_does_not_know(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    with pytest.raises(CaptionsUnavailable, match="does not know the language tlh"):
        await transcribe(children, clips.speech, tmp_path, CAPTIONS.model_copy(update={"language": "tlh"}))


async def test_a_language_that_is_given_is_what_menus_say(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    text, _ = await transcribe(children, clips.speech, tmp_path, CAPTIONS.model_copy(update={"language": "en-us"}))
    assert (text.tracks[0].language, text.tracks[0].label) == ("en-US", "English (US) (generated)")


async def test_a_model_that_needs_more_memory_than_there_is(clips: Clips, tmp_path: Path) -> None:
    async with MediaChildren(memory_bytes=120 * 2**20, stall_seconds=60) as small:
        with pytest.raises(Exception, match=r"memory|died|speech model"):
            await transcribe(small, clips.speech, tmp_path, CAPTIONS)


async def test_only_a_transcription_loads_the_speech_libraries() -> None:
    heavy = "[name for name in ('faster_whisper', 'ctranslate2', 'onnxruntime', 'torch') if name in sys.modules]"
    modules = "streamforge.media.process.zygote, streamforge.api.app, streamforge.worker.run"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", f"import sys, {modules}; print({heavy})", stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert out.decode().strip() == "[]"
