"""A video goes in, a verified stream comes out, and the stream of events tells the truth on the way."""

import asyncio
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import pytest
from clips import BOTTLES, BUNNY, Clips
from playback import Track, dash_tracks, decode, ffmpeg_decodes, hls_tracks, play, play_segment
from system import Finished, System

from streamforge.settings import Settings, StorageSettings
from streamforge.verification import verify

STAGES = ["uploading", "transcoding", "validation", "packaging", "storage", "completed"]


def assert_told_truthfully(finished: Finished) -> None:
    """The wire contract of a stream: status first, done last, ids and progress that only go up."""
    events = [frame.event for frame in finished.frames]
    assert events[0] == "status"
    assert events[-1] == "done"
    assert finished.frames[-1].data == {}
    assert set(events[1:-1]) <= {"progress", "playable"}
    ids = [frame.id for frame in finished.frames[1:-1]]
    assert [later - earlier for earlier, later in pairwise(ids) if earlier and later] == [1] * (len(ids) - 1)
    assert finished.progress == sorted(finished.progress)


def assert_plays(tracks: dict[str, Track], folder: Path, frames: int, seconds: float) -> None:
    """Every rendition decodes to the same frames at the same times, and every segment stands on its own."""
    video = {name: play(track, folder) for name, track in tracks.items() if not name.startswith("audio")}
    reference = next(iter(video.values()))
    for name, played in video.items():
        assert played.frame_count == frames
        assert played.times == pytest.approx(reference.times, abs=1e-6)
        assert played.key_times == pytest.approx(reference.key_times, abs=1e-6)
        starts = [start for _, start, _ in tracks[name].segments]
        assert starts == pytest.approx([time for time in played.key_times if round(time, 3) % 4 < 0.1], abs=0.1)
        last_url, last_start, last_duration = tracks[name].segments[-1]
        assert last_start + last_duration == pytest.approx(seconds, abs=0.1)
        last = play_segment(tracks[name], len(tracks[name].segments) - 1, folder)
        assert last.times[0] == pytest.approx(last_start, abs=1e-3), last_url
    for name in tracks.keys() - video.keys():
        played = play(tracks[name], folder)
        assert played.times[0] == 0
        assert played.samples / played.rate == pytest.approx(seconds, abs=0.2)


async def assert_told_of_chunks(system: System, finished: Finished) -> None:
    """Who encoded what, and what it came to; the addresses of segments are those of the stream."""
    page = (await system.api.http.get(f"/jobs/{finished.id}/chunks")).raise_for_status().json()
    [worker] = (await system.api.http.get("/workers")).raise_for_status().json()["workers"]
    assert [(chunk["state"], chunk["start"], chunk["end"]) for chunk in page["chunks"]] == [("done", 0, None)]
    parts = page["chunks"][0]["parts"]
    assert sorted(name for part in parts for name in part["renditions"]) == ["360p", "480p", "720p"]
    for part in parts:
        assert (part["state"], part["attempts"], part["worker"], part["frames"]) == ("done", 1, worker["id"], 132)
        assert part["vmaf"].keys() == part["segments"].keys() == set(part["renditions"])
        assert part["seconds"] > 0
        sizes = [(system.storage / path.replace("/media/", "output/")).stat().st_size
                 for paths in part["segments"].values() for path in paths]  # fmt: skip
        assert sum(sizes) == part["bytes"]


async def test_a_film(system: System, tmp_path: Path) -> None:
    finished = await system.process(BUNNY, name="bunny.mp4")
    assert_told_truthfully(finished)
    assert finished.stages == STAGES
    job = finished.job
    assert (job["status"], job["stage"], job["progress"]) == ("completed", "completed", 100)
    assert (job["key"], job["bucket"]) == ("bunny.mp4", "input")
    assert [(r["name"], r["width"], r["height"], r["codec"]) for r in job["renditions"]] == [
        ("720p", 1280, 720, "h264"),
        ("480p", 854, 480, "h264"),
        ("360p", 640, 360, "h264"),
    ]
    for rendition in job["renditions"]:
        assert rendition["progress"] == 100
        assert rendition["bitrate"] > 100_000
        vmaf = rendition["vmaf"]
        assert 50 < vmaf["percentile_1"] <= vmaf["worst_5_seconds"]["mean"] <= vmaf["mean"] <= 100
        assert (vmaf["frames"], vmaf["frames_scored"]) == (132, 19)
        assert 0 < vmaf["margin"] < 2
    await assert_told_of_chunks(system, finished)
    output = system.output(finished.id)
    for tracks in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        assert set(tracks) == {"720p", "480p", "360p", "audio-0", "audio-0-surround"}
        assert_plays(tracks, tmp_path, frames=132, seconds=5.28)


async def test_the_manifests_play_as_they_are_served(system: System, clips: Clips) -> None:
    """Over HTTP, through demuxers that were not written here: PyAV's for HLS, ffmpeg's own for DASH."""
    finished = await system.process(clips.slow)
    playback = finished.job["playback"]
    assert playback == {
        "hls": f"/media/{finished.id}/master.m3u8",
        "dash": f"/media/{finished.id}/manifest.mpd",
        "poster": f"/media/{finished.id}/poster.jpg",
        "thumbnails": f"/media/{finished.id}/thumbnails.vtt",
        "captions": [],
        "license": None,
        "expires_at": None,
    }
    played = await ffmpeg_decodes(system.api.url + playback["dash"])
    assert played == {"frames": 175}
    # In a thread: the server runs in this one.
    assert (await asyncio.to_thread(decode, system.api.url + playback["hls"])).frame_count == 175


@pytest.mark.parametrize(
    ("clip", "frames", "seconds", "tracks"),
    [
        ("webm_without_duration", 180, 6.0, {"240p"}),
        pytest.param("silent", 125, 5.0, {"180p"}, marks=pytest.mark.slow),
        pytest.param("slow", 175, 14.0, {"180p", "audio-0"}, marks=pytest.mark.slow),
        ("variable_rate", 154, 12.0, {"180p"}),
        pytest.param("two_languages", 125, 5.0, {"180p", "audio-0", "audio-1"}, marks=pytest.mark.slow),
        ("surround", 125, 5.0, {"180p", "audio-0", "audio-1", "audio-2", "audio-0-surround", "audio-2-surround"}),
        pytest.param("transport_stream", 350, 14.0, {"180p", "audio-0"}, marks=pytest.mark.slow),
        ("one_frame", 1, 0.04, {"180p"}),
        ("slide_show", 50 + 19, 21.0, {"180p"}),
    ],
)
async def test_videos_of_very_different_kinds(
    system: System, clips: Clips, tmp_path: Path, clip: str, frames: int, seconds: float, tracks: set[str]
) -> None:
    path: Path = getattr(clips, clip)
    finished = await system.process(path, name=path.name)
    assert finished.job["status"] == "completed", finished.job["error"]
    assert_told_truthfully(finished)
    assert finished.stages == STAGES
    output = system.output(finished.id)
    for found in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        assert set(found) == tracks
        assert_plays(found, tmp_path, frames, seconds)


async def test_the_result_tells_of_every_audio_rendition(system: System, clips: Clips) -> None:
    finished = await system.process(clips.surround, name="surround.mkv")
    audio = finished.job["result"]["audio"]
    keys = ("name", "language", "title", "role", "default", "channels", "codec", "sample_rate", "gain")
    assert [tuple(track[key] for key in keys) for track in audio] == [
        ("audio-0", "en", None, "programme", True, 2, "aac", 48_000, None),
        ("audio-1", "de", "Regie", "commentary", False, 2, "aac", 44_100, None),
        ("audio-2", "fr", None, "programme", False, 2, "aac", 48_000, None),
        ("audio-0-surround", "en", None, "programme", True, 6, "aac", 48_000, None),
        ("audio-2-surround", "fr", None, "programme", False, 6, "aac", 48_000, None),
    ]
    for track in audio:
        assert -25 < track["loudness"]["integrated"] < -10, track
        assert -25 < track["loudness"]["true_peak"] < -5, track
        assert track["bitrate"] > 30_000


async def test_audio_tracks_that_are_left_out_are_told(system: System, clips: Clips) -> None:
    finished = await system.process(clips.many_tracks, name="many.mkv")
    result = finished.job["result"]
    assert result["warnings"] == [
        "The file has 18 audio tracks; the first 16 are kept, 2 are left out.",
        "The audio track number 3 is left out: none of it can be played.",
    ]
    assert [track["name"] for track in result["audio"]] == [f"audio-{n}" for n in range(16) if n != 2]


async def test_a_camera_film_in_several_chunks(system: System, tmp_path: Path) -> None:
    finished = await system.process(BOTTLES)
    assert finished.job["status"] == "completed", finished.job["error"]
    assert_told_truthfully(finished)
    assert len(finished.progress) > 10
    output = system.output(finished.id)
    (source_frames,) = {decode(BOTTLES).frame_count}
    assert_plays(hls_tracks(output / "master.m3u8"), tmp_path, source_frames, 39.9)


async def test_what_is_left_is_the_original_the_stream_and_nothing_else(system: System, clips: Clips) -> None:
    finished = await system.process(clips.small)
    names = {name.split("/")[0] for name in system.api.stored}
    assert names == {"input", "output"}
    assert (system.storage / "input" / finished.id / "original").read_bytes() == clips.small.read_bytes()
    assert finished.job["result"]["file_count"] == len([n for n in system.api.stored if n.startswith("output/")])
    assert list((system.api.settings.data_dir / "uploads").iterdir()) == []
    worker_folder = system.worker_scratch
    assert [path.name for path in worker_folder.iterdir()] == ["in-use"]


async def test_the_run_is_readable_in_temporal(system: System, clips: Clips) -> None:
    finished = await system.process(clips.slow, name="holiday.mp4")
    handle = await system.workflow(finished.id)
    description = await handle.describe()
    assert handle.id.startswith("video-processing-holiday.mp4-")
    assert (description.workflow_type, description.task_queue) == ("ProcessVideo", "video-processing")
    found = {pair.key.name: pair.value for pair in description.typed_search_attributes}
    assert {name: value for name, value in found.items() if name.startswith("StreamForge")} == {
        "StreamForgeJobId": finished.id,
        "StreamForgeKey": "holiday.mp4",
        "StreamForgeStage": "completed",
    }
    history = await handle.fetch_history()
    started = [e.activity_task_scheduled_event_attributes.activity_type.name for e in history.events]
    assert [name for name in started if name and name != "publish_playable"] == [
        "upload", "probe", "transcode_chunk", "transcode_audio", "transcode_chunk",
        "validate", "pictures", "package", "store", "discard", "record_outcome",
    ]  # fmt: skip
    assert started.count("publish_playable") == 2
    summaries = [e.user_metadata.summary.data.decode() for e in history.events if e.user_metadata.summary.data]
    assert '"Chunk 1 of 2 (0–4 s) → 180p"' in summaries


class TestOddPlaces:
    """A name is a name: to no part of the work it may be a URI, a filter graph or a pattern of file names."""

    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Settings:
        odd = tmp_path / "d\u00e4ta #1?x=%20%d 'a',\"b\":c;[d]\\e"
        return settings.model_copy(
            update={"data_dir": odd, "storage": StorageSettings(url=f"file://{quote(str(odd))}/s")}
        )

    async def test_a_data_folder_may_have_any_name(self, system: System, settings: Settings, clips: Clips) -> None:
        finished = await system.process(clips.small_bunny)
        assert finished.job["status"] == "completed"
        assert finished.job["result"]["warnings"] == []
        assert (await verify(str(settings.data_dir / "s" / "output" / finished.id))).problems == []
