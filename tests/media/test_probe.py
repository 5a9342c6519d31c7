"""The probe says what a source really is, whatever its header claims."""

from pathlib import Path

import pytest
from clips import BUNNY, X264, Clips, ffmpeg, picture

from streamforge.contracts import tasks
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source
from streamforge.contracts.tasks import ProbeTask
from streamforge.errors import (
    NoAudioStream,
    NotAVideo,
    NoVideoStream,
    SourceTooLong,
    StreamForgeError,
    TruncatedSource,
    UnsupportedDimensions,
)
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings


def task(path: Path, **limits: float) -> ProbeTask:
    defaults: dict[str, float] = {"max_width": 8192, "max_height": 8192, "max_duration": 3600}
    return ProbeTask.model_validate({"path": path} | defaults | limits)


async def probe(children: MediaChildren, path: Path, **limits: float) -> Source:
    return await children.run(tasks.PROBE, task(path, **limits))


async def test_a_film(children: MediaChildren) -> None:
    source = await probe(children, BUNNY)
    assert (source.video.width, source.video.height, source.video.codec) == (1280, 720, "h264")
    assert (source.video.frame_rate, source.video.frame_count) == (25.0, 132)
    assert source.duration == pytest.approx(5.28)
    assert [(track.codec, track.channels) for track in source.audio] == [("aac", 6)]


async def test_webm_whose_header_has_no_duration_and_whose_clock_ticks_in_milliseconds(
    children: MediaChildren, clips: Clips
) -> None:
    source = await probe(children, clips.webm_without_duration)
    assert source.duration == pytest.approx(6.0, abs=0.05)
    assert source.video.frame_rate == pytest.approx(30.0)
    assert source.audio == []


async def test_a_phone_video_has_the_size_a_viewer_sees(children: MediaChildren, clips: Clips) -> None:
    source = await probe(children, clips.turned)
    assert (source.video.coded_width, source.video.coded_height) == (320, 180)
    assert (source.video.width, source.video.height) == (180, 320)


async def test_anamorphic_video_has_square_pixels_afterwards(children: MediaChildren, clips: Clips) -> None:
    source = await probe(children, clips.anamorphic)
    assert (source.video.width, source.video.height) == (1024, 576)


async def test_variable_frame_rate_is_noticed(children: MediaChildren, clips: Clips) -> None:
    varying = await probe(children, clips.variable_rate)
    steady = await probe(children, clips.slow)
    assert (varying.video.variable_frame_rate, steady.video.variable_frame_rate) == (True, False)
    assert varying.video.reorder_gap == pytest.approx(0.2, abs=0.01)


async def test_languages_of_audio_tracks(children: MediaChildren, clips: Clips) -> None:
    source = await probe(children, clips.two_languages)
    assert [track.language for track in source.audio] == ["eng", "deu"]


async def test_a_title_goes_with_every_chunk_and_is_short(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    path = tmp_path / "titled.mkv"
    titles = ["-metadata:s:a:0", f"title={'long ' * 10_000}", "-metadata:s:a:0", f"language={'x' * 100}"]
    ffmpeg("-i", clips.small, "-c", "copy", *titles, path)
    (track,) = (await probe(children, path)).audio
    assert track.title is not None
    assert len(track.title) == 200
    assert track.language is None


async def test_times_count_from_the_first_picture(children: MediaChildren, clips: Clips) -> None:
    source = await probe(children, clips.transport_stream)
    assert source.video.start == pytest.approx(1.44, abs=0.1)
    assert source.duration == pytest.approx(14.0, abs=0.05)


async def test_a_single_frame_is_a_video(children: MediaChildren, clips: Clips) -> None:
    assert (await probe(children, clips.one_frame)).video.frame_count == 1


async def test_key_frames_are_where_decoding_can_begin(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """In ticks from the first picture, in the order of time, also where the source's clock begins elsewhere."""
    for path in (tmp_path / "a.mp4", tmp_path / "a.ts"):
        ffmpeg(*picture(seconds=12), *X264, "-g", "75", path)
        source = await probe(children, path)
        assert [round(ticks / VIDEO_TIMESCALE, 3) for ticks in source.video.key_frame_ticks] == [0, 3, 6, 9]
        assert source.without_key_frames().video.key_frame_ticks == []


async def test_key_frames_everywhere_are_not_listed(children: MediaChildren, clips: Clips) -> None:
    assert (await probe(children, clips.noise)).video.key_frame_ticks == []


# ── bad input ───────────────────────────────────────────────────────────────────────────────────────────────────────
def written(folder: Path, content: bytes) -> Path:
    path = folder / "original"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"Dear server, this is a letter.\n" * 100, id="text"),
        pytest.param(b"", id="empty"),
        pytest.param(bytes(range(256)) * 64, id="bytes"),
        pytest.param(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n" + b"1 0 obj\n" * 50, id="pdf"),
    ],
)
async def test_what_is_not_a_video_is_called_so(children: MediaChildren, tmp_path: Path, content: bytes) -> None:
    with pytest.raises(NotAVideo) as caught:
        await probe(children, written(tmp_path, content))
    assert caught.value.code == "input.not_a_video"


async def test_sound_without_picture(children: MediaChildren, clips: Clips) -> None:
    """Whether it is enough is for the plan to say."""
    source = await probe(children, clips.sound_only)
    assert source.video is None
    assert [track.codec for track in source.audio] == ["aac"]
    assert source.duration == pytest.approx(2, abs=0.05)
    with pytest.raises(NoVideoStream):
        make_plan(source, Settings())
    assert make_plan(source, Settings().for_profile("audio")).names == ["audio-0"]


async def test_pictures_without_sound_are_no_stream_of_sound(children: MediaChildren, clips: Clips) -> None:
    source = await probe(children, clips.variable_rate)
    with pytest.raises(NoAudioStream):
        make_plan(source, Settings().for_profile("audio"))


async def test_avi_whose_clock_ticks_faster_than_its_pictures_come_is_whole(
    children: MediaChildren, tmp_path: Path
) -> None:
    """FFmpeg writes one like this when it copies H.264 with B-frames; its header counts ticks, of which few have a picture."""
    copy = tmp_path / "copy.avi"
    ffmpeg("-i", BUNNY, "-an", "-c", "copy", copy)
    source = await probe(children, copy)
    assert source.video_required.frame_count == 132
    assert source.video_required.frame_rate == pytest.approx(25)
    assert source.duration == pytest.approx(5.28, abs=0.1)


async def test_cut_off_before_the_index(children: MediaChildren, clips: Clips) -> None:
    with pytest.raises(TruncatedSource, match="index is missing"):
        await probe(children, clips.cut_off)


async def test_cut_off_behind_the_index_says_how_much_is_there(children: MediaChildren, clips: Clips) -> None:
    with pytest.raises(TruncatedSource, match=r"lists 132 frames, but only \d+ are there"):
        await probe(children, clips.cut_off_behind_index)


async def test_too_large_and_too_long(children: MediaChildren, clips: Clips) -> None:
    with pytest.raises(UnsupportedDimensions, match="1280×720; the largest that is accepted is 640×8192"):
        await probe(children, BUNNY, max_width=640)
    with pytest.raises(SourceTooLong):
        await probe(children, clips.small, max_duration=2)


SECRET = "the server's own secret"

PLAYLISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\n{victim}\n#EXT-X-ENDLIST\n",
    "hls-key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{victim}"\n#EXTINF:5,\n{victim}\n#EXT-X-ENDLIST\n',
    "concat": "ffconcat version 1.0\nfile '{victim}'\n",
    "concat-unsafe": "ffconcat version 1.0\nfile {victim}\noption safe 0\n",
    "dash": '<?xml version="1.0"?><MPD profiles="urn:mpeg:dash:profile:isoff-live:2011"><Period><AdaptationSet>'
    "<Representation><BaseURL>{victim}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
    "reference": "[reference]\nRef1={victim}\n",
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2016"/>',
}


@pytest.mark.parametrize("kind", PLAYLISTS)
async def test_a_playlist_dressed_as_a_video_reads_no_other_file(
    children: MediaChildren, clips: Clips, tmp_path: Path, kind: str
) -> None:
    """CVE-2016-1897 and its family: were the playlist followed, the perfectly good victim would be accepted."""
    victim = tmp_path / "victim.mp4"
    victim.write_bytes(clips.small.read_bytes())
    path = written(tmp_path, PLAYLISTS[kind].format(victim=victim).encode())
    accessed = victim.stat().st_atime_ns
    with pytest.raises(NotAVideo):
        await probe(children, path)
    assert victim.stat().st_atime_ns == accessed


async def test_a_reference_to_another_file_inside_a_movie_is_not_followed(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    """QuickTime's data references may point anywhere ('alis', 'url ' with a location)."""
    data = bytearray(clips.small.read_bytes())
    at = data.find(b"url ")
    data[at : at + 8] = b"alis\0\0\0\0"  # No longer flagged as "in this same file".
    try:
        source = await probe(children, written(tmp_path, bytes(data)))
    except StreamForgeError as error:
        assert error.code.startswith("input.")  # noqa: PT017 - refusing is as good as ignoring it
    else:
        assert source.duration == pytest.approx(4.0, abs=0.1)
