"""A job that asks for per-title encoding: its stream plays, its result holds the numbers, and a film is searched once."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from clips import Clips
from playback import hls_tracks, play
from serving import serving
from system import Finished, System

from streamforge.settings import Settings
from streamforge.temporal.worker import worker


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Samples of a clip of seconds cost more than they save; that is not what is tested here."""
    changed = settings.model_dump()
    changed["per_title"] = {"enabled": True, "max_cost": 2}
    changed["transcode"]["heights"] = [180, 120]
    return Settings.model_validate(changed)


def searched(finished: Finished) -> dict[str, Any]:
    """The rungs of the only ladder, by name."""
    (ladder,) = finished.job["result"]["per_title"]["ladders"]
    return {rung["name"]: rung for rung in ladder["rungs"]}


async def test_a_job_with_per_title(system: System, clips: Clips, tmp_path: Path) -> None:
    finished = await system.process(clips.slow)
    assert finished.job["status"] == "completed", finished.job["error"]
    assert finished.progress == sorted(finished.progress)
    rungs = searched(finished)
    print(finished.job["result"]["per_title"], [f.data for f in finished.frames])
    assert 0
