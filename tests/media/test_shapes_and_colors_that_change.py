"""Size, pixel shape, crop, colours, range and the way to hold a picture may change at any picture: seen by the pixels that
come out (docs/sources.md)."""

import struct
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
from test_hdr import hlg, pq
from test_probe import probe
from test_sources import CLOSE, H264, corners, quarters, settings

from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import TILES_FOLDER
from streamforge.errors import UnsupportedDimensions, UnsupportedDolbyVision
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.planning.stills import POSTER
from streamforge.quality.scoring import mean_of
from streamforge.settings import Settings

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
    assert encoded.source.video_required.width == 192
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
    assert (source.video_required.width, source.video_required.height) == (160, 90)
    assert source.video_required.changing == ["size"]


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
    assert "colours" in encoded.source.video_required.changing
    for colors in bars_in(encoded.file("180p", tmp_path), [5, 15, 25]):
        assert colors == pytest.approx(BARS, abs=CLOSE)


BLACK_TO_WHITE = np.repeat(np.linspace(0, 1, 8)[:, None], 3, axis=1)
LIGHT = 203 * BLACK_TO_WHITE**2.4
"""cd/m² of the same steps: SDR's white is 203, its gamma 2.4."""


def sdr_and_hdr(tmp_path: Path, transfer: int) -> list[Path]:
    """The same light by BT.709, and by PQ or HLG in BT.2020."""
    coding = ["-c:v", "libx264", "-preset", "ultrafast", "-qp", "4"]
    signal = pq(LIGHT) if transfer == 16 else hlg((LIGHT / 1000) ** (1 / 1.2))
    kinds = [(BLACK_TO_WHITE, (1, 1, 1)), (signal, (9, 9, transfer))]
    return [
        patches(tmp_path / f"{n}.ts", colors, Kind(*tags, bits=10, pixel_format="yuv420p10le", codec=coding))
        for n, (colors, tags) in enumerate(kinds)
    ]


@pytest.mark.parametrize("transfer", [16, 18], ids=["pq", "hlg"])
async def test_sdr_within_hdr_has_the_light_of_sdr(children: MediaChildren, tmp_path: Path, transfer: int) -> None:
    sdr, hdr = sdr_and_hdr(tmp_path, transfer)
    path = joined(tmp_path / "all.ts", [hdr, sdr])
    encoded = await encode(children, path, tmp_path / "out", settings("hevc"))
    before, after = bars_in(encoded.file("180p", tmp_path), [5, 15])
    assert after == pytest.approx(before, abs=0.02)


@pytest.mark.parametrize("transfer", [16, 18], ids=["pq", "hlg"])
async def test_hdr_within_sdr_is_tone_mapped(children: MediaChildren, tmp_path: Path, transfer: int) -> None:
    """Up to the knee the light is the same; white, which is nine tenths then, is left out."""
    path = joined(tmp_path / "all.ts", sdr_and_hdr(tmp_path, transfer))
    encoded = await encode(children, path, tmp_path / "out", H264)
    before, after = bars_in(encoded.file("180p", tmp_path), [5, 15])
    assert after[:6] == pytest.approx(before[:6], abs=0.03)


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


# ── crop ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def framed(path: Path, *arguments: str) -> Path:
    """320×180 in a bright frame that nobody is to see: 20 left, 30 above, 60 right and 50 below it."""
    luma = np.full((260, 400), 235, np.uint8)
    luma[30:210, 20:340] = np.kron(np.array([[200, 60], [120, 20]]), np.ones((90, 160)))
    raw = luma.tobytes() + b"\x80" * (400 * 260 // 2)
    write_raw(path, raw * 10, "yuv420p", (400, 260), *(arguments or ("-c:v", "libx264", "-qp", "4")))
    return path


def with_box(path: Path, entry: bytes, box: bytes) -> Path:
    """The MP4 with another box at the end of its first sample entry. Its index is behind its media, so nothing moves."""
    data, begin, end, chain = bytearray(path.read_bytes()), 0, path.stat().st_size, []
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", entry):
        while data[begin + 4 : begin + 8] != name:
            begin += int.from_bytes(data[begin : begin + 4])
            assert begin < end
        chain.append(begin)
        end = begin + int.from_bytes(data[begin : begin + 4])
        begin += 8 + {b"stsd": 8, entry: 78}.get(name, 0)
    for place in chain:
        data[place : place + 4] = (int.from_bytes(data[place : place + 4]) + len(box)).to_bytes(4)
    data[end:end] = box
    changed = path.with_name(f"boxed-{path.name}")
    changed.write_bytes(data)
    return changed


def clap(width: int, height: int, right: int, down: int) -> bytes:
    """ISO/IEC 14496-12 §12.1.4: the size, and how far its middle lies from the middle of the coded picture."""
    return struct.pack(">I4sIIIIiIiI", 40, b"clap", width, 1, height, 1, right, 1, down, 1)


CLAP = clap(320, 180, -20, -10)


async def test_what_matroska_crops_is_not_seen(children: MediaChildren, tmp_path: Path) -> None:
    path = CASES / "pixelcrop.mkv"
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert [(r.width, r.height) for r in encoded.plan.renditions] == [(640, 272)]
    ffmpeg("-apply_cropping", "none", "-i", path, "-vf", "crop=640:272:0:44", "-c:v", "ffv1", tmp_path / "right.mkv")
    shown, wanted = top(encoded, tmp_path), lumas(tmp_path / "right.mkv")
    assert len(shown) == len(wanted)
    for number in (0, 40, len(shown) - 1):
        assert np.abs(shown[number] - wanted[number]).mean() < 2


async def test_what_the_stream_crops_may_change_on_the_way(children: MediaChildren, tmp_path: Path) -> None:
    """By the cropping in H.264's parameter sets: the middle alone, in the second half."""
    whole = quarters(tmp_path / "0.ts", "-c:v", "libx264", "-qp", "4")
    cut = ["-bsf:v", "h264_metadata=crop_top=44:crop_bottom=58"]  # 12 of them were cropped before.
    ffmpeg("-i", whole, "-c", "copy", *cut, tmp_path / "1.ts")
    encoded = await encode(children, joined(tmp_path / "all.ts", [whole, tmp_path / "1.ts"]), tmp_path / "out", H264)
    shown = top(encoded, tmp_path)
    assert {luma.shape for luma in shown} == {(180, 320)}
    assert shown[5][5, 5] == pytest.approx(200, abs=6)
    assert shown[15][:44].max() < 24
    assert shown[15][np.ix_([60, 120], [80, 240])] == pytest.approx(np.array([[200, 60], [120, 20]]), abs=6)


@pytest.mark.parametrize("ending", ["mp4", "mov"])
async def test_what_a_clean_aperture_leaves_out_is_not_seen(
    children: MediaChildren, tmp_path: Path, ending: str
) -> None:
    path = with_box(framed(tmp_path / f"a.{ending}"), b"avc1", CLAP)
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).sizes == {(320, 180)}
    assert_quarters_alone(encoded.file("180p", tmp_path))


def assert_quarters_alone(path: Path) -> None:
    assert corners(path) == pytest.approx(np.array([[200, 60], [120, 20]]), abs=6)
    luma = lumas(path)[0]
    assert max(luma[:2].max(), luma[:, :2].max()) < 215
    assert max(luma[-2:].max(), luma[:, -2:].max()) < 140 + 70


async def test_what_is_cropped_is_turned_behind_that(children: MediaChildren, tmp_path: Path) -> None:
    flat = framed(tmp_path / "flat.mp4")
    ffmpeg("-display_rotation", "90", "-i", flat, "-c", "copy", tmp_path / "held.mp4")
    encoded = await encode(children, with_box(tmp_path / "held.mp4", b"avc1", CLAP), tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).sizes == {(180, 320)}
    assert corners(encoded.file("180p", tmp_path)) == pytest.approx(np.array([[60, 20], [200, 120]]), abs=6)


async def test_pixels_that_are_not_square_are_cropped_as_they_are_coded(
    children: MediaChildren, tmp_path: Path
) -> None:
    flat = framed(tmp_path / "a.mp4", "-vf", "setsar=2/1", "-c:v", "libx264", "-qp", "4")
    encoded = await encode(children, with_box(flat, b"avc1", CLAP), tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).sizes == {(640, 180)}
    assert_quarters_alone(encoded.file("180p", tmp_path))


async def test_whoever_looks_at_a_cropped_film_sees_it_cropped(children: MediaChildren, tmp_path: Path) -> None:
    """VMAF, which would be far from 100 against the whole picture, and the poster."""
    path = with_box(framed(tmp_path / "a.mp4"), b"avc1", CLAP)
    measured = H264.model_copy(update={"validation": H264.validation.model_copy(update={"enabled": True})})
    encoded = await encode(children, path, tmp_path / "out", measured)
    [chunk] = encoded.chunks
    assert chunk.quality is not None
    assert mean_of(chunk.quality, "180p") > 90
    poster = tmp_path / "out" / "0" / TILES_FOLDER / POSTER
    with av.open(str(poster)) as container:
        luma = next(container.decode(video=0)).to_ndarray(format="gray").astype(int)
    assert luma.shape == (180, 320)
    assert luma[:, -2:].max() < 215


async def test_a_crop_that_leaves_nothing_is_not_believed(children: MediaChildren, tmp_path: Path) -> None:
    path = with_box(framed(tmp_path / "a.mp4"), b"avc1", clap(0, 0, 0, 0))
    assert (await probe(children, path)).video_required.width == 400


# ── gray and transparency ───────────────────────────────────────────────────────────────────────────────────────────
async def test_gray_of_limited_range_keeps_its_levels(children: MediaChildren, tmp_path: Path) -> None:
    encoded = await encode(children, CASES / "gray_hevc_limited.mp4", tmp_path / "out", H264)
    with av.open(str(CASES / "gray_hevc_limited.mp4")) as container:
        wanted = next(container.decode(video=0)).to_ndarray().astype(int)
    shown = top(encoded, tmp_path)[3]
    for levels in (wanted, shown):
        assert (levels.min(), levels.max()) == (pytest.approx(16, abs=2), pytest.approx(235, abs=2))
    assert shown == pytest.approx(wanted, abs=6)


GRAYS = {
    "PNG": ("a.mov", "gray", ["-c:v", "png"], True),
    "FFV1": ("a.mkv", "gray", ["-c:v", "ffv1"], True),
    "FFV1 of 10 bits, limited": ("a.mkv", "gray10le", ["-color_range", "tv", "-c:v", "ffv1"], False),
    "H.264 of full range": ("a.mp4", "gray", ["-color_range", "pc", "-c:v", "libx264", "-qp", "2"], True),
    "H.264 of limited range": ("a.mp4", "gray", ["-color_range", "tv", "-c:v", "libx264", "-qp", "2"], False),
    "HEVC of full range": (
        "a.mkv", "gray", ["-color_range", "pc", "-c:v", "libx265", "-x265-params", "log-level=error:qp=2"], True
    ),
}  # fmt: skip


@pytest.mark.parametrize("kind", GRAYS)
async def test_gray_is_taken_for_what_it_says(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    """Eight steps from black to white, in either range."""
    name, pixel_format, coding, is_full = GRAYS[kind]
    steps = np.linspace(0, 1, 8)[np.arange(320) * 8 // 320]
    levels = (255 * steps if is_full else 16 + 219 * steps) * (4 if pixel_format == "gray10le" else 1)
    row = levels.round().astype("<u2" if pixel_format == "gray10le" else "u1")
    raw = np.broadcast_to(row, (180, 320)).tobytes()
    head = [] if coding[0] != "-color_range" else ["-vf", f"setparams=range={coding[1]},format={pixel_format}"]
    write_raw(tmp_path / name, raw * 10, pixel_format, (320, 180), *head, *coding)
    encoded = await encode(children, tmp_path / name, tmp_path / "out", H264)
    shown = top(encoded, tmp_path)[3][90, 20::40]
    assert shown == pytest.approx(16 + 219 * np.linspace(0, 1, 8), abs=3)


async def test_what_is_transparent_in_vp9_is_black(children: MediaChildren, tmp_path: Path) -> None:
    encoded = await encode(children, CASES / "vp9_alpha_hidden_green.webm", tmp_path / "out", H264)
    assert encoded.source.video_required.has_alpha
    shown = top(encoded, tmp_path)
    assert len(shown) == encoded.source.video_required.frame_count == 50
    with av.open(str(encoded.file("180p", tmp_path))) as container:
        frame = next(iter(container.decode(video=0)))
    colors = frame.to_ndarray(format="rgb24").astype(int)
    hidden = colors[90, 300] if colors[90, 300].sum() < colors[90, 20].sum() else colors[90, 20]
    assert hidden.max() < 12


@pytest.mark.parametrize("codec", ["libvpx", "libvpx-vp9"])
async def test_the_alpha_of_vp8_and_vp9_is_seen(children: MediaChildren, tmp_path: Path, codec: str) -> None:
    """Red, from nothing to opaque, as in ProRes 4444."""
    share = np.linspace(0, 1, 8)
    row = np.array([[200, 40, 40, round(255 * each)] for each in share], np.uint8)[np.arange(320) * 8 // 320]
    raw = np.broadcast_to(row, (180, 320, 4)).tobytes()
    coding = ["-vf", "format=yuva420p", "-auto-alt-ref", "0", "-c:v", codec, "-crf", "4", "-b:v", "4M"]
    write_raw(tmp_path / "a.webm", raw * 10, "rgba", (320, 180), *coding)
    encoded = await encode(children, tmp_path / "a.webm", tmp_path / "out", H264)
    wanted = np.array([200, 40, 40]) / 255 * share[:, None]
    assert bars_in(encoded.file("180p", tmp_path), [3])[0] == pytest.approx(wanted, abs=0.04)


async def test_an_alpha_layer_of_hevc_is_told(children: MediaChildren, tmp_path: Path) -> None:
    for ending in ("mov", "ts"):
        path = tmp_path / f"a.{ending}"
        coding = ["-vf", "format=yuva420p", "-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1"]
        ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x180:d=0.4", *coding[: 6 if ending == "ts" else 8], path)
        warnings = (await probe(children, path)).warnings
        assert any("where it is transparent" in warning for warning in warnings), ending


# ── Dolby Vision ────────────────────────────────────────────────────────────────────────────────────────────────────
def dolby_vision(profile: int, compatible_with: int) -> bytes:
    """A DOVIDecoderConfigurationRecord: version 1.0, level 6, RPU and base layer."""
    record = struct.pack(">BBHI", 1, 0, profile << 9 | 6 << 3 | 0b101, compatible_with << 28) + bytes(16)
    return struct.pack(">I4s", 8 + len(record), b"dvcC" if profile < 8 else b"dvvC") + record


@pytest.fixture
def ten_bits(tmp_path: Path) -> Path:
    path = tmp_path / "a.mp4"
    coding = ["-pix_fmt", "yuv420p10le", "-c:v", "libx265", "-x265-params", "log-level=error", "-tag:v", "hvc1"]
    ffmpeg("-f", "lavfi", "-i", "testsrc=s=320x180:d=0.4", *coding, path)
    return path


@pytest.mark.parametrize("ending", ["mp4", "mkv"])
async def test_dolby_vision_that_only_dolby_can_show_is_refused_by_name(
    children: MediaChildren, ten_bits: Path, ending: str
) -> None:
    path = with_box(ten_bits, b"hvc1", dolby_vision(5, 0))
    if ending != "mp4":
        ffmpeg("-i", path, "-c", "copy", "-strict", "unofficial", path.with_suffix(f".{ending}"))
    with pytest.raises(UnsupportedDolbyVision, match="Dolby Vision profile 5"):
        await probe(children, path.with_suffix(f".{ending}"))


@pytest.mark.parametrize(("profile", "compatible_with"), [(8, 1), (8, 4), (7, 6)])
async def test_dolby_vision_with_a_picture_for_others_goes_on(
    children: MediaChildren, ten_bits: Path, tmp_path: Path, profile: int, compatible_with: int
) -> None:
    path = with_box(ten_bits, b"hvc1", dolby_vision(profile, compatible_with))
    encoded = await encode(children, path, tmp_path / "out", H264)
    assert decode(encoded.file("180p", tmp_path)).frame_count == 10


# ── copies ──────────────────────────────────────────────────────────────────────────────────────────────────────────
REMUX = Settings.model_validate({"transcode": {"remux": True, "max_bitrate_1080p": 50_000_000}})


def why_encoded(source: Source) -> str:
    [reason] = [each for each in make_plan(source, REMUX).warnings if each.startswith("The video was encoded")]
    return reason


async def test_only_what_its_tags_tell_truly_is_copied(children: MediaChildren, tmp_path: Path) -> None:
    coding = ["-c:v", "libx264", "-qp", "10", "-bf", "0"]
    square, oblong = (disc(tmp_path / f"{n}.ts", (180, 144), s, coding) for n, s in enumerate(["1/1", "64/45"]))
    assert make_plan(await probe(children, joined(tmp_path / "same.mp4", [square, square])), REMUX).is_copy
    reason = why_encoded(await probe(children, joined(tmp_path / "shapes.mp4", [square, oblong])))
    assert "its pixel shape changes on the way" in reason
    limited, full = (
        patches(tmp_path / f"c{n}.ts", BARS, Kind(1, 1, 1, full_range=bool(n), codec=coding)) for n in (0, 1)
    )
    reason = why_encoded(await probe(children, joined(tmp_path / "colors.mp4", [limited, full])))
    assert "its pixel format and its colours change on the way" in reason
    cropped = with_box(framed(tmp_path / "crop.mp4"), b"avc1", CLAP)
    assert "cuts off edges" in why_encoded(await probe(children, cropped))


async def test_a_container_that_contradicts_the_pictures_is_not_copied(children: MediaChildren, tmp_path: Path) -> None:
    path = patches(tmp_path / "a.mp4", BARS, Kind(6, 6, 1, codec=["-c:v", "libx264", "-qp", "10", "-bf", "0"]))
    assert make_plan(await probe(children, path), REMUX).is_copy
    data = path.read_bytes()
    at = data.index(b"colrnclx") + 8
    path.write_bytes(data[:at] + bytes([0, 1, 0, 1, 0, 1, 0x80]) + data[at + 7 :])
    assert "its container tells other colours than its pictures" in why_encoded(await probe(children, path))
    flat = disc(tmp_path / "flat.mp4", (180, 144), "64/45", ["-c:v", "libx264", "-qp", "10", "-bf", "0"])
    ffmpeg("-i", flat, "-c", "copy", "-aspect", "180:144", tmp_path / "told.mp4")
    assert "another pixel shape" in why_encoded(await probe(children, tmp_path / "told.mp4"))
