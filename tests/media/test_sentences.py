"""What a user is told of a file is so: each sentence where it is true, and not where it is false."""

from pathlib import Path

import pytest
from clips import X264, Clips, ffmpeg, picture, tone
from test_probe import probe, written
from texts import keep_subtitles

from streamforge.errors import NoVideoStream, TruncatedSource, UndecodableSource
from streamforge.media.worker.children import MediaChildren


async def test_a_header_that_is_damaged_is_not_called_cut_off(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    data = bytearray(clips.small.read_bytes())
    at = data.index(b"stsd") + 4
    data[at : at + 56] = b"\xff" * 56
    with pytest.raises(UndecodableSource, match="damaged: its header cannot be read"):
        await probe(children, written(tmp_path, bytes(data)))


@pytest.mark.parametrize("container", ["mp4", "mkv"])
async def test_a_header_that_is_missing_is_called_cut_off(
    children: MediaChildren, tmp_path: Path, container: str
) -> None:
    path = tmp_path / f"whole.{container}"
    ffmpeg(*picture(), *X264, path)
    with pytest.raises(TruncatedSource, match="header or its index is missing"):
        await probe(children, written(tmp_path, path.read_bytes()[:200]))


async def test_a_film_without_tracks_holds_nothing(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    data = clips.small.read_bytes().replace(b"trak", b"free")
    with pytest.raises(NoVideoStream, match="nor anything else"):
        await probe(children, written(tmp_path, data))


async def test_where_a_film_stops_is_counted_from_its_first_picture(children: MediaChildren, tmp_path: Path) -> None:
    """Its clock begins at an hour."""
    path = tmp_path / "hour.ts"
    ffmpeg(*picture("96x64", 25, 10), *X264, "-output_ts_offset", "3600", path)
    whole = path.read_bytes()
    half = whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2)
    with pytest.raises(TruncatedSource, match=r"stops at [3-6]\.\d s: the last (49|5\d) % of the file"):
        await probe(children, written(tmp_path, half))


async def test_text_behind_the_last_picture_is_no_sign_of_damage(children: MediaChildren, tmp_path: Path) -> None:
    """A broadcast may go on with subtitles alone; they can be read, and are no lost part of the film."""
    lines = "".join(f"{n}\n00:00:{n:02},0 --> 00:00:{n:02},900\n{'word ' * 200}\n\n" for n in range(1, 50))
    (tmp_path / "text.srt").write_text(lines)
    path = tmp_path / "talks.mp4"
    ffmpeg(
        *picture("96x64", 25, 2),
        "-i",
        tmp_path / "text.srt",
        *X264,
        "-c:s",
        "mov_text",
        "-movflags",
        "+frag_keyframe+empty_moov",
        path,
    )
    assert (await probe(children, path)).video_required.duration == pytest.approx(2)


async def test_a_track_of_nothing_is_not_said_to_have_no_text(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    srt = tmp_path / "late.srt"
    srt.write_text("1\n00:59:00,0 --> 00:59:01,0\nlong gone\n\n")
    clip = tmp_path / "late.mkv"
    ffmpeg("-i", clips.small, "-i", srt, *["-map", "0:v", "-map", "1", "-c:v", "copy", "-c:s", "srt"], clip)
    _, text = await keep_subtitles(children, clip, tmp_path)
    assert text.tracks == []
    assert text.warnings == [
        "Subtitles “Subtitles”: 1 were left out, which have no time, none within the video, or stay for more than 10 minutes.",
        "Subtitles “Subtitles” have nothing else that can be shown, so there is no such track.",
    ]


async def test_sound_alone_has_no_undecodable_video(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*tone(), "-c:a", "aac", tmp_path / "sound.m4a")
    assert (await probe(children, tmp_path / "sound.m4a")).unusable_video is None
