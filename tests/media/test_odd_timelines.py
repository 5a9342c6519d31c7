"""Sources that others have tried to break the timeline with: each came out wrong once. The law has the rest (tests/law)."""

from pathlib import Path

import pytest
from clips import X264, ffmpeg, picture, tone
from encoding import QUICK, encode, encode_audio
from playback import decode
from test_probe import probe, task

from streamforge.contracts import tasks
from streamforge.contracts.media.timeline import NoteKind, PictureCount
from streamforge.errors import PicturesLost, TruncatedSource
from streamforge.media.container.scrambling import scrambled
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.timeline.account import account_of

SMALL = "96x64"


def film(path: Path, seconds: float, *options: str, sound: bool = True) -> Path:
    ffmpeg(*picture(SMALL, 25, seconds), *(tone(seconds) if sound else []), *X264, "-g", "25", *options, path)
    return path


def joined(target: Path, *parts: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target


async def test_streams_that_get_other_numbers_twice_lose_no_picture(children: MediaChildren, tmp_path: Path) -> None:
    """FFmpeg has the last packet under an old number only at the end of the file."""
    parts = [
        film(
            tmp_path / f"{n}.ts", 2, "-bf", "2", "-c:a", "mp2", "-streamid", f"0:{300 + n}", "-streamid", f"1:{400 + n}"
        )
        for n in range(3)
    ]
    encoded = await encode(children, joined(tmp_path / "pids.ts", *parts), tmp_path / "out")
    assert len(decode(encoded.file("64p", tmp_path)).times) == 150
    assert [note.kind for note in encoded.source.timeline_notes].count(NoteKind.CONTINUED) == 2


async def test_a_still_stays_also_when_the_sound_is_over(children: MediaChildren, tmp_path: Path) -> None:
    held = "setpts='if(lt(N,50),N,N+375)/25/TB'"
    ffmpeg(
        *picture(SMALL, 25, 4), *tone(1), "-vf", held, "-fps_mode", "vfr", *X264, "-c:a", "aac", tmp_path / "a.mp4"
    )  # fmt: skip
    source = await probe(children, tmp_path / "a.mp4")
    assert source.duration == pytest.approx(19, abs=0.1)
    assert [(note.kind, note.seconds) for note in source.timeline_notes] == [(NoteKind.GAP, pytest.approx(15, abs=0.1))]


async def test_three_pictures_between_which_no_time_is_usual(children: MediaChildren, tmp_path: Path) -> None:
    """The median of two times apart is one that no two pictures have: the frame rate of such films was no number."""
    held = "setpts='if(lt(N,2),N,20)/25/TB'"
    ffmpeg(*picture(SMALL, 25, 0.12), "-vf", held, "-fps_mode", "vfr", *X264, tmp_path / "three.mkv")
    encoded = await encode(children, tmp_path / "three.mkv", tmp_path / "out")
    assert encoded.source.video.frame_count == 3
    assert decode(encoded.file("64p", tmp_path)).times == pytest.approx([0, 0.04, 0.8], abs=0.002)


async def test_sound_that_nobody_gets_makes_no_film_longer(children: MediaChildren, tmp_path: Path) -> None:
    """Of another program of a broadcast."""
    programs = ["-program", "program_num=1:st=0:st=1", "-program", "program_num=2:st=2"]
    ffmpeg(
        *picture(SMALL, 25, 3), *tone(3), *tone(9), "-map", "0", "-map", "1", "-map", "2", *X264, "-c:a", "aac", *programs,
        tmp_path / "two.ts",
    )  # fmt: skip
    assert (await probe(children, tmp_path / "two.ts")).duration == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize("codec", ["aac", "flac"])
async def test_silence_behind_seven_channels_and_more(children: MediaChildren, tmp_path: Path, codec: str) -> None:
    """PyAV reads beyond the planes of so many, which killed the process."""
    layout = ["-af", "aformat=channel_layouts=7.1", "-c:a", codec]
    ffmpeg(*picture(SMALL, 25, 3), *tone(2), *X264, *layout, tmp_path / "a.mkv")
    track, file = await encode_audio(children, tmp_path / "a.mkv", tmp_path / "audio")
    played = decode(file)
    assert played.samples / played.rate == pytest.approx(3, abs=0.1)
    assert track.sound is not None
    assert track.sound.silence == pytest.approx(1, abs=0.1)


async def test_hidden_pictures_of_vp8_are_not_missing(children: MediaChildren, tmp_path: Path) -> None:
    coding = ["-c:v", "libvpx", "-auto-alt-ref", "1", "-lag-in-frames", "16", "-b:v", "200k", "-arnr-maxframes", "3"]
    ffmpeg(*picture(SMALL, 25, 8), *coding, tmp_path / "a.webm")
    encoded = await encode(children, tmp_path / "a.webm", tmp_path / "out")
    counts: list[PictureCount | None] = [chunk.count for chunk in encoded.chunks]
    account = account_of(encoded.source, encoded.plan, counts, [])
    assert account.lines == []
    assert account.pictures is not None
    assert account.pictures.in_source == account.pictures.decoded == 200


async def test_bytes_missing_in_a_transport_stream_do_not_scramble_it(children: MediaChildren, tmp_path: Path) -> None:
    whole = film(tmp_path / "a.ts", 3, "-c:a", "mp2").read_bytes()
    path = tmp_path / "b.ts"
    path.write_bytes(whole[: 188 * 60 + 77] + whole[188 * 61 + 12 :])
    assert scrambled(path) == frozenset()
    assert len((await probe(children, path)).audio) == 1


async def test_a_second_recording_that_ffmpeg_does_not_read_is_told(children: MediaChildren, tmp_path: Path) -> None:
    part = film(tmp_path / "a.flv", 2, "-c:a", "aac")
    source = await probe(children, joined(tmp_path / "b.flv", part, part))
    assert any("are not read" in warning for warning in source.warnings)


# ── damage that is kept ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_film_that_is_cut_off_is_kept_on_request(children: MediaChildren, tmp_path: Path) -> None:
    whole = film(tmp_path / "a.mp4", 8, "-c:a", "aac", "-movflags", "+faststart").read_bytes()
    path = tmp_path / "cut.mp4"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TruncatedSource):
        await probe(children, path)
    kept = task(path).model_copy(update={"keep_damaged": True})
    source = await children.run(tasks.PROBE, kept)
    assert 2 < source.duration < 6
    assert source.keeps_damage
    assert "What is there was kept." in source.warnings[0]


# ── the law itself ──────────────────────────────────────────────────────────────────────────────────────────────────
async def test_less_than_went_in_is_not_published(children: MediaChildren, tmp_path: Path) -> None:
    source = await probe(children, film(tmp_path / "a.mp4", 4, sound=False))
    plan = make_plan(source, QUICK)
    right = PictureCount(in_source=100, decoded=100, shown=100)
    assert account_of(source, plan, [right], []).lines == []
    for wrong in ({"in_source": 90}, {"shown": 90}):
        with pytest.raises(PicturesLost):
            account_of(source, plan, [right.model_copy(update=wrong)], [])
    [line] = account_of(source, plan, [right.model_copy(update={"decoded": 90, "shown": 90})], []).lines
    assert "10 of 100 pictures cannot be decoded" in line


async def test_pictures_that_a_stream_has_no_room_for_are_told(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*picture(SMALL, 120, 2), *X264, tmp_path / "fast.mp4")
    encoded = await encode(children, tmp_path / "fast.mp4", tmp_path / "out")
    counts: list[PictureCount | None] = [chunk.count for chunk in encoded.chunks]
    assert account_of(encoded.source, encoded.plan, counts, []).lines == [
        "120 of 240 pictures are left out: the stream has at most 60 a second."
    ]


async def test_what_is_in_front_of_the_first_key_frame_does_not_make_a_film_faster(
    children: MediaChildren, tmp_path: Path
) -> None:
    """Of 120 pictures 20 cannot be decoded: 60 a second are not 75, of which a stream would have left some out."""
    whole = film(tmp_path / "a.ts", 2, "-r", "60", "-g", "30", "-bf", "0", sound=False).read_bytes()
    path = tmp_path / "b.ts"
    path.write_bytes(whole[:564] + whole[len(whole) // 12 // 188 * 188 :])
    encoded = await encode(children, path, tmp_path / "out")
    assert encoded.source.video_required.undecodable > 10
    assert encoded.source.video_required.frame_rate == pytest.approx(60, abs=0.5)
