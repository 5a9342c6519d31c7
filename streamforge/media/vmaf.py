"""VMAF of some or all pictures of a part, in every rendition, by one ffmpeg that runs beside the encoders.

Nothing is decoded for it: the source's pictures come from the decoder that feeds the encoders, those of the renditions
from the proof that they can be played. They reach ffmpeg as raw pictures through a pipe; ffmpeg itself never opens what
came from outside.
"""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.errors import OutputInvalid
from streamforge.media.capabilities import cores, ffmpeg_path
from streamforge.media.scaling import PIXEL_FORMAT, Size
from streamforge.media.source import AnyPacket
from streamforge.planning.sampling import Sampling

MODEL = "version=vmaf_v0.6.1"
MODEL_4K = "version=vmaf_4k_v0.6.1"
RATE = 25
"""Pictures are numbered at this rate, in all streams; it has no other meaning."""


@dataclass
class _Sample:
    """A measured picture on its way to ffmpeg: from the source with its neighbours, from each rendition alone."""

    reference: list[bytes] = field(default_factory=list)
    distorted: dict[str, bytes] = field(default_factory=dict)


class Scorer:
    """`reference` takes the source's pictures from one thread, `distorted` those of each rendition from another one;
    all come in order. What waits for its counterpart is bounded by the encoders' look-ahead.

    `distorted` waits while ffmpeg is busy, so that encoders do not run ahead of it. Leaving the block kills ffmpeg.
    """

    def __init__(self, reference: Size, renditions: dict[str, Size], sampling: Sampling, scratch: Path) -> None:
        self._reference = reference
        self._renditions = renditions
        self._sampling = sampling
        self._scratch = scratch
        self._waiting: dict[int, _Sample] = {}
        self._measured: list[int] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._errors = (self._scratch / "vmaf.stderr").open("wb")
        self._process = subprocess.Popen(self._command(), stdin=subprocess.PIPE, stderr=self._errors)
        assert self._process.stdin is not None
        self._pipe = _Pipe(self._process.stdin, [self._reference, *self._renditions.values()])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._pipe.close()
        self._process.wait()
        self._errors.close()

    def reference(self, number: int, frame: VideoFrame) -> None:
        """A picture of the source for which `Sampling.needs` names something."""
        picture = _raw(frame)
        for measured in self._sampling.needs(number):
            with self._lock:
                self._waiting.setdefault(measured, _Sample()).reference.append(picture)
                self._send_if_complete(measured)

    def distorted(self, name: str, number: int, frame: VideoFrame) -> None:
        """A picture of a rendition that `Sampling.measures`."""
        picture = _raw(frame)
        with self._lock:
            self._waiting.setdefault(number, _Sample()).distorted[name] = picture
            self._send_if_complete(number)

    def finish(self) -> dict[str, dict[int, float]]:
        """VMAF by picture number, of each rendition. A last picture whose neighbour lies outside the part is left out.

        Raises OutputInvalid when ffmpeg gave up.
        """
        self._pipe.close()
        if self._process.wait() != 0 and self._measured:
            debug = (self._scratch / "vmaf.stderr").read_text(errors="replace")[-2000:]
            raise OutputInvalid("An encoded rendition did not pass its quality measurement.", debug=debug)
        return {name: self._scores(name) for name in self._renditions}

    # ── the pictures ────────────────────────────────────────────────────────────────────────────────────────────────
    def _send_if_complete(self, number: int) -> None:
        """Samples are completed in order, because all their parts come in order."""
        sample = self._waiting[number]
        needed = 1 + 2 * self._sampling.lead
        if len(sample.reference) < needed or len(sample.distorted) < len(self._renditions):
            return
        del self._waiting[number]
        # libvmaf measures every n-th picture, from the first one on: the padding puts the middle ones there.
        padding = 2 * self._sampling.lead if not self._measured else 0
        self._measured.append(number)
        alone = [[picture] * (padding + needed) for picture in (sample.distorted[name] for name in self._renditions)]
        self._pipe.send([sample.reference[:1] * padding + sample.reference, *alone])

    # ── ffmpeg ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _command(self) -> list[str]:
        return [
            str(ffmpeg_path()), "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror", "-f", "nut", "-i", "pipe:0",
            "-filter_complex", ";".join(self._graph()),
            *(argument for position in range(len(self._renditions)) for argument in ("-map", f"[out{position}]")),
            "-f", "null", "-",
        ]  # fmt: skip

    def _graph(self) -> Iterator[str]:
        count, size = len(self._renditions), self._reference
        model = MODEL_4K if min(size.width, size.height) > 1080 else MODEL
        every = 1 + 2 * self._sampling.lead
        # A few samples need no threads, which each would have buffers of their own to fill.
        threads = cores() if self._sampling.step == 1 else 0
        yield f"[0:v:0]split={count}" + "".join(f"[ref{i}]" for i in range(count))
        for position, name in enumerate(self._renditions):
            yield (
                f"[0:v:{position + 1}]scale={size.width}:{size.height}:flags=bicubic,format={PIXEL_FORMAT}[dist{position}]"
            )
            yield (
                f"[dist{position}][ref{position}]libvmaf=model={model}:n_threads={threads}:n_subsample={every}:log_fmt=json"
                f":log_path={_escaped(self._log_path(name))}[out{position}]"
            )

    def _scores(self, name: str) -> dict[int, float]:
        if not self._measured:
            return {}
        frames = json.loads(self._log_path(name).read_text())["frames"]
        values = [float(frame["metrics"]["vmaf"]) for frame in frames][self._sampling.lead :]
        if len(values) != len(self._measured):
            debug = f"{name}: {len(values)} measured, {len(self._measured)} expected"
            raise OutputInvalid("An encoded rendition did not pass its quality measurement.", debug=debug)
        return dict(zip(self._measured, values, strict=True))

    def _log_path(self, name: str) -> Path:
        return self._scratch / f"vmaf-{name}.json"


class _Pipe:
    """Raw pictures of several streams to ffmpeg's standard input. When ffmpeg has given up they go nowhere."""

    def __init__(self, file: IO[bytes], sizes: list[Size]) -> None:
        self._file = file
        self._container = av.open(file, "w", format="nut")
        self._streams = [_raw_stream(self._container, size) for size in sizes]
        self._sent = 0

    def send(self, pictures: list[list[bytes]]) -> None:
        """Equally many for each stream."""
        with suppress(BrokenPipeError):
            for position, side_by_side in enumerate(zip(*pictures, strict=True), start=self._sent):
                for stream, picture in zip(self._streams, side_by_side, strict=True):
                    self._container.mux(_packet(stream, picture, position))
        self._sent += len(pictures[0])

    def close(self) -> None:
        """Calling it again does nothing."""
        with suppress(BrokenPipeError):
            self._container.close()
        with suppress(BrokenPipeError):
            self._file.close()


def _raw_stream(container: OutputContainer, size: Size) -> VideoStream:
    stream = container.add_stream("rawvideo", rate=RATE)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = size.width, size.height, PIXEL_FORMAT
    return stream


def _packet(stream: VideoStream, picture: bytes, position: int) -> AnyPacket:
    packet: AnyPacket = Packet(picture)
    packet.stream = stream
    packet.time_base = Fraction(1, RATE)
    packet.pts = packet.dts = position
    packet.is_keyframe = True
    return packet


def _raw(frame: VideoFrame) -> bytes:
    """Planes one after the other without the padding of their rows."""
    return frame.to_ndarray().tobytes()


def _escaped(path: Path) -> str:
    """For a filter argument inside a filter graph: two levels of quoting (ffmpeg-utils, "Quoting and escaping")."""
    once = str(path).replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\:")
    return "'" + once.replace("'", "'\\''") + "'"
