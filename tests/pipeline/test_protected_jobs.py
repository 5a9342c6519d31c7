"""Whole jobs whose streams are encrypted: they play with their keys, and the keys are nowhere."""

from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from uuid import UUID

import av
import pytest
from clips import BUNNY, Clips
from factories import run_sql
from playback import dash_tracks, ffmpeg_decodes, hls_tracks
from system import Finished, System

from streamforge.keys import FILE_NAME, Keys
from streamforge.settings import Settings

SCHEMES = ["aes-128", "cbcs"]


@pytest.fixture
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    protection = settings.protection.model_copy(update={"scheme": request.param})
    return settings.model_copy(update={"protection": protection})


with_each_scheme = pytest.mark.parametrize("settings", SCHEMES, indirect=True)


def spellings(secret: bytes) -> list[bytes]:
    texts = [secret.hex(), secret.hex().upper(), b64encode(secret).decode(), urlsafe_b64encode(secret).decode()]
    return [secret, *(text.rstrip("=").encode() for text in texts)]


@with_each_scheme
async def test_neither_keys_nor_their_secret_are_written_anywhere(
    system: System, clips: Clips, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    finished = await system.process(clips.small)
    assert finished.job["status"] == "completed", finished.job["error"]
    keys = Keys(settings).known(UUID(finished.id))
    secret_file = settings.data_dir / FILE_NAME
    told = await everything_told(system, finished)
    told["logs"] = "".join(capfd.readouterr()).encode()
    for file in settings.data_dir.rglob("*"):
        if file.is_file() and file != secret_file:
            told[str(file)] = file.read_bytes()
    for secret in (keys["video"].value, keys["audio"].value, secret_file.read_bytes()):
        for spelling in spellings(secret):
            assert [place for place, content in told.items() if spelling in content] == []
    # The search finds what is there: key ids are told.
    found = [place for place, content in told.items() if keys["video"].key_id.encode() in content]
    assert "history" in found
    assert any(place.endswith("144p/index.m3u8") for place in found)


async def everything_told(system: System, finished: Finished) -> dict[str, bytes]:
    """By place: the workflow's history, both tables, the stream of events and the job itself."""
    history = await (await system.workflow(finished.id)).fetch_history()
    dsn = system.api.settings.database.dsn
    assert dsn is not None
    rows = [
        str(dict(row))
        for table in ("jobs", "progress_events")
        for row in await run_sql(dsn, f"SELECT {table}::text AS row FROM {table}")
    ]
    return {
        "history": b"".join(event.SerializeToString() for event in history.events),
        "tables": "".join(rows).encode(),
        "events": str(finished.frames).encode(),
        "job": str(finished.job).encode(),
    }


@pytest.mark.parametrize("settings", ["aes-128"], indirect=True)
async def test_aes_128_plays_from_the_served_playlists_and_has_no_dash(system: System, clips: Clips) -> None:
    """Through ffmpeg's own HLS client."""
    finished = await system.process(clips.slow)
    assert finished.job["status"] == "completed", finished.job["error"]
    playback = finished.job["playback"]
    assert playback["dash"] is None
    assert not (system.output(finished.id) / "manifest.mpd").exists()
    assert any("no DASH" in warning for warning in finished.job["result"]["warnings"])
    assert await ffmpeg_decodes(system.api.url + playback["hls"]) == {"frames": 175}
    [segment, *_] = [url for url, _, _ in hls_tracks(system.output(finished.id) / "master.m3u8")["180p"].segments]
    assert b"moof" not in Path(segment).read_bytes()


@pytest.mark.parametrize("settings", ["aes-128"], indirect=True)
async def test_what_is_copied_is_encrypted_too(system: System) -> None:
    finished = await system.process(BUNNY, profile="remux")
    assert finished.job["status"] == "completed", finished.job["error"]
    assert await ffmpeg_decodes(system.api.url + finished.job["playback"]["hls"]) == {"frames": 132}
    segments = list((system.output(finished.id) / "720p").glob("*.m4s"))
    assert segments
    assert not [segment for segment in segments if b"moof" in segment.read_bytes()]


@pytest.mark.parametrize("settings", ["cbcs"], indirect=True)
async def test_cbcs_plays_with_the_keys_that_the_api_serves(system: System, clips: Clips, tmp_path: Path) -> None:
    finished = await system.process(clips.slow)
    assert finished.job["status"] == "completed", finished.job["error"]
    output = system.output(finished.id)
    assert [frame.event for frame in finished.frames].count("playable") >= 1
    for tracks in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        assert set(tracks) == {"180p", "audio-0"}
        for name, track in tracks.items():
            film = tmp_path / f"{name}.mp4"
            parts = [track.init, *(url for url, _, _ in track.segments)]
            film.write_bytes(b"".join(Path(part).read_bytes() for part in parts))
            key_id = next(iter(key_ids(output / name / "index.m3u8")))
            key = (await system.api.http.get(f"/keys/{finished.id}/{key_id}")).content
            with av.open(str(film), options={"decryption_key": key.hex()}) as container:
                frames = sum(1 for _ in container.decode(container.streams[0]))
            assert frames == 175 if name == "180p" else frames > 600


def key_ids(playlist: Path) -> set[str]:
    lines = [line for line in playlist.read_text(encoding="utf-8").splitlines() if line.startswith("#EXT-X-KEY")]
    return {line.partition('URI="')[2].partition('"')[0].rpartition("/")[2] for line in lines}
