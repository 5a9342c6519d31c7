"""Interlaced pictures come out whole: as many, at the same times, and the same however the film is cut."""

from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from clips import ffmpeg
from encoding import encode
from numpy.typing import NDArray
from patches import plane_of, write_raw
from test_probe import probe

from streamforge.contracts.media.plan import Chunk
from streamforge.media.decoding.deinterlace import deinterlaced
from streamforge.media.decoding.frames import FrameWindow
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

SIZE = (320, 180)
WIDTH, HEIGHT = SIZE
STEP = 3
"""Pixels that the bar moves from field to field."""

FIELDS_CODED = ["-flags", "+ildct+ilme"]
KINDS = {
    "25i MPEG-2 in a transport stream": ("a.ts", "25", ["-c:v", "mpeg2video", "-q:v", "2", "-g", "12", *FIELDS_CODED]),
    "29.97i H.264 in MP4": ("a.mp4", "30000/1001", ["-c:v", "libx264", "-qp", "8", "-g", "15", *FIELDS_CODED]),
}

SETTINGS = Settings.model_validate(
    {
        "transcode": {"presets": {"h264": "ultrafast"}, "segment_seconds": 1, "gop_seconds": 1, "max_chunk_seconds": 2},
        "validation": {"min_score": 0},
    }
)


def bar(time: int) -> NDArray[np.uint8]:
    """A line of the picture: a white bar, two and a half rounds in as many seconds."""
    line = np.full(WIDTH, 40, np.uint8)
    line[(np.arange(40) + time * STEP) % WIDTH] = 210
    return line


def film(path: Path, kind: str, seconds: float = 2.6, *, top_first: bool = True) -> Path:
    """Each picture holds two moments, one in its even and one in its odd lines."""
    name, rate, arguments = KINDS[kind]
    frames = []
    for number in range(round(seconds * 25)):
        luma = np.empty((HEIGHT, WIDTH), np.uint8)
        luma[0::2] = bar(2 * number + (not top_first))
        luma[1::2] = bar(2 * number + top_first)
        frames.append(luma.tobytes() + b"\x80" * (WIDTH * HEIGHT // 2))
    field = "tff" if top_first else "bff"
    write_raw(path / name, b"".join(frames), "yuv420p", SIZE, "-vf", f"setfield={field}", *arguments, rate=rate)
    return path / name


def lumas(path: Path) -> list[NDArray[np.int64]]:
    with av.open(str(path)) as container:
        return [plane_of(frame, 0).astype(int) for frame in container.decode(video=0)]


def combing(luma: NDArray[np.int64]) -> float:
    return float(np.abs(luma[1:] - luma[:-1]).mean())


@pytest.mark.parametrize("top_first", [True, False], ids=["top", "bottom"])
@pytest.mark.parametrize("kind", KINDS)
async def test_every_picture_shows_one_moment(
    children: MediaChildren, tmp_path: Path, kind: str, top_first: bool
) -> None:
    path = film(tmp_path, kind, top_first=top_first)
    before = lumas(path)
    encoded = await encode(children, path, tmp_path / "out", SETTINGS)
    assert encoded.source.video is not None
    assert encoded.source.video.interlaced
    assert len(encoded.chunks) > 1
    after = lumas(encoded.file("180p", tmp_path))
    assert len(after) == len(before) == encoded.source.video.frame_count
    assert min(combing(luma) for luma in before) > 3
    for number, luma in enumerate(after[1:-1], start=1):
        assert combing(luma) < 1
        assert np.abs(luma - bar(2 * number)).mean() < 4


@pytest.mark.parametrize("kind", KINDS)
async def test_time_stamps_are_those_of_the_source(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    path = film(tmp_path, kind)
    encoded = await encode(children, path, tmp_path / "out", SETTINGS)
    with av.open(str(encoded.file("180p", tmp_path))) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    with av.open(str(path)) as container:
        wanted = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert times == pytest.approx([time - wanted[0] for time in wanted], abs=1e-4)
    assert all(later > earlier for earlier, later in pairwise(times))


@pytest.mark.parametrize("kind", KINDS)
async def test_chunks_have_the_pictures_of_the_whole(children: MediaChildren, tmp_path: Path, kind: str) -> None:
    """Also the first and last of each, which are made with the help of pictures outside."""
    path = film(tmp_path, kind)
    source = await probe(children, path)

    def pictures(start: float, end: float | None) -> list[tuple[int, int, bytes]]:
        chunk = Chunk(index=0, start=start, end=end, expected_frames=1)
        with FrameWindow(path, source, chunk, 60) as window:
            return [(frame.ticks, frame.duration, plane_of(frame.picture, 0).tobytes()) for frame in window]

    whole = pictures(0, None)
    assert len(whole) == source.video_required.frame_count
    for cuts in [(0.0, 1.0, 2.0, None), (0.0, 0.48, 0.96, 1.44, None), (0.0, 0.5005, 1.5, None)]:
        assert [picture for cut in pairwise(cuts) for picture in pictures(cut[0] or 0.0, cut[1])] == whole


async def test_progressive_pictures_between_interlaced_ones_stay_as_they_are(
    children: MediaChildren, tmp_path: Path
) -> None:
    """Two seconds that are not flagged, and have lines of their own, before some that are."""
    rng = np.random.default_rng(0)
    lined = np.repeat(rng.integers(16, 235, (HEIGHT, 1)), WIDTH, axis=1).astype(np.uint8)
    still = lined.tobytes() + b"\x80" * (WIDTH * HEIGHT // 2)
    coding = ["-c:v", "mpeg2video", "-q:v", "1", "-g", "12"]
    write_raw(tmp_path / "p.ts", still * 50, "yuv420p", SIZE, *coding)
    (tmp_path / "i").mkdir()
    woven = film(tmp_path / "i", "25i MPEG-2 in a transport stream", 2)
    joined = tmp_path / "joined.ts"
    joined_list = tmp_path / "list.txt"
    joined_list.write_text(f"file '{tmp_path / 'p.ts'}'\nfile '{woven}'\n")
    ffmpeg("-f", "concat", "-safe", "0", "-i", joined_list, "-c", "copy", joined)
    source = await probe(children, joined)
    assert source.video_required.interlaced
    with FrameWindow(joined, source, Chunk(index=0, start=0, end=None, expected_frames=1), 60) as window:
        shown = [plane_of(frame.picture, 0).astype(int) for frame in window]
    before = lumas(joined)
    assert len(shown) == len(before) == 100
    for number in range(1, 48):
        assert np.array_equal(shown[number], before[number])
    assert max(combing(luma) for luma in shown[55:95]) < 2


def fields_apart(path: Path, seconds: float = 2.6, *, top_first: bool = True) -> Path:
    """The same film in HEVC, each field a picture of its own."""
    moments = [bar(number) for number in range(round(seconds * 50))]
    raw = b"".join(np.tile(line, HEIGHT // 2).tobytes() + b"\x80" * (WIDTH * HEIGHT // 4) for line in moments)
    order = "tff" if top_first else "bff"
    coding = ["-c:v", "libx265", "-x265-params", f"log-level=none:qp=8:keyint=24:interlace={order}"]
    write_raw(path, raw, "yuv420p", (WIDTH, HEIGHT // 2), *coding, rate="50")
    return path


@pytest.mark.parametrize("ending", ["ts", "mkv", "mp4"])
@pytest.mark.parametrize("top_first", [True, False], ids=["top", "bottom"])
async def test_fields_that_are_coded_one_by_one_are_woven(
    children: MediaChildren, tmp_path: Path, ending: str, top_first: bool
) -> None:
    path = fields_apart(tmp_path / f"a.{ending}", top_first=top_first)
    encoded = await encode(children, path, tmp_path / "out", SETTINGS)
    film = encoded.source.video_required
    assert (film.width, film.height, film.interlaced) == (WIDTH, HEIGHT, True)
    assert (film.frame_rate, film.frame_count) == (pytest.approx(25), 65)
    after = lumas(encoded.file("180p", tmp_path))
    assert len(after) == 65
    for number, luma in enumerate(after[1:-1], start=1):
        assert combing(luma) < 1
        assert np.abs(luma - bar(2 * number)).mean() < 4
    with av.open(str(encoded.file("180p", tmp_path))) as container:
        times = [float(frame.pts * frame.time_base) for frame in container.decode(video=0)]
    assert times == pytest.approx([number / 25 for number in range(65)], abs=0.002)


async def test_the_order_of_fields_may_change_on_the_way(children: MediaChildren, tmp_path: Path) -> None:
    """Top first for a second, then bottom first: each picture shows its own first moment."""
    kind = "25i MPEG-2 in a transport stream"
    (tmp_path / "0").mkdir()
    (tmp_path / "1").mkdir()
    pieces = [film(tmp_path / str(n), kind, 1, top_first=not n) for n in (0, 1)]
    (tmp_path / "list.txt").write_text("".join(f"file '{piece}'\n" for piece in pieces))
    path = tmp_path / "all.ts"
    ffmpeg("-f", "concat", "-safe", "0", "-i", tmp_path / "list.txt", "-c", "copy", path)
    encoded = await encode(children, path, tmp_path / "out", SETTINGS)
    after = lumas(encoded.file("180p", tmp_path))
    assert len(after) == 50
    for number, luma in enumerate(after):
        if number % 25 not in {0, 24}:  # Those at the joint have no neighbours that belong to them.
            assert combing(luma) < 1, number
            first, second = (np.abs(luma - bar(2 * (number % 25) + later)).mean() for later in (0, 1))
            assert first < min(4, second), number


async def test_what_is_progressive_is_not_touched(children: MediaChildren, tmp_path: Path) -> None:
    write_raw(tmp_path / "a.mkv", b"\x80" * (WIDTH * HEIGHT * 3 // 2) * 10, "yuv420p", SIZE, "-c:v", "libx264")
    assert not (await probe(children, tmp_path / "a.mkv")).video_required.interlaced


def test_a_picture_that_changes_its_size_or_is_too_small_keeps_its_place() -> None:
    sizes = [(64, 48), (64, 48), (2, 2), (32, 48), (64, 48)]
    frames = [(number * 3600, av.VideoFrame(*size, "yuv420p")) for number, size in enumerate(sizes)]
    found = list(deinterlaced(frames))
    assert [(ticks, (frame.width, frame.height)) for ticks, frame in found] == [
        (number * 3600, size) for number, size in enumerate(sizes)
    ]
