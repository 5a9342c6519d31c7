"""The right streams of a file become the film: seen by what comes out (docs/sources.md)."""

from pathlib import Path

import numpy as np
import pytest
from clips import MEDIA, X264, ffmpeg, picture, tone
from encoding import encode, encode_audio
from playback import decode
from sound import Samples, level, samples_of
from test_probe import probe
from test_sources import H264

from streamforge.errors import NoVideoStream, StreamForgeError, UndecodableSource
from streamforge.media.container import late_streams
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

CASES = MEDIA / "cases"
CENC = [
    *["-encryption_scheme", "cenc-aes-ctr", "-encryption_key", "76a6c65c5ea762046bd749a2e632ccbb"],
    *["-encryption_kid", "a7e61c373e219033c21091fa607bf3b8"],
]


# ── the film is what moves ──────────────────────────────────────────────────────────────────────────────────────────
async def test_a_larger_still_beside_it_is_not_the_film(children: MediaChildren, tmp_path: Path) -> None:
    """Both are called the default, and the still comes first."""
    encoded = await encode(children, CASES / "pictures" / "cover_plain_first.mkv", tmp_path, H264)
    assert encoded.source.video_required.index == 1
    played = decode(encoded.file("360p", tmp_path))
    assert (played.frame_count, played.sizes) == (encoded.source.video_required.frame_count, {(640, 360)})
    assert played.frame_count > 80
    assert encoded.plan.warnings == [
        "The file has 2 video streams; number 1 (640×360, eng) is used, number 0 (1000×1500) left out."
    ]


@pytest.mark.parametrize("container", ["mp4", "mkv", "mov", "ts"])
async def test_a_row_of_larger_stills_beside_it_is_not_the_film(
    children: MediaChildren, tmp_path: Path, container: str
) -> None:
    """As phones store it: the second of two films is three pictures of the whole sensor."""
    stills, film = picture("1280x720", 1, 3), picture("320x180", 25, 3)
    path = tmp_path / f"phone.{container}"
    ffmpeg(*stills, *film, *["-map", "0", "-map", "1", *X264, "-disposition:v", "default"], path)
    source = await probe(children, path)
    assert (source.video_required.width, source.video_required.frame_count) == (320, 75)


async def test_a_single_picture_beside_sound_is_its_cover(children: MediaChildren, tmp_path: Path) -> None:
    """Not marked as one. Alone it is no video at all."""
    still = picture("320x180", 25, 0.04)
    ffmpeg(*still, *tone(2), "-c:v", "mjpeg", "-c:a", "aac", tmp_path / "covered.mkv")
    source = await probe(children, tmp_path / "covered.mkv")
    assert source.video is None
    with pytest.raises(NoVideoStream, match="only sound"):
        make_plan(source, Settings())
    assert make_plan(source, Settings().for_profile("audio")).names == ["audio-0"]


# ── programs ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_picture_and_sound_are_of_one_program(children: MediaChildren) -> None:
    source = await probe(children, CASES / "clocks" / "07-mpts-two-programs.ts")
    assert (source.video_required.width, source.video_required.height) == (320, 180)
    assert [track.language for track in source.audio] == ["eng"]
    assert source.warnings == [
        "The file has 2 video streams; number 2 (320×180) is used, number 0 (160×90) left out.",
        "The file has 2 programs; of those that the video is not in, number 1 (mp2, ita) left out, too.",
    ]
    plan = make_plan(source, Settings())
    assert [(track.language, track.default) for track in plan.audio] == [("en", True)]


async def test_a_picture_that_goes_on_in_another_stream_is_joined_to_it(children: MediaChildren) -> None:
    """Also its sound; neither is a film or a track of its own."""
    source = await probe(children, CASES / "clocks" / "09-ts-pid-change.ts")
    assert source.duration == pytest.approx(10, abs=0.01)
    assert source.video_required.frame_count == 250
    assert [track.index for track in source.audio] == [1]
    assert source.warnings == ["At 5.0 s: the film goes on in stream 2 of the file."]


# ── sound that begins late ──────────────────────────────────────────────────────────────────────────────────────────
def beep(channel: Samples, begin: float, rate: int = 48_000) -> float:
    """The pitch of 80 ms of sound, in Hz."""
    piece = channel[round(begin * rate) : round((begin + 0.08) * rate)]
    spectrum = np.abs(np.fft.rfft(piece * np.hanning(len(piece)), 2**16))
    return float(np.argmax(spectrum) * rate / 2**16)


async def test_sound_that_begins_behind_what_is_analysed_is_heard(children: MediaChildren, tmp_path: Path) -> None:
    encoded, file = await encode_audio(children, CASES / "clocks" / "34-ts-sound-begins-at-8s.ts", tmp_path)
    assert encoded.segments
    heard = samples_of(file)[0]
    assert level(heard, 0, 7.9) < 0.001
    assert beep(heard, 8.01) == pytest.approx(1200, abs=10)


@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
async def test_sound_that_begins_after_ten_minutes_is_heard(
    children: MediaChildren, tmp_path: Path, codec: str
) -> None:
    path = tmp_path / "late.ts"
    late_sound(path, "mpeg2video", codec, begin=600, rate=2)
    source = await probe(children, path)
    assert [(track.channels, track.sample_rate) for track in source.audio] == [(1, 44_100)]


def late_sound(path: Path, video_codec: str, audio_codec: str, begin: float, rate: float) -> None:
    """Sound of two seconds under a picture that is there all the time, and goes on for so long that FFmpeg, which looks at
    the end of a file for its length, does not meet the sound there."""
    seconds = begin + 22
    moved = ["-itsoffset", str(begin), *tone(2)]
    film = ["-map", "0", "-map", "1", "-c:v", video_codec, "-pix_fmt", "yuv420p", "-b:v", "1M", "-c:a", audio_codec]
    ffmpeg(*picture("320x180", rate, seconds), *moved, *film, "-max_interleave_delta", "0", path)


@pytest.mark.parametrize(("container", "codecs"), [("flv", ("flv1", "libmp3lame")), ("mpg", ("mpeg2video", "mp2"))])
async def test_streams_that_turn_up_late_are_found(
    children: MediaChildren, tmp_path: Path, container: str, codecs: tuple[str, str]
) -> None:
    """Where a stream is known by its first packet, behind 5 MB and a hundred seconds."""
    path = tmp_path / f"late.{container}"
    late_sound(path, *codecs, begin=110, rate=25)
    source = await probe(children, path)
    assert source.analysed_bytes == late_streams.ANALYSED_BYTES[0]
    assert [track.channels for track in source.audio] == [1]
    encoded, file_of_sound = await encode_audio(children, path, tmp_path)
    heard = samples_of(file_of_sound)[0]
    assert level(heard, 0, 109.9, rate=44_100) < 0.001
    assert level(heard, 110.2, 111.8, rate=44_100) > 0.05
    assert encoded.segments


async def test_a_picture_that_turns_up_late_is_found(children: MediaChildren, tmp_path: Path) -> None:
    """And has the same number wherever the file is opened."""
    path = tmp_path / "late.flv"
    late = ["-itsoffset", "110", *picture("320x180", 25, 3)]
    ffmpeg(*tone(113), *late, "-map", "1", "-map", "0", "-c:v", "flv1", "-c:a", "libmp3lame", path)
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert encoded.source.analysed_bytes > 0
    assert encoded.source.duration == pytest.approx(3, abs=0.1)
    assert decode(encoded.file("180p", tmp_path)).frame_count == 75


async def test_films_whose_streams_are_all_there_are_opened_as_ever(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*picture(), *tone(), "-c:v", "flv1", "-c:a", "aac", tmp_path / "both.flv")
    assert (await probe(children, tmp_path / "both.flv")).analysed_bytes == 0


# ── what nobody can decode ──────────────────────────────────────────────────────────────────────────────────────────
def altered(path: Path, old: bytes, new: bytes, target: Path) -> Path:
    data = path.read_bytes()
    assert old in data
    target.write_bytes(data.replace(old, new))
    return target


@pytest.fixture
def bilingual(tmp_path: Path) -> Path:
    path = tmp_path / "bilingual.mp4"
    codecs = [*X264, "-c:a:0", "aac", "-c:a:1", "ac3", "-metadata:s:a:1", "language=fre"]
    ffmpeg(*picture("320x180", 25, 2), *tone(2), *tone(2), *["-map", "0", "-map", "1", "-map", "2"], *codecs, path)
    return path


async def test_a_track_without_a_decoder_is_named_with_its_codec(
    children: MediaChildren, tmp_path: Path, bilingual: Path
) -> None:
    source = await probe(children, altered(bilingual, b"ac-3", b"zz-3", tmp_path / "a.mp4"))
    assert [track.codec for track in source.audio] == ["aac"]
    assert source.warnings == ["The audio track number 2 (zz-3, fre) is left out: there is no decoder for it."]


async def test_a_video_without_a_decoder_says_so(children: MediaChildren, tmp_path: Path, bilingual: Path) -> None:
    """Its sound can be had."""
    source = await probe(children, altered(bilingual, b"avc1", b"zzz1", tmp_path / "a.mp4"))
    why = r"The video in this file, number 0 \(zzz1.*\), cannot be decoded: there is no decoder for it\."
    with pytest.raises(UndecodableSource, match=why):
        make_plan(source, Settings())
    assert make_plan(source, Settings().for_profile("audio")).names == ["audio-0", "audio-1"]


async def test_a_video_without_a_decoder_beside_one_with_is_left_out(children: MediaChildren, tmp_path: Path) -> None:
    both = ["-map", "0", "-map", "1", "-c:v:0", "mpeg4", "-c:v:1", "libx264", "-pix_fmt", "yuv420p"]
    ffmpeg(*picture("640x360", 25, 1), *picture("320x180", 25, 1), *both, tmp_path / "both.mkv")
    path = altered(tmp_path / "both.mkv", b"V_MPEG4/ISO/ASP", b"V_ZZZZZ/ISO/ASP", tmp_path / "a.mkv")
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).sizes == {(320, 180)}
    assert encoded.plan.warnings == ["The video track number 0 (unknown) is left out: there is no decoder for it."]


async def test_an_encrypted_film_is_called_encrypted(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*picture("320x180", 25, 2), *tone(2), *X264, "-c:a", "aac", *CENC, tmp_path / "locked.mp4")
    with pytest.raises(UndecodableSource, match=r"number 0 .*h264.* it is encrypted") as refused:
        await probe(children, tmp_path / "locked.mp4")
    assert refused.value.code == "input.undecodable"


async def test_a_track_that_is_locked_by_its_name_is_called_encrypted(
    children: MediaChildren, tmp_path: Path, bilingual: Path
) -> None:
    """As the shops of the first decade sold it: AAC in `drms`, which decodes to noise."""
    source = await probe(children, altered(bilingual, b"mp4a", b"drms", tmp_path / "a.mp4"))
    assert [track.language for track in source.audio] == ["fre"]
    assert source.warnings == ["The audio track number 1 (aac) is left out: it is encrypted."]


@pytest.mark.parametrize("timestamp", [b"", b"time"], ids=["broadcast", "Blu-ray"])
async def test_a_scrambled_broadcast_is_called_encrypted(
    children: MediaChildren, tmp_path: Path, timestamp: bytes
) -> None:
    """FFmpeg drops packets that are scrambled, so that their stream looks empty."""
    ffmpeg(*picture("320x180", 25, 3), *tone(3), *X264, "-c:a", "aac", tmp_path / "a.ts")
    clear = (tmp_path / "a.ts").read_bytes()
    packets = [clear[at : at + 188] for at in range(0, len(clear), 188)]

    def scrambled(*pids: int) -> Path:
        path = tmp_path / "scrambled.ts"
        path.write_bytes(b"".join(timestamp + _locked(packet, pids) for packet in packets))
        return path

    source = await probe(children, scrambled(0x101))
    assert source.warnings == ["The audio track number 1 (aac) is left out: it is encrypted."]
    assert source.video_required.frame_count == 75
    with pytest.raises(UndecodableSource, match=r"number 0 \(h264.*\), cannot be decoded: it is encrypted"):
        await probe(children, scrambled(0x100, 0x101))


def _locked(packet: bytes, pids: tuple[int, ...]) -> bytes:
    if int.from_bytes(packet[1:3]) & 0x1FFF not in pids:
        return packet
    return packet[:3] + bytes([packet[3] | 0x80]) + packet[4:]


async def test_a_track_that_never_comes_is_told(children: MediaChildren, tmp_path: Path) -> None:
    """Announced by the program's map alone: its packets are made those of nobody."""
    ffmpeg(*picture("320x180", 25, 2), *tone(2), *X264, "-c:a", "aac", tmp_path / "a.ts")
    data = bytearray((tmp_path / "a.ts").read_bytes())
    for at in range(0, len(data), 188):
        if int.from_bytes(data[at + 1 : at + 3]) & 0x1FFF == 0x101:
            data[at + 1 : at + 3] = b"\x1f\xff"
    (tmp_path / "mute.ts").write_bytes(data)
    source = await probe(children, tmp_path / "mute.ts")
    assert source.audio == []
    assert source.warnings == ["The audio track number 1 (aac) is left out: it is empty, or damaged beyond reading."]


async def test_neither_video_nor_sound(children: MediaChildren, tmp_path: Path) -> None:
    (tmp_path / "text.srt").write_text("1\n00:00:01,0 --> 00:00:02,0\nhere\n\n")
    ffmpeg("-i", tmp_path / "text.srt", "-c:s", "srt", tmp_path / "text.mkv")
    with pytest.raises(StreamForgeError, match="neither video nor sound") as refused:
        await probe(children, tmp_path / "text.mkv")
    assert refused.value.code == "input.no_video"
