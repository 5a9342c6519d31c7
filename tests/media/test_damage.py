"""Damaged sources: what is broken here and there is bridged, what stops is refused and told how far it goes."""

import struct
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from clips import X264, ffmpeg, picture, tone
from encoding import Encoded, encode, encode_audio, encode_chunk
from playback import decode
from test_probe import probe

from streamforge.errors import TruncatedSource, UndecodableSource
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

SHORT_CHUNKS = Settings.model_validate(
    {"transcode": {"presets": {"h264": "ultrafast"}, "segment_seconds": 2, "max_chunk_seconds": 4}}
)


FILMS = {
    "mp4": [*X264, "-bf", "2", "-movflags", "+faststart"],
    "vp9.mp4": ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-movflags", "+faststart"],
    "av1.mp4": ["-c:v", "libsvtav1", "-preset", "11", "-movflags", "+faststart"],
    "fragmented.mp4": [*X264, "-movflags", "+frag_keyframe+empty_moov"],
    "mkv": [*X264, "-bf", "2"],
    "webm": ["-c:v", "libvpx", "-deadline", "realtime"],
    "avi": ["-c:v", "mpeg4"],
    "flv": X264,
    "ts": [*X264, "-bf", "2"],
    "mpg": ["-c:v", "mpeg2video"],
    "ogg": ["-c:v", "libtheora"],
}


class Films:
    """Ten seconds at 25 fps, a key frame every second, in several containers; and what can happen to them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def whole(self, kind: str) -> Path:
        path = self._folder / f"film.{kind}"
        if not path.exists():
            ffmpeg(*picture("96x64", 25, 10), "-g", "25", *FILMS[kind], path)
        return path

    def cut_off(self, kind: str, share: float) -> Path:
        data = self.whole(kind).read_bytes()
        return self._written(kind, data[: int(len(data) * share)])

    def rotten(self, kind: str, begin: float, end: float = 1.0) -> Path:
        """Zeros where the pictures between two moments were; the index is as it was."""
        data = bytearray(self.whole(kind).read_bytes())
        for at, size in self._packets(kind, begin * 10, end * 10):
            data[at : at + size] = bytes(size)
        return self._written(kind, data)

    def _packets(self, kind: str, begin: float, end: float) -> list[tuple[int, int]]:
        with av.open(str(self.whole(kind))) as container:
            return [
                (packet.pos, packet.size)
                for packet in container.demux(video=0)
                if packet.pos is not None and packet.dts is not None and begin <= packet.dts * packet.time_base < end
            ]

    def _written(self, kind: str, data: bytes | bytearray) -> Path:
        path = self._folder / f"damaged.{kind}"
        path.write_bytes(data)
        return path


@pytest.fixture(scope="session")
def films(tmp_path_factory: pytest.TempPathFactory) -> Films:
    return Films(tmp_path_factory.mktemp("films"))


def assert_gapless(encoded: Encoded) -> None:
    for track in encoded.tracks.values():
        assert track.segments[0].start_ticks == 0
        for earlier, later in pairwise(track.segments):
            assert earlier.start_ticks + earlier.duration_ticks == later.start_ticks


# ── a source that stops ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", ["mkv", "webm", "flv"])
async def test_cut_off_where_only_the_header_knows_how_long_it_was(
    children: MediaChildren, films: Films, kind: str
) -> None:
    with pytest.raises(TruncatedSource, match=r"stops at [56]\.\d s of 10\.0 s"):
        await probe(children, films.cut_off(kind, 0.6))


async def test_cut_off_in_a_container_that_counts_its_frames(children: MediaChildren, films: Films) -> None:
    with pytest.raises(TruncatedSource, match=r"lists 250 frames, but only \d+ are there"):
        await probe(children, films.cut_off("avi", 0.6))


@pytest.mark.parametrize("kind", ["ts", "mpg", "fragmented.mp4", "ogg"])
async def test_a_container_that_never_says_how_long_it_is_plays_as_far_as_it_goes(
    children: MediaChildren, films: Films, kind: str
) -> None:
    """It may be a recording that was ended just so."""
    source = await probe(children, films.cut_off(kind, 0.6))
    assert 4 < source.duration < 8


@pytest.mark.parametrize("kind", FILMS)
async def test_half_a_file_of_zeros_is_refused_in_every_container(
    children: MediaChildren, films: Films, tmp_path: Path, kind: str
) -> None:
    """As after a transfer that reserved the space, and broke."""
    whole = films.whole(kind).read_bytes()
    half = tmp_path / "original"
    half.write_bytes(whole[: len(whole) // 2] + bytes(len(whole) - len(whole) // 2))
    with pytest.raises(TruncatedSource, match=r"stops at|only \d+ are there"):
        await encode(children, half, tmp_path / "out", SHORT_CHUNKS)


@pytest.mark.parametrize("kind", ["mp4", "vp9.mp4", "av1.mp4"])
async def test_an_index_that_is_whole_does_not_hide_that_the_pictures_stop(
    children: MediaChildren, films: Films, tmp_path: Path, kind: str
) -> None:
    with pytest.raises(TruncatedSource, match=r"stops at (6\.0|5\.9) s of 10\.0 s"):
        await encode(children, films.rotten(kind, begin=0.6), tmp_path / "out", SHORT_CHUNKS)


@pytest.mark.parametrize("chunk", [1, 2])
async def test_every_chunk_behind_the_damage_tells_the_same(
    children: MediaChildren, films: Films, tmp_path: Path, chunk: int
) -> None:
    """Whichever is encoded first decides what the caller hears."""
    path = films.rotten("mp4", begin=0.3)
    source = await probe(children, path)
    plan = make_plan(source, SHORT_CHUNKS)
    with pytest.raises(TruncatedSource, match=r"stops at (3\.0|2\.9) s of 10\.0 s"):
        await encode_chunk(children, path, source, plan, plan.chunks[chunk], tmp_path)


async def test_nothing_at_all_decodes(children: MediaChildren, films: Films) -> None:
    with pytest.raises(UndecodableSource):
        await probe(children, films.rotten("mp4", begin=-1))


# ── broken here and there ───────────────────────────────────────────────────────────────────────────────────────────
async def test_a_hole_is_bridged_by_the_picture_before_it(
    children: MediaChildren, films: Films, tmp_path: Path
) -> None:
    """It is encoded again every second, so that players have something to show."""
    encoded = await encode(children, films.rotten("mp4", 0.4, 0.6), tmp_path / "out", SHORT_CHUNKS)
    times = decode(encoded.file("64p", tmp_path)).times
    assert max(later - earlier for earlier, later in pairwise(times)) == pytest.approx(1.0, abs=0.05)
    assert sum(later - earlier > 0.05 for earlier, later in pairwise(times)) == 2
    assert times[-1] == pytest.approx(9.96)
    assert_gapless(encoded)


async def test_the_last_group_of_pictures_may_be_broken(children: MediaChildren, films: Films, tmp_path: Path) -> None:
    encoded = await encode(children, films.rotten("mp4", 0.96), tmp_path / "out", SHORT_CHUNKS)
    track = encoded.tracks["64p"]
    assert sum(s.duration_ticks for s in track.segments) / track.timescale == pytest.approx(10.0)


async def test_a_long_hole_is_no_video(children: MediaChildren, films: Films, tmp_path: Path) -> None:
    with pytest.raises(UndecodableSource, match="Most of the video behind 2 s"):
        await encode(children, films.rotten("mp4", 0.21, 0.6), tmp_path / "out", SHORT_CHUNKS)


async def test_a_recording_of_a_still_screen_is_whole(children: MediaChildren, tmp_path: Path) -> None:
    """Its header says ten seconds, and its last picture comes in the fourth."""
    path = tmp_path / "still.mkv"
    ffmpeg(*picture("96x64", 25, 4), *X264, path)
    data = bytearray(path.read_bytes())
    at = data.index(b"\x44\x89\x88") + 3  # Duration, 8 bytes, in milliseconds.
    data[at : at + 8] = struct.pack(">d", 10_000.0)
    path.write_bytes(data)
    assert (await probe(children, path)).duration == pytest.approx(4.0)


async def test_the_last_picture_may_stay_for_longer_than_a_chunk(children: MediaChildren, tmp_path: Path) -> None:
    held = "settb=1/25,setpts='if(lt(N,25),N,N+25*(N-24))'"
    path = tmp_path / "slower.mkv"
    ffmpeg(*picture("96x64", 25, 1.2), "-vf", held, "-fps_mode", "passthrough", *X264, path)
    encoded = await encode(children, path, tmp_path / "out", SHORT_CHUNKS)
    assert_gapless(encoded)


async def test_a_picture_whose_time_leaps_ahead_stays_where_it_belongs(
    children: MediaChildren, films: Films, tmp_path: Path
) -> None:
    path = tmp_path / "leap.mkv"
    with av.open(str(films.whole("fragmented.mp4"))) as source, av.open(str(path), "w") as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for number, packet in enumerate(source.demux(video=0)):
            if packet.dts is None:
                continue
            if number == 30:
                packet.pts = (packet.pts or 0) + round(5 / Fraction(packet.time_base or 1))
            packet.stream = stream
            target.mux(packet)
    encoded = await encode(children, path, tmp_path / "out", SHORT_CHUNKS)
    assert decode(encoded.file("64p", tmp_path)).times == pytest.approx(
        [number / 25 for number in range(250)], abs=0.002
    )
    assert_gapless(encoded)


# ── found by test_fuzz.py ───────────────────────────────────────────────────────────────────────────────────────────
def patched(path: Path, original: Path, marker: bytes, offset: int, content: bytes) -> Path:
    """`content` instead of what stands `offset` bytes behind the last `marker`."""
    data = bytearray(original.read_bytes())
    at = data.rindex(marker) + offset
    data[at : at + len(content)] = content
    path.write_bytes(data)
    return path


async def test_a_stream_that_turns_up_in_the_middle_is_no_reason_to_fail(
    children: MediaChildren, films: Films, tmp_path: Path
) -> None:
    """PyAV loses its place among the streams when the file ends then."""
    sound = b"\x2f" + bytes(400)
    at = (10_000).to_bytes(3) + b"\0" + bytes(3)  # Milliseconds, and a stream number that is always 0.
    tag = b"\x08" + len(sound).to_bytes(3) + at + sound
    path = tmp_path / "late.flv"
    path.write_bytes(films.whole("flv").read_bytes() + tag + len(tag).to_bytes(4))
    encoded = await encode(children, path, tmp_path / "out", SHORT_CHUNKS)
    assert decode(encoded.file("64p", tmp_path)).frame_count == 250


async def test_a_picture_of_no_bytes_is_skipped(children: MediaChildren, films: Films, tmp_path: Path) -> None:
    last_size = 4 + 4 + 4 + 4 + 249 * 4  # stsz: version, uniform size, count, then one size each.
    path = patched(tmp_path / "empty.mp4", films.whole("mp4"), b"stsz", last_size, bytes(4))
    encoded = await encode(children, path, tmp_path / "out", SHORT_CHUNKS)
    assert decode(encoded.file("64p", tmp_path)).frame_count == 249


async def test_a_picture_turned_by_odd_degrees_is_turned_by_a_right_angle_or_not_at_all(
    children: MediaChildren, films: Films, tmp_path: Path
) -> None:
    matrix = struct.pack(">9i", 0xE000, 0x8000, 0, -0x8000, 0xE000, 0, 0, 0, 1 << 30)
    path = patched(tmp_path / "tilted.mp4", films.whole("mp4"), b"tkhd", 44, matrix)
    source = await probe(children, path)
    assert source.video.rotation == 0
    assert (source.video.width, source.video.height) == (96, 64)


async def test_sound_that_falls_back_in_time_and_changes_its_rate(children: MediaChildren, tmp_path: Path) -> None:
    """Two recordings joined whose clocks overlap by a second: all of both is heard."""
    joined = b""
    for start, rate in ((0, 44_100), (2, 48_000)):
        path = tmp_path / f"{start}.ts"
        ffmpeg(
            *picture("96x64", 25, 3), *tone(3), "-c:v", "mpeg2video", "-c:a", "mp2", "-ar", str(rate),
            "-output_ts_offset", str(start), path,
        )  # fmt: skip
        joined += path.read_bytes()
    path = tmp_path / "joined.ts"
    path.write_bytes(joined)
    track, file = await encode_audio(children, path, tmp_path / "audio")
    played = decode(file)
    assert played.samples / played.rate == pytest.approx(6, abs=0.2)
    assert all(later > earlier for earlier, later in pairwise(played.times))
    assert sum(segment.duration_ticks for segment in track.segments) == pytest.approx(played.samples, abs=2048)
