"""Each rendition as one file, where a job's settings ask for it."""

import asyncio
import io
from pathlib import Path

import av
import httpx
import pytest
from clips import Clips
from playback import decode, hls_tracks, play
from system import System

from streamforge.media.cmaf.boxes import boxes
from streamforge.settings import DownloadsSettings, Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    small = {"small": {"transcode": {"heights": [180, 144, 120, 90]}}}
    return settings.model_copy(
        update={"downloads": DownloadsSettings(enabled=True), "profiles": settings.profiles | small}
    )


async def test_a_film_as_one_file(system: System, clips: Clips, tmp_path: Path) -> None:
    """The very pictures of the stream, the sound with them, and the index in front."""
    finished = await system.process(clips.slow, name="films/holiday in Jülich.mp4")
    assert finished.job["status"] == "completed", finished.job["error"]
    assert "Putting 180p together for download" in [f.data.get("message") for f in finished.frames]
    [download] = finished.job["result"]["downloads"]
    assert (download["rendition"], download["path"]) == ("180p", f"/media/{finished.id}/downloads/180p.mp4")
    response = await system.api.http.get(download["path"])
    assert len(response.content) == download["size_bytes"]
    kinds = [kind for kind, _, _ in boxes(response.content)]
    assert [kind for kind in kinds if kind != "free"] == ["ftyp", "moov", "mdat"]
    (tmp_path / "download.mp4").write_bytes(response.content)
    stream = play(hls_tracks(system.output(finished.id) / "master.m3u8")["180p"], tmp_path)
    assert decode(tmp_path / "download.mp4").times == stream.times
    with av.open(io.BytesIO(response.content)) as container:
        assert [each.type for each in container.streams] == ["video", "audio"]
    stored = [name for name in system.api.stored if name.startswith("output/")]
    assert finished.job["result"]["file_count"] == len(stored)
    worker_folder = system.worker_scratch
    assert [path.name for path in worker_folder.iterdir()] == ["in-use"]
    await assert_is_saved_under_its_name(system.api.http, download["path"])
    await assert_can_be_had_in_pieces(system.api.http, download["path"], response.content)


async def assert_is_saved_under_its_name(http: httpx.AsyncClient, path: str) -> None:
    assert "content-disposition" not in (await http.head(path)).headers, "players are not asked to save it"
    saved = await http.head(path, params={"download": "1"})
    assert saved.headers["content-disposition"] == ("attachment; filename*=UTF-8''holiday%20in%20J%C3%BClich-180p.mp4")


async def assert_can_be_had_in_pieces(http: httpx.AsyncClient, path: str, whole: bytes) -> None:
    half = len(whole) // 2
    first = await http.get(path, headers={"Range": f"bytes=0-{half - 1}"})
    rest = await http.get(path, headers={"Range": f"bytes={half}-"})
    assert (first.status_code, rest.status_code) == (206, 206)
    assert first.content + rest.content == whole


async def test_a_silent_film_in_several_renditions(system: System, tmp_path: Path, clips: Clips) -> None:
    """Over HTTP into a player that seeks in it."""
    finished = await system.process(clips.silent, name="silent.mp4", profile="small")
    downloads = finished.job["result"]["downloads"]
    assert [each["rendition"] for each in downloads] == ["180p", "144p", "120p", "90p"]
    for each in downloads:
        played = await asyncio.to_thread(decode, system.api.url + each["path"])
        assert played.frame_count == 125
        assert min(size[1] for size in played.sizes) == int(each["rendition"].removesuffix("p"))
