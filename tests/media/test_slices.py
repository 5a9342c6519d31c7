"""Where slice headers end, compared with what FFmpeg's own header parser says of the same streams."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
import av.logging
import numpy as np
import pytest
from av.bitstream import BitStreamFilterContext

from streamforge.media.bitstream.slice_headers import SliceHeaders

CODECS = {
    "x264 ultrafast": ("libx264", {"preset": "ultrafast"}),
    "x264 veryfast": ("libx264", {"preset": "veryfast"}),
    "x264 with every tool": (
        "libx264",
        {"preset": "slower", "x264-params": "weightp=2:weightb=1:ref=16:bframes=8:b-pyramid=normal:threads=1"},
    ),
    "x264 without CABAC": ("libx264", {"preset": "medium", "profile": "baseline"}),
    "x264 in several slices": ("libx264", {"preset": "medium", "x264-params": "slices=3"}),
    "x264 interlaced": ("libx264", {"preset": "medium", "x264-params": "interlaced=1"}),
    "x265 ultrafast": ("libx265", {"preset": "ultrafast", "x265-params": "log-level=none"}),
    "x265 fast": ("libx265", {"preset": "fast", "x265-params": "log-level=none"}),
    "x265 with every tool": (
        "libx265",
        {"preset": "slower", "x265-params": "log-level=none:weightp=1:weightb=1:ref=8:bframes=8:open-gop=1"},
    ),
    "x265 in wavefronts and slices": (
        "libx265",
        {"preset": "fast", "x265-params": "log-level=none:wpp=1:slices=3:pools=2"},
    ),
}


@pytest.mark.parametrize("name", CODECS)
def test_a_header_ends_where_ffmpeg_says_that_it_does(name: str, tmp_path: Path) -> None:
    encoder, options = CODECS[name]
    film = encoded(tmp_path / "film.mp4", encoder, options)
    headers = SliceHeaders.of(film.read_bytes())
    assert headers is not None
    found = [(unit, headers.length(unit)) for unit in units(film)]
    ends = [len(EMULATION_PREVENTION.sub(b"", unit[:length])) for unit, length in found if length is not None]
    assert len(ends) >= 25
    assert ends == list(ends_by_ffmpeg(film))


def test_sound_has_no_slices(tmp_path: Path) -> None:
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        stream.codec_context.layout = "stereo"
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 1024), np.float32), "fltp", "stereo")
        frame.rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert SliceHeaders.of(path.read_bytes()) is None


def encoded(path: Path, encoder: str, options: dict[str, str]) -> Path:
    """A second that fades out and moves, so that encoders weight and reorder what they predict from."""
    random = np.random.default_rng(1)
    noise = random.integers(0, 255, (160, 288, 3), np.uint8)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream(encoder, rate=Fraction(25), options=options)
        stream.width, stream.height, stream.pix_fmt = 256, 128, "yuv420p"
        for number in range(25):
            picture = noise[number : number + 128, number : number + 256] * (1 - number / 30)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture.astype(np.uint8), "rgb24")))
        container.mux(stream.encode(None))
    return path


def units(film: Path) -> Iterator[bytes]:
    with av.open(str(film)) as container:
        for packet in container.demux(video=0):
            data, at = bytes(packet), 0
            while at < len(data):
                end = at + 4 + int.from_bytes(data[at : at + 4])
                yield data[at + 4 : end]
                at = end


ELEMENT = re.compile(r"(\d+) +\S+ +([01]+) = ")
EMULATION_PREVENTION = re.compile(b"(?<=\0\0)\x03")


def ends_by_ffmpeg(film: Path) -> Iterator[int]:
    """Whole bytes of each slice's header, emulation prevention left out, from the trace of `trace_headers`: every line
    of it says at which bit an element begins, and what its bits are."""
    end, in_slice = 0, False
    for line in trace(film):
        if (element := ELEMENT.match(line)) is not None:
            end = int(element[1]) + len(element[2])
            continue
        if in_slice:
            yield -(-end // 8)
        in_slice = line.startswith("Slice")
    if in_slice:
        yield -(-end // 8)


def trace(film: Path) -> list[str]:
    av.logging.set_level(av.logging.VERBOSE)
    try:
        with av.logging.Capture() as log, av.open(str(film)) as container:
            reader = BitStreamFilterContext("trace_headers", container.streams.video[0])
            for packet in container.demux(video=0):
                reader.filter(packet)
    finally:
        av.logging.set_level(None)
    return [text for _, source, text in log if source == "trace_headers"]
