"""Each profile of the shipped configuration makes the stream that its name promises."""

from pathlib import Path

import av
import pytest
from clips import Clips, ffmpeg, picture
from playback import dash_tracks, hls_tracks, play
from system import System

from streamforge.settings import Settings

CODECS = {"h264": "avc1.", "hevc": "hvc1.", "av1": "av01."}


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The rungs of a small ladder are enough to see what a profile does."""
    changed = settings.transcode.model_copy(update={"heights": [180, 120]})
    return settings.model_copy(update={"transcode": changed})


@pytest.mark.parametrize(
    ("profile", "ladder"),
    [
        ("h264", {"180p": "h264", "120p": "h264"}),
        ("hevc", {"180p": "hevc", "120p": "hevc"}),
        ("av1", {"180p": "av1", "120p": "av1"}),
        ("mixed", {"180p-h264": "h264", "120p-h264": "h264", "180p-av1": "av1", "120p-av1": "av1"}),
    ],
)
async def test_every_rendition_of_a_profile_decodes_to_the_whole_film(
    system: System, clips: Clips, tmp_path: Path, profile: str, ladder: dict[str, str]
) -> None:
    finished = await system.process(clips.tiny_bunny, profile=profile)
    assert finished.job["status"] == "completed", finished.job["error_message"]
    assert finished.job["profile"] == profile
    assert {r["name"]: r["codec"] for r in finished.job["renditions"]} == ladder
    assert all(r["vmaf"]["mean"] > 40 for r in finished.job["renditions"])
    output = system.output(finished.id)
    for tracks in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        assert set(tracks) == {*ladder, "audio-0", "audio-0-surround"}
        for name, codec in ladder.items():
            codecs = tracks[name].attributes.get("CODECS") or tracks[name].attributes["codecs"]
            assert codecs.startswith(CODECS[codec])
            assert play(tracks[name], tmp_path).frame_count == 132


async def test_a_mezzanine_is_the_source_in_its_own_size_and_nearly_without_loss(system: System, clips: Clips) -> None:
    finished = await system.process(clips.tiny_bunny, profile="mezzanine")
    [only] = finished.job["renditions"]
    assert (only["name"], only["width"], only["height"]) == ("180p", 320, 180)
    assert only["vmaf"]["mean"] > 97


@pytest.mark.parametrize("clip", ["sound_only", "two_languages"])
async def test_a_stream_of_sound_is_made_of_sound_and_of_film(
    system: System, clips: Clips, clip: str, tmp_path: Path
) -> None:
    finished = await system.process(getattr(clips, clip), profile="audio")
    assert finished.job["status"] == "completed", finished.job["error_message"]
    assert finished.job["renditions"] == []
    assert finished.progress == sorted(finished.progress)
    output = system.output(finished.id)
    tracks = hls_tracks(output / "master.m3u8")
    assert set(tracks) == set(dash_tracks(output / "manifest.mpd"))
    assert all(name.startswith("audio-") for name in tracks)
    for track in tracks.values():
        played = play(track, tmp_path)
        assert played.samples / played.rate == pytest.approx(finished.job["result"]["duration"], abs=0.2)


async def test_a_silent_film_has_nothing_for_a_stream_of_sound(system: System, clips: Clips) -> None:
    finished = await system.process(clips.variable_rate, profile="audio")
    assert finished.job["error"]["code"] == "input.no_audio"


async def test_hdr_is_shown_as_each_codec_can_and_what_was_left_out_is_told(
    system: System, clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "hdr.mkv"
    second = ["-map", "0", "-map", "1", "-c:v:0", "copy", "-c:v:1", "mpeg4", "-disposition:v:0", "default"]
    ffmpeg("-i", clips.hdr10, *picture("160x90", 25, 2), *second, path)
    finished = await system.process(path, profile="mixed")
    assert finished.job["status"] == "completed", finished.job["error_message"]
    [warning] = finished.job["result"]["warnings"]
    assert warning == "The file has 2 video streams; number 0 (320×180) is used, number 1 (160×90) left out."
    output = system.output(finished.id)
    tracks = hls_tracks(output / "master.m3u8")
    assert {name: track.attributes["VIDEO-RANGE"] for name, track in tracks.items()} == {
        "180p-h264": "SDR",
        "120p-h264": "SDR",
        "180p-av1": "PQ",
        "120p-av1": "PQ",
    }
    assert "urn:mpeg:mpegB:cicp:TransferCharacteristics" in (output / "manifest.mpd").read_text()
    for name, transfer, pixel_format in [("180p-h264", 1, "yuv420p"), ("180p-av1", 16, "yuv420p10le")]:
        assert play(tracks[name], tmp_path).frame_count == 50
        with av.open(str(tmp_path / f"{name}.mp4")) as container:
            frame = next(container.decode(video=0))
        assert (int(frame.color_trc), frame.format.name) == (transfer, pixel_format)
