"""What is copied is the source, bit by bit and picture by picture, in segments that a player can begin with anywhere."""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import pytest
from clips import BOTTLES, BUNNY, Clips, ffmpeg, picture
from encoding import Encoded, encode, encode_chunk
from playback import decode
from test_probe import probe

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.errors import CannotBeCopied
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

REMUX = Settings.model_validate(
    {
        "transcode": {
            "remux": True,
            "codecs": ["h264", "hevc", "av1"],
            "max_bitrate_1080p": 50_000_000,
            "presets": {"h264": "ultrafast"},
        }
    }
)

X264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "40"]
X265 = ["-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "40"]
CLOSED = "log-level=error:open-gop=0"
SVT_AV1 = ["-c:v", "libsvtav1", "-preset", "12", "-pix_fmt", "yuv420p", "-g", "40"]

FITTING: dict[str, tuple[str, list[str]]] = {
    "H.264 with B-frames and an edit list": ("a.mp4", [*X264, "-bf", "3"]),
    "H.264 that reorders deeply": ("deep.mp4", [*X264, "-bf", "8", "-x264-params", "b-pyramid=normal:ref=6"]),
    "H.264 without B-frames": ("plain.mp4", [*X264, "-bf", "0"]),
    "H.264 in Matroska": ("a.mkv", [*X264, "-bf", "3"]),
    "H.264 in fragments": ("f.mp4", [*X264, "-bf", "3", "-movflags", "frag_keyframe+empty_moov"]),
    "variable frame rate": (
        "vfr.mkv",
        [*X264, "-bf", "3", "-vf", "select='not(mod(n,7)*mod(n,3))'", "-fps_mode", "vfr"],
    ),
    "starts late": ("late.mkv", [*X264, "-bf", "3", "-output_ts_offset", "3.7"]),
    "rare key frames": ("rare.mp4", [*X264, "-g", "150", "-bf", "2"]),
    "HEVC": ("hevc.mp4", [*X265, "-tag:v", "hev1", "-x265-params", CLOSED]),
    "HEVC in Matroska": ("hevc.mkv", [*X265, "-x265-params", CLOSED]),
    "AV1": ("av1.mp4", SVT_AV1),
    "AV1 in Matroska": ("av1.mkv", SVT_AV1),
}


@pytest.fixture(scope="module")
def make(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """8 s of each kind of FITTING, made once."""
    folder = tmp_path_factory.mktemp("fitting")

    def made(kind: str) -> Path:
        name, arguments = FITTING[kind]
        if not (folder / name).exists():
            ffmpeg(*picture("192x108", 25, 8), *arguments, folder / name)
        return folder / name

    return made


@dataclass(frozen=True)
class Sample:
    time: Fraction
    is_key: bool
    data: bytes


def samples(path: Path) -> list[Sample]:
    """Every packet of the video, in the order of the file."""
    with av.open(str(path)) as container:
        return [
            Sample(packet.pts * packet.time_base, packet.is_keyframe, bytes(packet))
            for packet in container.demux(video=0)
            if packet.size
        ]


async def copied(children: MediaChildren, path: Path, folder: Path) -> Encoded:
    encoded = await encode(children, path, folder, REMUX)
    assert encoded.plan.warnings == []
    [rendition] = encoded.plan.renditions
    assert rendition.is_copy
    return encoded


every_kind = pytest.mark.parametrize("kind", FITTING)


@every_kind
async def test_every_packet_of_the_source_is_there_bit_by_bit_and_at_its_time(
    children: MediaChildren, make: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    path = make(kind)
    encoded = await copied(children, path, tmp_path / "out")
    [name] = encoded.tracks
    before, after = samples(path), samples(encoded.file(name, tmp_path))
    assert [sample.data for sample in after] == [sample.data for sample in before]
    assert [sample.is_key for sample in after] == [sample.is_key for sample in before]
    first = min(sample.time for sample in before)
    times = [float(sample.time - first) for sample in before]
    assert [float(sample.time) for sample in after] == pytest.approx(times, abs=1 / VIDEO_TIMESCALE)
    assert encoded.tracks[name].frames == len(before)


@pytest.mark.parametrize(
    ("kind", "begins"), [("H.264 in Matroska", "avc1.6400"), ("HEVC", "hvc1.1."), ("AV1", "av01.0.")]
)
async def test_its_codec_is_told_before_it_is_copied(
    children: MediaChildren, make: Callable[[str], Path], tmp_path: Path, kind: str, begins: str
) -> None:
    """As Apple's players want it: this HEVC came as hev1."""
    encoded = await copied(children, make(kind), tmp_path / "out")
    [rendition] = encoded.plan.renditions
    told = encoded.tracks[rendition.name].codec_string
    assert rendition.codec_string == told
    assert told.startswith(begins)
    with av.open(str(encoded.file(rendition.name, tmp_path))) as container:
        assert container.streams.video[0].codec_context.codec_tag == told.split(".")[0]


@every_kind
async def test_segments_cover_the_film_and_each_plays_by_itself(
    children: MediaChildren, make: Callable[[str], Path], tmp_path: Path, kind: str
) -> None:
    encoded = await copied(children, make(kind), tmp_path / "out")
    [name] = encoded.tracks
    segments = encoded.tracks[name].segments
    played = decode(encoded.file(name, tmp_path))
    folder = tmp_path / "out" / "0" / name
    found: list[float] = []
    for segment in segments:
        alone = tmp_path / "alone.mp4"
        alone.write_bytes((folder / "init.mp4").read_bytes() + (folder / segment.file_name).read_bytes())
        times = decode(alone).times
        assert times[0] == pytest.approx(segment.start_ticks / VIDEO_TIMESCALE, abs=1e-5)
        found += times
    assert found == pytest.approx(played.times, abs=1e-6)
    assert segments[0].start_ticks == 0
    for segment, following in pairwise(segments):
        assert segment.start_ticks + segment.duration_ticks == following.start_ticks
    end = (segments[-1].start_ticks + segments[-1].duration_ticks) / VIDEO_TIMESCALE
    assert end == pytest.approx(encoded.source.duration, abs=1e-3)


async def test_segments_begin_with_the_first_key_frame_behind_each_multiple_of_their_length(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await copied(children, clips.copyable, tmp_path / "out")
    segments = encoded.tracks["180p"].segments
    assert [segment.start_ticks / VIDEO_TIMESCALE for segment in segments] == [0, 4.8, 9.6, 12]
    keys = [key.ticks / VIDEO_TIMESCALE for segment in segments for key in segment.key_frames]
    assert keys == pytest.approx([0, 2.4, 4.8, 7.2, 9.6, 12])


async def test_decode_times_only_go_up_and_are_never_behind_the_presentation(
    children: MediaChildren, make: Callable[[str], Path], tmp_path: Path
) -> None:
    encoded = await copied(children, make("H.264 that reorders deeply"), tmp_path / "out")
    [name] = encoded.tracks
    with av.open(str(encoded.file(name, tmp_path))) as container:
        stamps = [(packet.dts, packet.pts) for packet in container.demux(video=0) if packet.size]
    assert all(earlier < later for (earlier, _), (later, _) in pairwise(stamps))
    assert all(decode_time <= shown for decode_time, shown in stamps)


@pytest.mark.parametrize("path", [BUNNY, BOTTLES], ids=lambda path: path.stem)
async def test_real_films_are_copied(children: MediaChildren, tmp_path: Path, path: Path) -> None:
    encoded = await copied(children, path, tmp_path / "out")
    [name] = encoded.tracks
    assert [s.data for s in samples(encoded.file(name, tmp_path))] == [s.data for s in samples(path)]


UNFIT: dict[str, tuple[str, list[str], str]] = {
    "open GOPs": ("open.mp4", [*X264, "-bf", "3", "-x264-params", "open-gop=1"], "open GOPs"),
    "open GOPs of HEVC": ("open.mkv", [*X265, "-x265-params", "log-level=error:open-gop=1"], "open GOPs"),
    "recovery points": ("refresh.mp4", [*X264, "-x264-params", "intra-refresh=1"], "open GOPs"),
    "10 bit": ("ten.mp4", [*X264, "-pix_fmt", "yuv420p10le"], "High 10 in yuv420p10le"),
    "4:4:4": ("full.mp4", [*X264, "-pix_fmt", "yuv444p"], "High 4:4:4 Predictive in yuv444p"),
    "a transport stream": ("a.ts", X264, "does not say in its header"),
    "interlaced": ("i.mp4", [*X264, "-flags", "+ilme+ildct"], "interlaced"),
    "pixels that are not square": ("sar.mp4", [*X264, "-vf", "setsar=4/3"], "not square"),
    "120 frames per second": ("fast.mp4", [*X264, "-r", "120"], "120 frames per second"),
    "one key frame": ("one.mp4", [*X264, "-g", "1000", "-sc_threshold", "0"], "key frames are up to 12.0 s apart"),
    "another codec": ("v.webm", ["-c:v", "libvpx", "-deadline", "realtime"], "its codec is vp8"),
}


@pytest.mark.parametrize("kind", UNFIT)
async def test_what_does_not_fit_is_planned_to_be_encoded(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    name, arguments, said = UNFIT[kind]
    ffmpeg(*picture("192x108", 25, 12), *arguments, tmp_path / name)
    plan = make_plan(await probe(children, tmp_path / name), REMUX)
    assert not plan.is_copy
    [warning] = plan.warnings
    assert said in warning


async def test_what_an_edit_list_cuts_away_is_not_copied(
    children: MediaChildren, make: Callable[[str], Path], tmp_path: Path
) -> None:
    """Cut between two key frames: pictures before the cut are in the file, to be decoded but not shown."""
    ffmpeg("-ss", "2.2", "-i", make("H.264 with B-frames and an edit list"), "-c", "copy", tmp_path / "cut.mp4")
    plan = make_plan(await probe(children, tmp_path / "cut.mp4"), REMUX)
    assert plan.warnings == ["The video was encoded, not copied: some of it is damaged, or cut away by an edit list."]


async def test_a_phone_held_upright_is_not_copied(children: MediaChildren, clips: Clips) -> None:
    assert "turned by" in make_plan(await probe(children, clips.turned), REMUX).warnings[0]


# ── what only shows while it is decoded ─────────────────────────────────────────────────────────────────────────────
async def test_damage_inside_a_picture_is_never_copied(
    children: MediaChildren, make: Callable[[str], Path], tmp_path: Path
) -> None:
    """All packets are there, and the probe finds nothing wrong with them."""
    data = bytearray(make("H.264 with B-frames and an edit list").read_bytes())
    middle = data.index(b"mdat") + 4 + (len(data) - data.index(b"mdat")) // 2
    for at in range(middle, middle + 400):
        data[at] ^= 0x55
    damaged = tmp_path / "damaged.mp4"
    damaged.write_bytes(data)
    with pytest.raises(CannotBeCopied, match=r"The video was encoded, not copied: it is damaged.* begins at \d\.\d s"):
        await copied(children, damaged, tmp_path / "out")


async def test_a_size_that_changes_on_the_way_is_never_copied(children: MediaChildren, tmp_path: Path) -> None:
    for number, size in enumerate(["320x180", "160x90"]):
        arguments = [*X264, "-x264-params", "repeat-headers=1"]
        ffmpeg(*picture(size, 25, 2), *arguments, tmp_path / f"{number}.mkv")
    (tmp_path / "list").write_text("file 0.mkv\nfile 1.mkv\n")
    ffmpeg("-f", "concat", "-i", tmp_path / "list", "-c", "copy", tmp_path / "both.mkv")
    source = await probe(children, tmp_path / "both.mkv")
    assert make_plan(source, REMUX).warnings == ["The video was encoded, not copied: its size changes on the way."]
    source.video_required.changing.clear()  # As if the packets had not told.
    plan = make_plan(source, REMUX)
    with pytest.raises(CannotBeCopied, match=r"its format changes at 2\.0 s"):
        await encode_chunk(children, tmp_path / "both.mkv", source, plan, plan.chunks[0], tmp_path / "out")
