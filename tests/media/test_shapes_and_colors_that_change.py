"""Size, pixel shape, crop, colours, range and the way to hold a picture may change at any picture: seen by the pixels that
come out (docs/sources.md)."""

from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg
from encoding import Encoded, encode
from numpy.typing import NDArray
from patches import BARS, Kind, patches, plane_of, rgb, write_raw
from playback import decode
from test_probe import probe
from test_sources import CLOSE, H264, corners, quarters

from streamforge.errors import UnsupportedDimensions
from streamforge.media.child import MediaChildren

CASES = Path(__file__).parent / "cases" / "pictures"


def lumas(path: Path) -> list[NDArray[np.int64]]:
    with av.open(str(path)) as container:
        return [plane_of(frame, 0).astype(int) for frame in container.decode(video=0)]


def joined(path: Path, pieces: Sequence[Path]) -> Path:
    """One behind the other, packets untouched; each piece brings its own headers along."""
    listed = path.with_suffix(".txt")
    listed.write_text("".join(f"file '{piece}'\n" for piece in pieces))
    ffmpeg("-f", "concat", "-safe", "0", "-i", listed, "-c", "copy", path)
    return path


# ── pixel shape ─────────────────────────────────────────────────────────────────────────────────────────────────────
def disc(path: Path, size: tuple[int, int], shape: str, coding: Sequence[str], seconds: float = 1) -> Path:
    """A bright disc on dark ground that is round when pixels have this shape."""
    (width, height), (across, down) = size, map(int, shape.split("/"))
    x, y = np.arange(width) - (width - 1) / 2, np.arange(height) - (height - 1) / 2
    distance = np.hypot(x[None, :] * across / down, y[:, None])
    luma = np.where(distance < height / 3, 200, 40).astype(np.uint8)
    raw = luma.tobytes() + b"\x80" * (width * height // 2)
    write_raw(path, raw * round(25 * seconds), "yuv420p", size, "-vf", f"setsar={shape}", *coding)
    return path


def roundness(luma: NDArray[np.int64], level: int = 120) -> float:
    """Width by height of what is bright; what is small and bright in a corner does not count."""
    bright = luma > level
    across, down = bright.sum(axis=1).max(), bright.sum(axis=0).max()
    return float(across / down)


def top(encoded: Encoded, tmp_path: Path) -> list[NDArray[np.int64]]:
    """Luma of all pictures of the best rendition."""
    return lumas(encoded.file(encoded.plan.renditions[0].name, tmp_path))


async def test_pixels_that_change_their_shape_keep_a_circle_round(children: MediaChildren, tmp_path: Path) -> None:
    encoded = await encode(children, CASES / "sar_change.ts", tmp_path / "out", H264)
    shown = top(encoded, tmp_path)
    assert len(shown) == 150
    assert shown[0].shape == (576, 1024)
    for number in (25, 73, 74, 75, 76, 125):
        assert roundness(shown[number]) == pytest.approx(1, abs=0.02), number
    assert shown[125][:, :100].max() < 24


ONTO_MKV = ("-c:v", "libx264", "-qp", "10", "-bf", "2")
SHAPES = {
    "H.264 in Matroska, whose header has the first one": ("ts", "mkv", ONTO_MKV),
    "H.264 in a transport stream": ("ts", "ts", ONTO_MKV),
    "MPEG-4 in Matroska": ("avi", "mkv", ("-c:v", "mpeg4", "-q:v", "2")),
    "HEVC in a transport stream": ("ts", "ts", ("-c:v", "libx265", "-x265-params", "log-level=error:qp=10")),
}


@pytest.mark.parametrize("kind", SHAPES)
async def test_whatever_codec_tells_the_shape_of_its_pixels_is_heard(
    children: MediaChildren, tmp_path: Path, kind: str
) -> None:
    """The wider pixels come second, so the film is as wide as these make it; both shapes, and back again."""
    piece, whole, coding = SHAPES[kind]
    shapes = ["16/15", "64/45", "16/15"]
    pieces = [disc(tmp_path / f"{n}.{piece}", (180, 144), shape, coding) for n, shape in enumerate(shapes)]
    encoded = await encode(children, joined(tmp_path / f"all.{whole}", pieces), tmp_path / "out", H264)
    shown = top(encoded, tmp_path)
    assert (encoded.plan.renditions[0].width, encoded.plan.renditions[0].height) == (256, 144)
    assert len(shown) == 75
    for number in (2, 20, 27, 40, 52, 70):
        assert roundness(shown[number]) == pytest.approx(1, abs=0.02), number


async def test_what_the_container_alone_tells_of_pixels_holds_for_all(children: MediaChildren, tmp_path: Path) -> None:
    flat = disc(tmp_path / "flat.mp4", (180, 144), "1/1", ONTO_MKV)
    ffmpeg("-i", flat, "-c", "copy", "-aspect", "4:3", tmp_path / "told.mp4")
    encoded = await encode(children, tmp_path / "told.mp4", tmp_path / "out", H264)
    assert encoded.source.pictures.width == 192
    assert roundness(top(encoded, tmp_path)[12]) == pytest.approx(16 / 15, abs=0.02)


async def test_an_anamorphic_film_that_becomes_high_definition_keeps_its_shape(
    children: MediaChildren, tmp_path: Path
) -> None:
    """As broadcasters go from one to the other: 16:9 in pixels of 64:45, then in square ones."""
    coding = ["-c:v", "mpeg2video", "-q:v", "2"]
    pieces = [
        disc(tmp_path / "sd.ts", (720, 576), "64/45", coding),
        disc(tmp_path / "hd.ts", (1280, 720), "1/1", coding),
    ]
    encoded = await encode(children, joined(tmp_path / "all.ts", pieces), tmp_path / "out", H264)
    shown = top(encoded, tmp_path)
    assert {luma.shape for luma in shown} == {(720, 1280)}
    for luma in (shown[5], shown[45]):
        assert roundness(luma) == pytest.approx(1, abs=0.02)
        assert (luma > 120).sum(axis=0).max() == pytest.approx(480, abs=6)


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────────────
RAMPS = {
    "VP8": ("webm", "webm", ["-c:v", "libvpx", "-deadline", "realtime", "-crf", "10", "-b:v", "2M"]),
    "VP9": ("webm", "webm", ["-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-b:v", "2M"]),
    "H.264 in a transport stream": ("ts", "ts", ["-c:v", "libx264", "-qp", "10"]),
    "H.264 in MP4, with headers in its packets": ("ts", "mp4", ["-c:v", "libx264", "-qp", "10"]),
    "HEVC in Matroska": ("ts", "mkv", ["-c:v", "libx265", "-x265-params", "log-level=error:qp=10"]),
    "MPEG-2": ("ts", "ts", ["-c:v", "mpeg2video", "-q:v", "2"]),
    "MPEG-4": ("avi", "avi", ["-c:v", "mpeg4", "-q:v", "2"]),
    "AV1": ("mkv", "mkv", ["-c:v", "libsvtav1", "-preset", "12", "-crf", "20"]),
    "Motion JPEG": ("avi", "avi", ["-c:v", "mjpeg", "-q:v", "2"]),
}


@pytest.mark.parametrize("kind", RAMPS)
async def test_the_ladder_follows_the_largest_size(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    """As a call over WebRTC begins small and becomes large."""
    piece, whole, coding = RAMPS[kind]
    sizes = [(160, 90), (320, 180), (640, 360)]
    pieces = [quarters(tmp_path / f"{n}.{piece}", *coding, size=size) for n, size in enumerate(sizes)]
    encoded = await encode(children, joined(tmp_path / f"all.{whole}", pieces), tmp_path / "out", H264)
    assert [(r.width, r.height) for r in encoded.plan.renditions] == [(640, 360)]
    shown = top(encoded, tmp_path)
    assert len(shown) == (28 if kind == "MPEG-2" else 30)  # FFmpeg loses the last picture before each change of MPEG-2.
    for luma in (shown[5], shown[14], shown[25]):
        assert luma[np.ix_([90, 270], [160, 480])] == pytest.approx(np.array([[200, 60], [120, 20]]), abs=8)


async def test_a_size_that_hardly_any_picture_has_makes_no_ladder(children: MediaChildren, tmp_path: Path) -> None:
    coding = ["-c:v", "libx264", "-preset", "ultrafast"]
    small = tmp_path / "small.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=60", *coding, "-x264-params", "stitchable=1", small)
    large = tmp_path / "large.ts"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=0.04", *coding, large)
    source = await probe(children, joined(tmp_path / "all.ts", [small, large]))
    assert (source.pictures.width, source.pictures.height) == (160, 90)
    assert source.pictures.changing == ["size"]


async def test_limits_apply_to_the_largest_picture(children: MediaChildren, tmp_path: Path) -> None:
    coding = ["-c:v", "libx264", "-qp", "20"]
    pieces = [quarters(tmp_path / f"{n}.ts", *coding, size=size) for n, size in enumerate([(160, 90), (640, 360)])]
    with pytest.raises(UnsupportedDimensions, match="640×360"):
        await probe(children, joined(tmp_path / "all.ts", pieces), max_width=320)


# ── colours ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def bars_in(path: Path, numbers: Sequence[int]) -> list[NDArray[np.float64]]:
    """R, G and B of the middle of each bar in these pictures, by the pictures' own tags."""
    with av.open(str(path)) as container:
        frames = [frame for number, frame in enumerate(container.decode(video=0)) if number in numbers]
    across = ((np.arange(len(BARS)) + 0.5) * frames[0].width / len(BARS)).astype(int)
    down = frames[0].height // 2
    found = []
    for frame in frames:
        assert int(frame.color_range) == 1
        luma, cb, cr = (plane_of(frame, n) for n in range(3))
        samples = np.stack([luma[down, across], cb[down // 2, across // 2], cr[down // 2, across // 2]], axis=-1)
        found.append(rgb(samples.astype(float), int(frame.colorspace), frame.format.components[0].bits))
    return found


async def test_colors_that_are_told_anew_on_the_way_stay_the_same(children: MediaChildren, tmp_path: Path) -> None:
    encoded = await encode(children, CASES / "colour_tags_change.ts", tmp_path / "out", H264)
    shown = bars_in(encoded.file("180p", tmp_path), [10, 49, 50, 60, 99, 100, 110])
    for colors in shown:
        assert colors == pytest.approx(BARS, abs=CLOSE)
    assert len({int(each.color.matrix) for each in encoded.plan.renditions}) == 1


TAGGED = {
    "HEVC in a transport stream": ("ts", "ts", ["-c:v", "libx265", "-x265-params", "log-level=error:qp=4"]),
    "H.264 in Matroska": ("ts", "mkv", ["-c:v", "libx264", "-qp", "4", "-bf", "2"]),
    "MPEG-2": ("ts", "ts", ["-c:v", "mpeg2video", "-q:v", "1"]),
}


@pytest.mark.parametrize("kind", TAGGED)
async def test_whatever_codec_tells_its_colors_is_heard(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    piece, whole, coding = TAGGED[kind]
    pieces = []
    for number, (matrix, full_range) in enumerate([(1, False), (6, False), (1, kind != "MPEG-2")]):
        tags = Kind(matrix, matrix, 1, full_range=full_range, codec=coding)
        pieces.append(patches(tmp_path / f"{number}.{piece}", BARS, tags))
    encoded = await encode(children, joined(tmp_path / f"all.{whole}", pieces), tmp_path / "out", H264)
    assert "colours" in encoded.source.pictures.changing
    for colors in bars_in(encoded.file("180p", tmp_path), [5, 15, 25]):
        assert colors == pytest.approx(BARS, abs=CLOSE)


# ── how it is held ──────────────────────────────────────────────────────────────────────────────────────────────────
async def test_pictures_with_side_data_that_has_no_name_come_out_upright(
    children: MediaChildren, tmp_path: Path
) -> None:
    """Motion JPEG with EXIF in each picture; as ffmpeg, which turns pictures by itself, shows it."""
    path = CASES / "timelapse_jpeg_exif6.mov"
    ffmpeg("-i", path, "-pix_fmt", "yuv420p", "-c:v", "ffv1", tmp_path / "upright.mkv")
    encoded = await encode(children, path, tmp_path / "out", H264)
    shown, wanted = top(encoded, tmp_path), lumas(tmp_path / "upright.mkv")
    assert len(shown) == len(wanted) == 30
    assert shown[0].shape == (640, 360)
    for number in (0, 15, 29):
        assert np.abs(shown[number] - (16 + wanted[number] * 219 / 255)).mean() < 6


async def test_a_picture_may_be_turned_on_the_way(children: MediaChildren, tmp_path: Path) -> None:
    """By H.264's display orientation: on its side in the second half."""
    upright = quarters(tmp_path / "0.ts", "-c:v", "libx264", "-qp", "4", size=(320, 180))
    held = quarters(tmp_path / "flat.ts", "-c:v", "libx264", "-qp", "4", size=(180, 320))
    ffmpeg("-i", held, "-c", "copy", "-bsf:v", "h264_metadata=display_orientation=insert:rotate=90", tmp_path / "1.ts")
    path = joined(tmp_path / "all.ts", [upright, tmp_path / "1.ts"])
    ffmpeg("-i", tmp_path / "1.ts", "-c:v", "ffv1", tmp_path / "turned.mkv")
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).sizes == {(320, 180)}
    shown = top(encoded, tmp_path)
    places = np.ix_([45, 135], [80, 240])
    assert shown[5][places] == pytest.approx(np.array([[200, 60], [120, 20]]), abs=6)
    assert shown[15][places] == pytest.approx(corners(tmp_path / "turned.mkv"), abs=6)
