"""What a finished job has to show: a poster, and thumbnails that are what the film shows at their time."""

import re
from pathlib import Path
from urllib.parse import urljoin

import pytest
from clips import COLORS, Clips, ffmpeg, picture
from images import CLOSE, center, rgb
from system import System

CUE = re.compile(r"(\S+) --> (\S+)\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)")


def seconds(timestamp: str) -> float:
    hours, minutes, rest = timestamp.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


async def test_thumbnails_as_a_player_finds_them(system: System, clips: Clips) -> None:
    """Over HTTP, from the job's own answer to the pixels."""
    names = [*list(COLORS), *list(COLORS)]
    finished = await system.process(clips.colors)
    assert finished.job["status"] == "completed", finished.job["error"]
    assert finished.job["result"]["warnings"] == []
    vtt_path = finished.job["playback"]["thumbnails"]
    vtt = await system.api.http.get(vtt_path)
    assert vtt.headers["content-type"].startswith("text/vtt")
    sheets = {}
    for path in finished.job["result"]["pictures"]["sprites"]:
        response = await system.api.http.get(path)
        assert response.headers["content-type"] == "image/jpeg"
        sheets[path] = rgb(response.content)
    cues = CUE.findall(vtt.text)
    assert seconds(cues[-1][1]) == pytest.approx(20, abs=0.1)
    for start, _, sheet, *place in cues:
        x, y, width, height = map(int, place)
        tile = sheets[urljoin(vtt_path, sheet)][y : y + height, x : x + width]
        assert tile.shape == (90, 160, 3)
        assert center(tile) == pytest.approx(COLORS[names[int(seconds(start))]], abs=CLOSE), start


async def test_the_poster_of_a_film_that_begins_black(system: System, tmp_path: Path) -> None:
    film = tmp_path / "film.mp4"
    black = ["-f", "lavfi", "-i", "color=black:s=320x180:r=25:d=2"]
    ffmpeg(*black, *picture("320x180", 25, 6), "-filter_complex", "[0][1]concat=n=2", "-c:v", "libx264", film)
    finished = await system.process(film)
    pictures = finished.job["result"]["pictures"]
    assert 2 <= pictures["poster_seconds"] < 8
    poster = rgb((await system.api.http.get(finished.job["playback"]["poster"])).content)
    assert poster.shape == (180, 320, 3)
    assert poster.mean() > 90
    assert poster.std() > 60
    assert pictures["poster"] == finished.job["playback"]["poster"]
    assert rgb((await system.api.http.get(pictures["thumbnail"])).content).mean() == pytest.approx(poster.mean(), abs=3)


async def test_a_film_of_one_picture(system: System, clips: Clips) -> None:
    finished = await system.process(clips.one_frame)
    pictures = finished.job["result"]["pictures"]
    assert (pictures["poster_seconds"], len(pictures["sprites"])) == (0, 1)
    vtt = (await system.api.http.get(pictures["thumbnails"])).text
    assert vtt == "WEBVTT\n\n00:00:00.000 --> 00:00:00.040\nsprite-0.jpg#xywh=0,0,160,90\n"


async def test_every_picture_is_a_verified_file_of_the_stream(system: System, clips: Clips) -> None:
    finished = await system.process(clips.slow)
    stored = {name.split("/", 2)[2] for name in system.api.stored if name.startswith("output/")}
    assert {"poster.jpg", "thumbnail.jpg", "thumbnails.vtt", "sprite-0.jpg"} <= stored
    assert finished.job["result"]["file_count"] == len(stored)
    assert not [name for name in system.api.stored if name.startswith("work/")]
