"""A job that asks for per-title encoding: its stream plays, its result holds the numbers, and a film is searched once."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from clips import Clips
from playback import dash_tracks, hls_tracks, play
from system import Finished, System

from streamforge.contracts.pipeline import SweepInput, SweepResult
from streamforge.settings import Settings

LOOKING = "Looking for the CRF of each rendition"


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Samples of a clip of seconds cost more than they save; that is not what is tested here."""
    changed = settings.model_dump()
    changed["per_title"] |= {"enabled": True, "max_cost": 10, "targets": [90, 80], "drop_rungs": False}
    changed["transcode"] |= {"heights": [180, 120], "presets": {"h264": "veryfast"}}
    return Settings.model_validate(changed)


def rungs_of(finished: Finished) -> dict[str, dict[str, Any]]:
    """The rungs of the only ladder, by name."""
    (ladder,) = finished.job["result"]["per_title"]["ladders"]
    return {rung["name"]: rung for rung in ladder["rungs"]}


def messages(finished: Finished) -> list[str]:
    return [frame.data["message"] for frame in finished.frames if frame.event == "progress"]


def crf_of(track: Path) -> str:
    """What x264 wrote into its own stream."""
    _, _, after = track.read_bytes().partition(b" crf=")
    return after.split(b" ")[0].decode()


async def test_a_job_with_per_title_and_the_same_film_again(system: System, clips: Clips, tmp_path: Path) -> None:
    finished = await system.process(clips.steady)
    assert_comes_to_its_targets(system, finished, tmp_path)
    (kept,) = [name for name in system.api.stored if name.startswith("searches/")]
    again = await system.process(clips.steady)
    assert not any(message.startswith(LOOKING) for message in messages(again)), "it was searched before"
    assert [name for name in system.api.stored if name.startswith("searches/")] == [kept]
    assert rungs_of(again) == rungs_of(finished)


def assert_comes_to_its_targets(system: System, finished: Finished, tmp_path: Path) -> None:
    job = finished.job
    assert job["status"] == "completed", job["error"]
    assert finished.progress == sorted(finished.progress)
    assert any(message.startswith(LOOKING) for message in messages(finished))
    (ladder,) = job["result"]["per_title"]["ladders"]
    assert ladder["codec"] == "h264"
    assert 0 < ladder["bits_saved"] < 1
    output = system.output(finished.id)
    for tracks in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        assert {name: play(track, tmp_path).frame_count for name, track in tracks.items()} == {"180p": 250, "120p": 250}
    for rendition, rung in zip(job["renditions"], ladder["rungs"], strict=True):
        assert rung["name"] == rendition["name"]
        assert rung["fixed"]["crf"] == 23
        assert rung["vmaf"] == rendition["vmaf"]["mean"] == pytest.approx(rung["target"], abs=1.5)
        assert rung["vmaf"] == pytest.approx(rung["chosen"]["vmaf"], abs=1.5)
        first = hls_tracks(output / "master.m3u8")[rung["name"]].segments[0][0]
        assert float(crf_of(Path(first))) == rung["chosen"]["crf"] != 23


async def test_what_an_old_search_measured_goes_with_the_sweep(system: System) -> None:
    names = [f"searches/{digit * 64}/{digit * 16}.json" for digit in "12"]
    for name in names:
        (system.storage / name).parent.mkdir(parents=True)
        (system.storage / name).write_text("{}")
    eight_days_ago = time.time() - 8 * 86400
    os.utime(system.storage / names[0], (eight_days_ago, eight_days_ago))
    handle = await system.temporal.start_workflow(
        "SweepRetention", SweepInput(), id="sweep-searches", task_queue="video-processing", result_type=SweepResult
    )
    await handle.result()
    assert system.api.stored == names[1:]


async def test_a_film_too_short_for_a_search_is_encoded_with_the_fixed_ladder(system: System, clips: Clips) -> None:
    finished = await system.process(clips.one_frame)
    job = finished.job
    assert job["status"] == "completed", job["error"]
    assert job["result"]["per_title"] is None
    assert "per_title.max_cost" in job["result"]["warnings"][0]
