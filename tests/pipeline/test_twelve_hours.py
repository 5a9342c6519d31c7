"""The longest film that is accepted, from its upload to its receipt."""

from pathlib import Path

import pytest
from clips import ffmpeg, picture
from playback import dash_tracks, hls_tracks
from system import System

from streamforge.settings import Settings
from streamforge.verification import verify

HOURS = 12


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """As long chunks as usual; what it looks like is not what is asked."""
    usual = settings.transcode.model_copy(update={"max_chunk_seconds": Settings().transcode.max_chunk_seconds})
    unmeasured = settings.validation.model_copy(update={"enabled": False})
    return settings.model_copy(update={"transcode": usual, "validation": unmeasured})


@pytest.mark.slow
@pytest.mark.timeout(1800)
async def test_twelve_hours(system: System, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    ffmpeg(*picture("64x64", rate=1, seconds=HOURS * 3600), "-c:v", "libx264", "-preset", "ultrafast", film)
    finished = await system.process(film)
    assert finished.job["status"] == "completed", finished.job["error"]
    assert finished.progress == sorted(finished.progress)
    output = system.output(finished.id)
    for tracks in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        (name,) = tracks
        _, start, duration = tracks[name].segments[-1]
        assert (start + duration, len(tracks[name].segments)) == (HOURS * 3600, HOURS * 900)
    verified = await verify(str(output))
    assert (verified.problems, verified.unlisted) == ([], [])
    assert finished.job["result"]["account"]["pictures"]["shown"] == HOURS * 3600
