"""A rendition as one file: the very pictures and sounds of the stream at the very same times, with the index in front."""

from fractions import Fraction
from pathlib import Path

import av
import pytest
from clips import Clips
from encoding import encode, encode_audio
from playback import decode

from streamforge.contracts import tasks
from streamforge.contracts.tasks import ProgressiveTask
from streamforge.media.cmaf.boxes import boxes
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

QUICK_IN = {
    "h264": {"codecs": ["h264"], "presets": {"h264": "ultrafast"}},
    "hevc": {"codecs": ["hevc"], "presets": {"hevc": "ultrafast"}},
    "av1": {"codecs": ["av1"], "presets": {"av1": 13}},
}


async def remuxed(
    children: MediaChildren, clip: Path, tmp_path: Path, codec: str = "h264", sound: bool = False
) -> tuple[Path, Path, Path | None]:
    """The download of the best rendition, and what it was made of: picture, and sound if there is to be some."""
    transcode = QUICK_IN[codec] | {"segment_seconds": 2, "max_chunk_seconds": 4}
    settings = Settings.model_validate({"transcode": transcode, "validation": {"enabled": False}})
    encoded = await encode(children, clip, tmp_path / "out", settings)
    name = encoded.plan.renditions[0].name
    tracks, frames = [encoded.file(name, tmp_path)], [encoded.tracks[name].frames]
    if sound:
        (tmp_path / "sound").mkdir()
        track, path = await encode_audio(children, clip, tmp_path / "sound")
        tracks, frames = [*tracks, path], [*frames, track.frames]
    target = tmp_path / "download.mp4"
    task = ProgressiveTask(tracks=tracks, frames=frames, seconds=encoded.source.duration, target=target)
    assert (await children.run(tasks.PROGRESSIVE, task)).packets == sum(frames)
    return target, tracks[0], tracks[1] if sound else None


def kinds(path: Path) -> list[str]:
    return [kind for kind, _, _ in boxes(path.read_bytes())]


def sounds(path: Path) -> list[tuple[float, bytes]]:
    """The samples of each decoded frame, and when they are heard."""
    with av.open(str(path)) as container:
        return [
            (float(Fraction(frame.pts or 0) * (frame.time_base or 0)), frame.to_ndarray().tobytes())
            for frame in container.decode(container.streams.audio[0])
        ]


@pytest.mark.parametrize("clip", ["slow", "variable_rate", "one_frame", "slide_show", "transport_stream", "turned"])
async def test_every_picture_is_there_at_its_time(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str
) -> None:
    download, stream, _ = await remuxed(children, getattr(clips, clip), tmp_path)
    got, meant = decode(download), decode(stream)
    assert got.times == meant.times
    assert got.times[0] == 0
    assert got.key_times == meant.key_times
    assert got.sizes == meant.sizes


@pytest.mark.parametrize("clip", ["slow", "late_sound", "two_languages", "small"])
async def test_sound_is_in_step_with_the_picture(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str
) -> None:
    download, video, audio = await remuxed(children, getattr(clips, clip), tmp_path, sound=True)
    assert decode(download).times == decode(video).times
    assert audio is not None
    assert sounds(download) == sounds(audio), "bit by bit, from the first sample on"


async def test_it_is_as_long_as_the_stream(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    download, _, _ = await remuxed(children, clips.small_bunny, tmp_path, sound=True)
    with av.open(str(download)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert video.start_time == 0
        assert float((video.duration or 0) * (video.time_base or 0)) == pytest.approx(5.28, abs=0.001)
        assert float((audio.duration or 0) * (audio.time_base or 0)) == pytest.approx(5.28, abs=0.05)
        assert (container.duration or 0) / av.time_base == pytest.approx(5.28, abs=0.05)


@pytest.mark.parametrize(("codec", "tag"), [("h264", "avc1"), ("hevc", "hvc1"), ("av1", "av01")])
async def test_the_index_comes_first_and_players_know_the_codec(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str, tag: str
) -> None:
    download, stream, _ = await remuxed(children, clips.slow, tmp_path, codec, sound=True)
    assert [kind for kind in kinds(download) if kind != "free"] == ["ftyp", "moov", "mdat"]
    with av.open(str(download)) as container:
        assert container.streams.video[0].codec_context.codec_tag == tag
    assert decode(download).times == decode(stream).times
    lost = sum(end - begin for kind, begin, end in boxes(download.read_bytes()) if kind == "free")
    assert lost < 20_000


async def test_the_same_stream_gives_the_same_bytes(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    files = []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        files.append((await remuxed(children, clips.small, tmp_path / name, sound=True))[0])
    assert files[0].read_bytes() == files[1].read_bytes()
