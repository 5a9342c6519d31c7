"""`streamforge plan`: what would be done, without a server and without doing it."""

import json
from pathlib import Path

from clips import Clips, ffmpeg, picture
from commandline import fresh_streamforge, processes_of, streamforge

VIDEO = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"


def test_a_plan_for_people(tmp_path: Path) -> None:
    shown = fresh_streamforge("plan", str(VIDEO), cwd=tmp_path)
    assert shown.returncode == 0, shown.stderr
    assert "1280×720 h264, 25.00 fps, 5.3 s" in shown.stdout
    for rendition in ("720p", "480p", "360p", "audio-0"):
        assert f"│ {rendition} " in shown.stdout
    for estimate in ("CPU time", "time, ", "output"):
        (line,) = [line for line in shown.stdout.splitlines() if line.startswith(estimate)]
        assert "about" in line
    assert list(tmp_path.iterdir()) == []
    assert processes_of(tmp_path) == []


def test_what_is_special_about_a_video_is_said(tmp_path: Path, clips: Clips) -> None:
    path = tmp_path / "two.mkv"
    ffmpeg("-i", clips.hdr10, *picture("160x90", 25, 1), "-map", "0", "-map", "1", "-c:v:0", "copy", path)
    shown = streamforge("plan", str(path), cwd=tmp_path)
    assert "320×180 hevc, 25.00 fps, HDR10, 2.0 s" in shown.stdout
    assert "The file has 2 video streams; number 0 (320×180) is used" in " ".join(shown.stdout.split())


def test_a_plan_for_programs(tmp_path: Path) -> None:
    shown = streamforge("plan", "--json", str(VIDEO), cwd=tmp_path)
    plan = json.loads(shown.stdout)
    assert plan["source"]["video"]["frame_count"] == 132
    assert [rendition["name"] for rendition in plan["renditions"]] == ["720p", "480p", "360p"]
    assert plan["chunks"]["count"] == 1
    assert plan["prediction"]["cpu_seconds"] > 0


def test_settings_change_the_plan(tmp_path: Path) -> None:
    shown = streamforge("plan", "--json", str(VIDEO), cwd=tmp_path, STREAMFORGE_TRANSCODE__HEIGHTS="[360]")
    assert [rendition["height"] for rendition in json.loads(shown.stdout)["renditions"]] == [360]


def test_a_per_title_search_is_part_of_the_plan(tmp_path: Path) -> None:
    settings = {"STREAMFORGE_PER_TITLE__ENABLED": "true", "STREAMFORGE_PER_TITLE__MAX_COST": "1"}
    shown = streamforge("plan", str(VIDEO), cwd=tmp_path, **settings)
    (line,) = [line for line in shown.stdout.splitlines() if line.startswith("per title")]
    assert "CRF of each rendition from " in line
    planned = json.loads(streamforge("plan", "--json", str(VIDEO), cwd=tmp_path, **settings).stdout)
    assert planned["per_title"]["targets"] == {"720p": 93, "480p": 85, "360p": 75}
    short = streamforge("plan", str(VIDEO), cwd=tmp_path, STREAMFORGE_PER_TITLE__ENABLED="true")
    assert "the fixed ladder is used" in short.stdout


def test_what_is_no_video_is_said_in_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("Dear server, this is a letter. " * 100)
    refused = streamforge("plan", "notes.mp4", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("streamforge: This is not a video")
    assert refused.stderr.count("\n") == 1
