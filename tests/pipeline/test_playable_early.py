"""A stream can be watched while the rest of it is still encoded, and nobody ever sees half of anything."""

import asyncio
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from clips import BOTTLES, Clips
from playback import decode
from system import System

from streamforge.settings import Presets, Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One chunk after the other, slowly enough to look on."""
    return settings.model_copy(
        update={
            "transcode": settings.transcode.model_copy(
                update={"presets": Presets(h264="slow"), "heights": [360, 180, 120]}
            ),
            "worker": settings.worker.model_copy(update={"max_concurrent_media": 1}),
        }
    )


async def first_playable(system: System, job_id: str) -> dict[str, Any]:
    async with system.api.stream(job_id) as frames:
        async for frame in frames:
            if frame.event == "playable":
                return dict(frame.data)
    raise AssertionError("the stream ended without becoming playable")


async def fetched(system: System, url: str) -> str:
    response = await system.api.http.get(url)
    assert response.status_code == 200, url
    assert response.headers["cache-control"].startswith("no-cache")
    return response.text


def variants(master: str) -> list[str]:
    return [line for line in master.splitlines() if line and not line.startswith("#")]


async def listed_segments(http: httpx.AsyncClient, playlist_url: str) -> list[str]:
    lines = (await http.get(playlist_url)).text.splitlines()
    return [line for line in lines if line.endswith(".m4s")]


async def test_the_smallest_rendition_plays_while_the_rest_is_encoded(system: System, tmp_path: Path) -> None:
    job_id = await system.api.post_ok_with(BOTTLES.read_bytes())
    event = await first_playable(system, job_id)
    job = await system.api.job(job_id)
    assert (job["status"], job["stage"]) == ("processing", "transcoding")
    assert event["details"]["renditions"] == ["120p"]
    playback = job["playback"]
    assert isinstance(playback, dict)
    master = await fetched(system, playback["hls"])
    assert variants(master) == ["360p/growing.m3u8", "180p/growing.m3u8", "120p/index.m3u8"]
    base = playback["hls"].rsplit("/", 1)[0]
    playlist = await fetched(system, f"{base}/120p/index.m3u8")
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in playlist
    assert "#EXT-X-ENDLIST" not in playlist
    others = await fetched(system, f"{base}/360p/growing.m3u8")
    assert 'URI="../120p/init.mp4"' in others
    assert "../120p/0.m4s" in others
    assert 'type="dynamic"' in await fetched(system, playback["dash"])
    # What is listed is whole: the first seconds decode, and nothing is listed that is not there.
    parts = [f"{base}/120p/init.mp4"]
    parts += [f"{base}/120p/{name}" for name in await listed_segments(system.api.http, f"{base}/120p/index.m3u8")]
    (tmp_path / "so-far.mp4").write_bytes(b"".join([(await system.api.http.get(part)).content for part in parts]))
    assert decode(tmp_path / "so-far.mp4").frame_count > 100
    await system.api.http.delete(f"/jobs/{job_id}")
    await system.api.whole_stream(job_id)
    assert (await system.api.job(job_id))["playback"] is None


async def test_the_address_stays_the_same_and_the_list_only_grows(system: System, clips: Clips) -> None:
    job_id = await system.api.post_ok_with(clips.slow.read_bytes())
    await first_playable(system, job_id)
    playback = (await system.api.job(job_id))["playback"]
    assert isinstance(playback, dict)
    playlists = [playback["hls"].replace("master.m3u8", name) for name in ("120p/index.m3u8", "180p/growing.m3u8")]
    over = asyncio.create_task(system.api.whole_stream(job_id))
    seen: dict[str, list[str]] = {playlist: [] for playlist in playlists}
    while not over.done():
        for playlist, before in seen.items():
            found = await listed_segments(system.api.http, playlist)
            assert found[: len(before)] == before
            for name in set(found) - set(before):
                assert (await system.api.http.get(urljoin(playlist, name))).status_code == 200
            seen[playlist] = found
    job = await system.api.job(job_id)
    assert job["status"] == "completed"
    changed = {"poster": f"/media/{job_id}/poster.jpg", "thumbnails": f"/media/{job_id}/thumbnails.vtt"}
    assert job["playback"] == playback | changed
    for playlist, before in seen.items():
        final = await fetched(system, playlist)
        assert "#EXT-X-PLAYLIST-TYPE:VOD" in final
        assert final.endswith("#EXT-X-ENDLIST\n")
        assert (await listed_segments(system.api.http, playlist))[: len(before)] == before
    assert variants(await fetched(system, playback["hls"])) == ["180p/index.m3u8", "120p/index.m3u8"]
    assert 'type="static"' in await fetched(system, playback["dash"])


async def test_sound_is_there_from_the_first_playable_second(system: System, clips: Clips) -> None:
    job_id = await system.api.post_ok_with(clips.slow.read_bytes())
    await first_playable(system, job_id)
    playback = (await system.api.job(job_id))["playback"]
    assert isinstance(playback, dict)
    assert 'URI="audio-0/index.m3u8"' in await fetched(system, playback["hls"])
    assert await listed_segments(system.api.http, playback["hls"].replace("master", "audio-0/index"))
    await system.api.whole_stream(job_id)
