"""On request a film that already is what a rendition should be is copied, not encoded."""

from pathlib import Path

import av
import pytest
from clips import BUNNY, Clips
from playback import dash_tracks, hls_tracks, play
from system import System


async def test_a_film_that_fits_is_copied_packet_by_packet(system: System, tmp_path: Path) -> None:
    finished = await system.process(BUNNY, profile="remux")
    assert finished.job["status"] == "completed", finished.job["error_message"]
    [only] = finished.job["renditions"]
    assert (only["name"], only["width"], only["height"], only["codec"]) == ("720p", 1280, 720, "h264")
    assert only["bitrate"] == pytest.approx(video_bits(BUNNY) / 5.28, rel=0.01)
    assert only["vmaf"] is None
    assert finished.job["result"]["warnings"] == []
    assert finished.progress == sorted(finished.progress)
    assert {"Copying 1280×720 to 720p", "Copying 720p"} <= {
        frame.data["message"] for frame in finished.frames if frame.event == "progress"
    }
    output = system.output(finished.id)
    for tracks in (hls_tracks(output / "master.m3u8"), dash_tracks(output / "manifest.mpd")):
        assert set(tracks) == {"720p", "audio-0", "audio-0-surround"}
        assert play(tracks["720p"], tmp_path).times == pytest.approx([n / 25 for n in range(132)], abs=1e-4)
        assert play(tracks["audio-0"], tmp_path).times[0] == 0
    assert "#EXT-X-TARGETDURATION:5\n" in (output / "720p" / "index.m3u8").read_text()
    assert 'minBufferTime="PT5.280S"' in (output / "manifest.mpd").read_text()


def video_bits(path: Path) -> int:
    with av.open(str(path)) as container:
        return 8 * sum(packet.size for packet in container.demux(video=0))


async def test_a_film_that_does_not_fit_is_encoded_with_a_warning(system: System, clips: Clips) -> None:
    finished = await system.process(clips.turned, profile="remux")
    assert finished.job["status"] == "completed", finished.job["error_message"]
    assert finished.job["renditions"][0]["vmaf"] is not None
    assert finished.job["result"]["warnings"] == ["The video was encoded, not copied: it has to be turned by 270°."]


async def test_a_film_that_turns_out_damaged_while_it_is_copied_is_encoded_instead(
    system: System, clips: Clips, tmp_path: Path
) -> None:
    data = bytearray(clips.copyable.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 300] = bytes(300)
    finished = await system.process(bytes(data), profile="remux")
    assert finished.job["status"] == "completed", finished.job["error_message"]
    assert {r["name"] for r in finished.job["renditions"]} == {"180p"}
    [copied] = finished.job["result"]["warnings"]
    assert copied.startswith("The video was encoded, not copied: it is damaged")
    assert finished.progress == sorted(finished.progress)
    played = play(hls_tracks(system.output(finished.id) / "master.m3u8")["180p"], tmp_path)
    assert played.times[-1] == pytest.approx(14, abs=0.1)
    assert played.key_times == pytest.approx(range(0, 14, 2), abs=0.3)
