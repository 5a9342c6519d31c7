"""A loudness that is asked for, through the whole pipeline."""

from pathlib import Path

import pytest
from clips import Clips
from system import System

from streamforge.settings import AudioSettings, Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"audio": AudioSettings(loudness_target=-16)})


async def test_every_track_is_as_loud_as_asked_for(system: System, clips: Clips, tmp_path: Path) -> None:
    finished = await system.process(clips.surround, name="surround.mkv")
    audio = finished.job["result"]["audio"]
    assert len(audio) == 5
    for track in audio:
        assert track["loudness"]["integrated"] == pytest.approx(-16, abs=0.5), track
        assert track["gain"] != 0
