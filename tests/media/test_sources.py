"""Any reasonable source comes out right: seen by the pixels and the time stamps at the other end (docs/sources.md)."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import X264, ffmpeg, picture, tone
from encoding import encode
from numpy.typing import NDArray
from patches import BARS, FFV1, Kind, patches, plane_of, seen, write_raw
from playback import decode
from test_probe import probe

from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

PRESETS = {"h264": "ultrafast", "hevc": "ultrafast", "av1": "12"}
CLOSE = 5 / 255
"""What 8-bit limited range, subsampled and encoded twice, may be off."""


def settings(*codecs: str) -> Settings:
    transcode = {"codecs": codecs, "presets": PRESETS, "crf": {"h264": 10, "hevc": 10, "av1": 10}}
    return Settings.model_validate({"transcode": transcode, "validation": {"enabled": False}})


H264 = settings("h264")


# ── colours ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("full_range", [False, True], ids=["limited", "full"])
@pytest.mark.parametrize("matrix", [1, 5, 6, 7], ids=["709", "601-625", "601-525", "240M"])
async def test_bars_of_every_matrix_and_range_show_the_same_colors(
    children: MediaChildren, tmp_path: Path, matrix: int, full_range: bool
) -> None:
    path = patches(tmp_path / "bars.mkv", BARS, Kind(matrix, matrix, 1, full_range=full_range))
    encoded = await encode(children, path, tmp_path / "out", H264)
    shown = seen(encoded.file("180p", tmp_path), len(BARS))
    assert shown.signal == pytest.approx(BARS, abs=CLOSE)
    assert shown.range == 1
    assert shown.matrix == (matrix if matrix != 7 else 1)


@pytest.mark.parametrize(("size", "matrix"), [((320, 180), 6), ((1280, 720), 1)])
async def test_untagged_colors_are_taken_for_what_players_take_them(
    children: MediaChildren, tmp_path: Path, size: tuple[int, int], matrix: int
) -> None:
    """And every rendition says so, whatever its own size would make a player think."""
    path = patches(tmp_path / "bars.mkv", BARS, Kind(matrix, tell_matrix=False, size=size))
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert encoded.source.warnings == []
    for name in encoded.tracks:
        shown = seen(encoded.file(name, tmp_path), len(BARS))
        assert shown.signal == pytest.approx(BARS, abs=CLOSE)
        assert (shown.matrix, shown.primaries, shown.transfer) == (matrix, matrix, 1)


@pytest.mark.parametrize("pixel_format", ["yuv422p", "yuv444p", "yuv411p", "yuv422p10le", "yuv420p10le", "yuv444p12le"])
async def test_every_sampling_and_depth_shows_the_same_colors(
    children: MediaChildren, tmp_path: Path, pixel_format: str
) -> None:
    bits = int(pixel_format.partition("p")[2].removesuffix("le") or 8)
    path = patches(tmp_path / "bars.mkv", BARS, Kind(1, 1, 1, bits=bits, pixel_format=pixel_format))
    encoded = await encode(children, path, tmp_path / "out", H264)
    shown = seen(encoded.file("180p", tmp_path), len(BARS))
    assert shown.pixel_format == "yuv420p"
    assert shown.signal == pytest.approx(BARS, abs=CLOSE)


@pytest.mark.parametrize("codec", ["hevc", "av1"])
async def test_ten_bits_stay_ten_bits_in_hevc_and_av1(children: MediaChildren, tmp_path: Path, codec: str) -> None:
    """A gentle slope that has no steps: eight bits would have 20 of them."""
    slope = np.repeat(np.linspace(0.4, 0.49, 80)[:, None], 3, axis=1)
    path = patches(tmp_path / "slope.mkv", slope, Kind(1, 1, 1, bits=10, pixel_format="yuv420p10le"))
    encoded = await encode(children, path, tmp_path / "out", settings(codec))
    shown = seen(encoded.file("180p", tmp_path), 80)
    assert shown.pixel_format == "yuv420p10le"
    assert shown.signal == pytest.approx(slope, abs=3 / 1023)
    assert len(np.unique(shown.signal.mean(axis=1).round(5))) > 40


PALETTE = "split[a][b];[a]palettegen[p];[b][p]paletteuse=dither=none"


@pytest.mark.parametrize(
    ("pixel_format", "coding"),
    [
        ("rgb24", ["-c:v", "qtrle"]),
        ("bgr0", ["-c:v", "ffv1"]),
        ("gbrp", ["-c:v", "libx264rgb", "-qp", "0"]),
        ("gbrp10le", ["-vf", "format=gbrp10le", "-c:v", "ffv1"]),
        ("pal8", ["-vf", PALETTE, "-c:v", "png"]),
    ],
)
async def test_rgb_shows_the_same_colors(
    children: MediaChildren, tmp_path: Path, pixel_format: str, coding: list[str]
) -> None:
    row = (BARS * 255).round().astype(np.uint8)[np.arange(320) * len(BARS) // 320]
    raw = np.broadcast_to(row, (180, 320, 3)).tobytes() * 10
    path = tmp_path / ("a.mov" if pixel_format in {"rgb24", "pal8"} else "a.mkv")
    write_raw(path, raw, "rgb24", (320, 180), *coding)
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert encoded.source.video_required.pixel_format == pixel_format
    shown = seen(encoded.file("180p", tmp_path), len(BARS))
    assert shown.signal == pytest.approx(BARS, abs=CLOSE)
    assert shown.matrix == 1


@pytest.mark.parametrize("pixel_format", ["gray", "gray10le"])
async def test_gray_stays_gray(children: MediaChildren, tmp_path: Path, pixel_format: str) -> None:
    levels = np.repeat(np.linspace(0, 1, 8)[:, None], 3, axis=1)
    depth = 255 if pixel_format == "gray" else 1023
    row = (levels[:, 0] * depth).round()[np.arange(320) * 8 // 320].astype("u1" if depth == 255 else "<u2")
    write_raw(tmp_path / "gray.mkv", np.broadcast_to(row, (180, 320)).tobytes() * 10, pixel_format, (320, 180), *FFV1)
    encoded = await encode(children, tmp_path / "gray.mkv", tmp_path / "out", H264)
    assert seen(encoded.file("180p", tmp_path), 8).signal == pytest.approx(levels, abs=CLOSE)


@pytest.mark.parametrize("codec", ["qtrle", "png", "ffv1", "prores_ks"])
async def test_what_is_transparent_is_shown_on_black(children: MediaChildren, tmp_path: Path, codec: str) -> None:
    """Red, from nothing to opaque."""
    share = np.linspace(0, 1, 8)
    row = np.array([[200, 40, 40, round(255 * each)] for each in share], np.uint8)[np.arange(320) * 8 // 320]
    raw = np.broadcast_to(row, (180, 320, 4)).tobytes()
    arguments = {"ffv1": ["-vf", "format=yuva420p"], "prores_ks": ["-vf", "format=yuva444p10le"]}.get(codec, [])
    path = tmp_path / ("a.mkv" if codec == "ffv1" else "a.mov")
    write_raw(path, raw * 10, "rgba", (320, 180), *arguments, "-c:v", codec)
    encoded = await encode(children, path, tmp_path / "out", H264)
    wanted = np.array([200, 40, 40]) / 255 * share[:, None]
    assert seen(encoded.file("180p", tmp_path), 8).signal == pytest.approx(wanted, abs=0.03)


async def test_motion_jpeg_is_of_full_range(children: MediaChildren, tmp_path: Path) -> None:
    kind = Kind(5, full_range=True, pixel_format="yuvj420p", codec=("-c:v", "mjpeg", "-q:v", "1"))
    encoded = await encode(children, patches(tmp_path / "a.avi", BARS, kind), tmp_path / "out", H264)
    assert seen(encoded.file("180p", tmp_path), len(BARS)).signal == pytest.approx(BARS, abs=CLOSE)


@pytest.mark.parametrize(
    ("tags", "complaint"),
    [
        ("colour_primaries=9:transfer_characteristics=16:matrix_coefficients=9", "tagged as HDR (PQ), but have 8 bits"),
        (
            "colour_primaries=9:transfer_characteristics=18:matrix_coefficients=9",
            "tagged as HDR (HLG), but have 8 bits",
        ),
        ("colour_primaries=6:transfer_characteristics=6:matrix_coefficients=0", "matrix is tagged as GBR"),
        ("colour_primaries=6:transfer_characteristics=6:matrix_coefficients=8", "matrix is tagged as YCgCo"),
        ("colour_primaries=3:transfer_characteristics=3:matrix_coefficients=3", None),
        ("colour_primaries=200:transfer_characteristics=200:matrix_coefficients=200", None),
    ],
)
async def test_wrong_color_tags_change_no_color(
    children: MediaChildren, tmp_path: Path, tags: str, complaint: str | None
) -> None:
    """The pixels are BT.601's, whatever is said of them."""
    kind = Kind(6, tell_matrix=False, codec=("-c:v", "libx264", "-qp", "4"))
    honest = patches(tmp_path / "honest.mp4", BARS, kind)
    ffmpeg("-i", honest, "-c", "copy", "-bsf:v", f"h264_metadata={tags}", tmp_path / "lying.ts")
    encoded = await encode(children, tmp_path / "lying.ts", tmp_path / "out", H264)
    shown = seen(encoded.file("180p", tmp_path), len(BARS))
    assert shown.signal == pytest.approx(BARS, abs=CLOSE)
    assert shown.transfer in {1, 6}
    assert shown.primaries in {1, 6}
    if complaint:
        assert any(complaint in warning for warning in encoded.plan.warnings)


# ── shape ───────────────────────────────────────────────────────────────────────────────────────────────────────────
CORNERS = np.array([[200, 60], [120, 20]])
"""Brightness of the four quarters: no two ways to hold the picture look alike."""


def quarters(path: Path, *arguments: str, size: tuple[int, int] = (320, 180)) -> Path:
    width, height = size
    luma = np.kron(CORNERS, np.ones((height // 2, width // 2))).astype(np.uint8)
    raw = luma.tobytes() + b"\x80" * (width * height // 2)
    write_raw(path, raw * 10, "yuv420p", size, *(arguments or ("-c:v", "libx264", "-qp", "4")))
    return path


def corners(path: Path) -> NDArray[np.int64]:
    with av.open(str(path)) as container:
        luma = plane_of(next(iter(container.decode(video=0))), 0).astype(int)
    height, width = luma.shape
    return luma[np.ix_([height // 4, 3 * height // 4], [width // 4, 3 * width // 4])]


@pytest.mark.parametrize("flips", [[], ["-display_hflip"], ["-display_vflip"], ["-display_hflip", "-display_vflip"]])
@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
async def test_every_way_to_hold_a_camera_comes_out_upright(
    children: MediaChildren, tmp_path: Path, degrees: int, flips: list[str]
) -> None:
    """As ffmpeg, which turns pictures by itself, shows it."""
    flat = quarters(tmp_path / "flat.mp4")
    ffmpeg("-display_rotation", str(degrees), *flips, "-i", flat, "-c", "copy", tmp_path / "held.mp4")
    ffmpeg("-i", tmp_path / "held.mp4", "-c:v", "ffv1", tmp_path / "upright.mkv")
    encoded = await encode(children, tmp_path / "held.mp4", tmp_path / "out", H264)
    shown = encoded.file("180p", tmp_path)
    assert decode(shown).sizes == decode(tmp_path / "upright.mkv").sizes
    assert corners(shown) == pytest.approx(corners(tmp_path / "upright.mkv"), abs=4)


@pytest.mark.parametrize(("ratio", "size"), [("64/45", (512, 288)), ("1/2", (360, 576))])
async def test_pixels_that_are_not_square_are_stretched_to_be(
    children: MediaChildren, tmp_path: Path, ratio: str, size: tuple[int, int]
) -> None:
    path = quarters(tmp_path / "a.mp4", "-vf", f"setsar={ratio}", "-c:v", "libx264", size=(360, 288))
    encoded = await encode(children, path, tmp_path / "out", H264)
    top = encoded.plan.renditions[0]
    assert (top.width, top.height) == size
    with av.open(str(encoded.file(top.name, tmp_path))) as container:
        assert container.streams.video[0].sample_aspect_ratio in {None, 1}
    assert corners(encoded.file(top.name, tmp_path)) == pytest.approx(CORNERS, abs=5)


@pytest.mark.parametrize("kind", ["h264 ts", "vp9 webm"])
async def test_a_resolution_that_changes_on_the_way_keeps_its_shape(
    children: MediaChildren, tmp_path: Path, kind: str
) -> None:
    """The rendition keeps its size; a half as large picture fills it, one of another shape gets black bars."""
    codec, ending = kind.split()
    coding = ["-c:v", "libx264", "-qp", "4"] if codec == "h264" else ["-c:v", "libvpx-vp9", "-deadline", "realtime"]
    sizes = [(320, 180), (160, 90), (160, 120)]
    pieces = [quarters(tmp_path / f"{n}.{ending}", *coding, size=size) for n, size in enumerate(sizes)]
    (tmp_path / "list.txt").write_text("".join(f"file '{piece}'\n" for piece in pieces))
    path = tmp_path / f"all.{ending}"
    ffmpeg("-f", "concat", "-safe", "0", "-i", tmp_path / "list.txt", "-c", "copy", path)
    encoded = await encode(children, path, tmp_path / "out", H264)
    played = decode(encoded.file("180p", tmp_path))
    assert played.sizes == {(320, 180)}
    assert played.frame_count == 30
    with av.open(str(encoded.file("180p", tmp_path))) as container:
        lumas = [plane_of(frame, 0).astype(int) for frame in container.decode(video=0)]
    for luma in (lumas[5], lumas[15]):
        assert luma[np.ix_([45, 135], [80, 240])] == pytest.approx(CORNERS, abs=6)
        assert luma[45, 4] == pytest.approx(200, abs=6)
    narrow = lumas[25]
    assert narrow[np.ix_([45, 135], [100, 220])] == pytest.approx(CORNERS, abs=6)
    assert narrow[:, :36].max() < 24
    assert narrow[:, -36:].max() < 24
    assert narrow[45, 46] > 180


# ── time ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_variable_frame_rate_keeps_every_time(children: MediaChildren, tmp_path: Path) -> None:
    times = [0, 1, 2, 5, 6, 20, 21, 23, 40, 41]
    chosen = "+".join(f"eq(n,{time})" for time in times)
    path = tmp_path / "vfr.mkv"
    ffmpeg(*picture("320x180", 25, 2), "-vf", f"select='{chosen}'", "-fps_mode", "vfr", *X264, path)
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert encoded.source.video_required.variable_frame_rate
    assert decode(encoded.file("180p", tmp_path)).times == pytest.approx([time / 25 for time in times], abs=0.001)


async def test_the_highest_frame_rate_is_that_of_the_fastest_passage(children: MediaChildren, tmp_path: Path) -> None:
    """A screen recording: at rest ten pictures a second, and sixty while somebody scrolls."""
    path = tmp_path / "screen.mkv"
    ffmpeg(*picture("320x180", 60, 6), "-vf", "select='between(t,2,3)+not(mod(n,6))'", "-fps_mode", "vfr", *X264, path)
    source = await probe(children, path)
    assert source.video_required.highest_frame_rate == 60
    ffmpeg(*picture("320x180", 60, 2), *X264, tmp_path / "even.mkv")
    even = (await probe(children, tmp_path / "even.mkv")).video_required
    assert even.highest_frame_rate == even.frame_rate == 60


@pytest.mark.parametrize(
    ("ending", "offset"),
    [("mkv", "-0.6"), ("ts", "-0.6"), *((e, o) for e in ("mkv", "ts", "mp4", "nut") for o in ("0.7", "9000", "95000"))],
)
async def test_whenever_its_clock_begins_a_stream_begins_at_zero(
    children: MediaChildren, tmp_path: Path, offset: str, ending: str
) -> None:
    """Negative, late, and beyond the 26 hours at which the clock of MPEG-TS begins again."""
    path = tmp_path / f"a.{ending}"
    shifted = ["-output_ts_offset", offset, "-avoid_negative_ts", "disabled"]
    ffmpeg(*picture("320x180", 25, 1), *tone(1), *X264, "-bf", "2", "-c:a", "aac", *shifted, path)
    encoded = await encode(children, path, tmp_path / "out", H264)
    played = decode(encoded.file("180p", tmp_path))
    assert played.frame_count == encoded.source.video_required.frame_count >= 24
    assert played.times[0] == 0
    assert [b - a for a, b in pairwise(played.times)] == pytest.approx([0.04] * (played.frame_count - 1), abs=0.002)


def with_avi_rate(path: Path, rate: int, scale: int) -> None:
    """The header of the video stream says `rate` / `scale` pictures per second (AVISTREAMHEADER)."""
    data = bytearray(path.read_bytes())
    at = data.index(b"strhvids"[:4] + data[data.index(b"strh") + 4 : data.index(b"strh") + 8] + b"vids") + 8
    data[at + 20 : at + 28] = scale.to_bytes(4, "little") + rate.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize(("rate", "scale"), [(90_000, 1), (0, 0), (0, 1), (25, 0)])
async def test_an_absurd_frame_rate_is_replaced(children: MediaChildren, tmp_path: Path, rate: int, scale: int) -> None:
    path = tmp_path / "a.avi"
    ffmpeg(*picture("320x180", 25, 2), "-c:v", "mpeg4", path)
    with_avi_rate(path, rate, scale)
    encoded = await encode(children, path, tmp_path / "out", H264)
    played = decode(encoded.file("180p", tmp_path))
    assert encoded.source.video_required.frame_rate == 25
    assert played.frame_count == 50
    assert played.times == pytest.approx([number / 25 for number in range(50)], abs=0.001)
    assert bool(encoded.plan.warnings) == (rate == 90_000)


@pytest.mark.parametrize("ending", ["mkv", "mp4", "ts"])
async def test_a_frame_rate_that_only_the_codec_claims_is_not_believed(
    children: MediaChildren, tmp_path: Path, ending: str
) -> None:
    ffmpeg(*picture("320x180", 25, 2), *X264, tmp_path / "honest.mp4")
    lying = ["-c", "copy", "-bsf:v", "h264_metadata=tick_rate=180000"]
    ffmpeg("-i", tmp_path / "honest.mp4", *lying, tmp_path / f"a.{ending}")
    encoded = await encode(children, tmp_path / f"a.{ending}", tmp_path / "out", H264)
    assert encoded.source.video_required.frame_rate == pytest.approx(25)
    assert decode(encoded.file("180p", tmp_path)).times == pytest.approx([n / 25 for n in range(50)], abs=0.001)


async def test_a_single_picture_is_a_whole_stream(children: MediaChildren, tmp_path: Path) -> None:
    path = quarters(tmp_path / "all.mp4")
    ffmpeg("-i", path, "-frames:v", "1", "-c", "copy", tmp_path / "one.mp4")
    encoded = await encode(children, tmp_path / "one.mp4", tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).times == [0]
    assert corners(encoded.file("180p", tmp_path)) == pytest.approx(CORNERS, abs=4)


# ── what else is in the file ────────────────────────────────────────────────────────────────────────────────────────
async def test_of_several_videos_the_default_one_is_taken_and_the_others_are_named(
    children: MediaChildren, tmp_path: Path
) -> None:
    small, large = picture("160x90", 25, 1), picture("320x180", 25, 1)
    both = ["-map", "0", "-map", "1", *X264]
    equal = tmp_path / "equal.mkv"
    ffmpeg(*small, *large, *both, "-disposition:v", "0", equal)
    source = await probe(children, equal)
    assert (source.video_required.width, source.video_required.index) == (320, 1)
    assert source.warnings == ["The file has 2 video streams; number 1 (320×180) is used, number 0 (160×90) left out."]
    told = tmp_path / "told.mkv"
    ffmpeg(*small, *large, *both, "-disposition:v:0", "default", "-disposition:v:1", "0", told)
    source = await probe(children, told)
    assert (source.video_required.width, source.video_required.index) == (160, 0)
    encoded = await encode(children, told, tmp_path / "out", H264)
    assert decode(encoded.file("90p", tmp_path)).sizes == {(160, 90)}
    assert encoded.plan.warnings == source.warnings


async def test_cover_art_is_not_the_film(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*picture("1280x720", 25, 0.04), tmp_path / "cover.png")
    covered = ["-map", "0", "-map", "1", *X264, "-c:v:1", "png", "-disposition:v:1", "attached_pic"]
    ffmpeg(*picture("320x180", 25, 1), "-i", tmp_path / "cover.png", *covered, tmp_path / "a.mp4")
    encoded = await encode(children, tmp_path / "a.mp4", tmp_path / "out", H264)
    played = decode(encoded.file("180p", tmp_path))
    assert (played.frame_count, played.sizes) == (25, {(320, 180)})
    assert encoded.plan.warnings == []


async def test_timecode_data_and_attachments_do_no_harm(children: MediaChildren, tmp_path: Path) -> None:
    ffmpeg(*picture("320x180", 25, 1), *X264, "-timecode", "01:00:00:00", tmp_path / "timecode.mov")
    (tmp_path / "font.ttf").write_bytes(bytes(1000))
    attached = ["-attach", tmp_path / "font.ttf", "-metadata:s:t", "mimetype=font/ttf"]
    ffmpeg(*picture("320x180", 25, 1), *attached, *X264, tmp_path / "attachment.mkv")
    for name in ("timecode.mov", "attachment.mkv"):
        with av.open(str(tmp_path / name)) as container:
            assert len(container.streams) == 2
        encoded = await encode(children, tmp_path / name, tmp_path / f"out-{name}", H264)
        assert decode(encoded.file("180p", tmp_path)).frame_count == 25
        assert encoded.plan.warnings == []
