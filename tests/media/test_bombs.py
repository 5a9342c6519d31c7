"""Files that are meant to use up the machine, or to read what is not theirs: a sentence comes of each, soon and in little
memory."""

import asyncio
import io
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import av
import bombs
import pytest
from av.video.frame import VideoFrame
from test_probe import probe
from texts import keep_subtitles

from streamforge.errors import NotAVideo, SourceError, SourceTooComplex, SourceTooExpensive, UnsupportedDimensions
from streamforge.media.worker.children import MediaChildren

MEMORY = 600 * 2**20
SECONDS = 60
"""At most, on a machine that does other things, too."""


@pytest.fixture(scope="module")
def strict() -> Iterator[MediaChildren]:
    with asyncio.Runner() as runner:
        children = MediaChildren(memory_bytes=MEMORY, stall_seconds=5)
        runner.run(children.__aenter__())
        yield children
        runner.run(children.__aexit__())


@pytest.fixture(scope="module")
def picture() -> bytes:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="image2pipe") as container:
        stream = container.add_stream("mjpeg", rate=1)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuvj420p"
        frame = VideoFrame(64, 64, "yuvj420p")
        for plane in frame.planes:
            plane.update(b"\x80" * plane.buffer_size)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


async def refused(children: MediaChildren, path: Path) -> SourceError:
    """How a bomb is answered. Its process has no more memory than it may, which the kernel sees to."""
    async with asyncio.timeout(SECONDS):
        with pytest.raises(SourceError) as caught:
            await probe(children, path)
    assert caught.value.message.endswith(".")
    return caught.value


def written(folder: Path, content: bytes, name: str = "film.mp4") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


# ── size ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_picture_of_16k_in_less_than_2_kilobytes(strict: MediaChildren) -> None:
    assert bombs.AV1_16K.stat().st_size < 2048
    error = await refused(strict, bombs.AV1_16K)
    assert isinstance(error, UnsupportedDimensions | SourceTooExpensive)


async def test_a_picture_of_16k_that_its_container_calls_small(strict: MediaChildren, tmp_path: Path) -> None:
    error = await refused(strict, written(tmp_path, bombs.films_of(bombs.png(16_000, 16_000))))
    assert isinstance(error, UnsupportedDimensions)
    assert error.message == "The picture is 16000×16000; the largest that is accepted is 8192×8192."


# ── numbers ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("make", [bombs.many_streams, bombs.many_movie_tracks], ids=["matroska", "mp4"])
async def test_a_hundred_thousand_streams(strict: MediaChildren, tmp_path: Path, make: Callable[[], bytes]) -> None:
    error = await refused(strict, written(tmp_path, make()))
    assert isinstance(error, SourceTooComplex)
    assert "1,000 streams" in error.message


async def test_a_million_packets_within_a_second(strict: MediaChildren, tmp_path: Path, picture: bytes) -> None:
    error = await refused(strict, written(tmp_path, bombs.many_packets(picture)))
    assert isinstance(error, SourceTooComplex)
    assert error.message.endswith("packets a second; the most that are accepted are 10,000.")


async def test_a_million_subtitles_are_cut_short(children: MediaChildren, tmp_path: Path, picture: bytes) -> None:
    """Subtitles never fail a job."""
    path = written(tmp_path, bombs.many_events(picture))
    async with asyncio.timeout(SECONDS):
        _, text = await keep_subtitles(children, path, tmp_path)
    assert any("only the first 50000 were kept; 950000 were left out" in warning for warning in text.warnings)
    assert len(text.tracks) == 1


@pytest.mark.parametrize("document", bombs.XML_BOMBS.values(), ids=list(bombs.XML_BOMBS))
async def test_subtitles_in_xml_that_unpack_to_gigabytes_or_name_a_file(
    strict: MediaChildren, tmp_path: Path, picture: bytes, document: str
) -> None:
    path = written(tmp_path, bombs.with_ttml(document.encode(), picture))
    async with asyncio.timeout(SECONDS):
        _, text = await keep_subtitles(strict, path, tmp_path)
    assert text.tracks == []
    assert text.warnings[-1].endswith("that can be shown, so there is no such track.")


async def test_such_subtitles_are_read_where_nothing_is_wrong_with_them(
    strict: MediaChildren, tmp_path: Path, picture: bytes
) -> None:
    """That the test above is about the XML."""
    document = f"<tt {bombs.TTML}><body><div><p>well</p></div></body></tt>"
    _, text = await keep_subtitles(strict, written(tmp_path, bombs.with_ttml(document.encode(), picture)), tmp_path)
    assert [track.cues for track in text.tracks] == [1]


async def test_two_thousand_million_samples_in_half_a_kilobyte(strict: MediaChildren, tmp_path: Path) -> None:
    await refused(strict, written(tmp_path, bombs.many_samples()))


async def test_boxes_in_boxes_in_boxes(strict: MediaChildren, tmp_path: Path) -> None:
    await refused(strict, written(tmp_path, bombs.nested_boxes()))


# ── what is beside the media ────────────────────────────────────────────────────────────────────────────────────────
async def test_tags_without_end(strict: MediaChildren, tmp_path: Path) -> None:
    await refused(strict, written(tmp_path, bombs.many_tags()))


async def test_a_tag_of_60_megabytes(strict: MediaChildren, tmp_path: Path) -> None:
    await refused(strict, written(tmp_path, bombs.large_tag()))


async def test_a_colour_profile_that_unpacks_to_a_gigabyte(strict: MediaChildren, tmp_path: Path) -> None:
    error = await refused(strict, written(tmp_path, bombs.large_side_data()))
    assert isinstance(error, SourceTooExpensive)


async def test_a_font_of_700_megabytes(strict: MediaChildren, tmp_path: Path) -> None:
    bombs.attachment(tmp_path / "film.mkv", 700 * 2**20)
    assert isinstance(await refused(strict, tmp_path / "film.mkv"), SourceTooComplex | SourceTooExpensive)


async def test_packets_that_unpack_to_a_thousand_times_their_size(strict: MediaChildren, tmp_path: Path) -> None:
    await refused(strict, written(tmp_path, bombs.compressed_track()))


# ── what names other files ──────────────────────────────────────────────────────────────────────────────────────────
@contextmanager
def listening() -> Iterator[tuple[str, list[str]]]:
    """An address, and what was asked for there."""
    asked: list[str] = []

    class Canary(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Canary) as server:
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{server.server_port}/canary.ts", asked
        server.shutdown()
        serving.join()


@pytest.mark.parametrize("kind", bombs.PLAYLISTS)
async def test_a_file_that_names_others_is_no_video(unconfined: MediaChildren, tmp_path: Path, kind: str) -> None:
    """Without the sandbox: FFmpeg itself is told to know no such format. Whatever it is called."""
    other = written(tmp_path, b"another film", "other.ts")
    with listening() as (address, asked):
        for url in (
            address,
            other.as_uri(),
            "file:///etc/passwd",
            "concat:/etc/passwd",
            "subfile,,start,0,end,9,,:/etc/passwd",
        ):
            for name in ("film.mp4", "film.m3u8", "film%d.png", "film.svg"):
                path = written(tmp_path, bombs.PLAYLISTS[kind](url).encode(), name)
                with pytest.raises(NotAVideo) as caught:
                    await probe(unconfined, path)
                assert "root:" not in f"{caught.value.message} {caught.value.debug}"
    assert asked == []


@pytest.fixture(scope="module")
def unconfined() -> Iterator[MediaChildren]:
    with asyncio.Runner() as runner:
        children = MediaChildren(memory_bytes=MEMORY, stall_seconds=8, sandbox="off")
        runner.run(children.__aenter__())
        yield children
        runner.run(children.__aexit__())
