"""Scores of some or all pictures of a part, in every rendition, by one ffmpeg that runs beside the encoders.

Nothing is decoded for it: the source's pictures come from the decoder that feeds the encoders, those of the renditions
from the proof that they can be played. They reach ffmpeg as raw pictures through a pipe; ffmpeg itself never opens what
came from outside.

Each rendition is compared with the source in its own dynamic range, as the scaler makes both: an SDR one with the
tone-mapped source, an HDR one with the source in its own transfer. All are measured at 8 bits.
"""

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

from streamforge.contracts.media.source import DynamicRange
from streamforge.errors import OutputInvalid
from streamforge.media.container.packet_clock import AnyPacket
from streamforge.media.encoding.scaling import Output, Size
from streamforge.media.worker.capabilities import ffmpeg_path
from streamforge.quality.registry import METRIC
from streamforge.quality.sampling import Sampling

PIXEL_FORMAT = "yuv420p"
RATE = 25
"""Pictures are numbered at this rate, in all streams; it has no other meaning."""


@dataclass
class _Sample:
    """A measured picture on its way to ffmpeg: from the source with its neighbours, from each rendition alone."""

    reference: list[dict[DynamicRange, bytes]] = field(default_factory=list)
    distorted: dict[str, bytes] = field(default_factory=dict)


class Scorer:
    """`reference` takes the source's pictures from one thread, `distorted` those of each rendition from another one;
    all come in order. What waits for its counterpart is bounded by the encoders' look-ahead.

    `distorted` waits while ffmpeg is busy, so that encoders do not run ahead of it. Leaving the block kills ffmpeg.
    """

    def __init__(self, reference: Size, renditions: dict[str, Output], sampling: Sampling, scratch: Path) -> None:
        self._reference = reference
        self._renditions = renditions
        self._ranges = list(dict.fromkeys(output.dynamic_range for output in renditions.values()))
        self._sampling = sampling
        self._scratch = scratch
        self._waiting: dict[int, _Sample] = {}
        self._measured: list[int] = []
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        self._errors = (self._scratch / "measuring.stderr").open("wb")
        self._process = subprocess.Popen(  # noqa: S603 - a list, no shell; sizes and counts, and no path from outside
            self._command(), stdin=subprocess.PIPE, stderr=self._errors
        )
        assert self._process.stdin is not None
        references = [Output(self._reference, PIXEL_FORMAT, each) for each in self._ranges]
        self._pipe = _Pipe(self._process.stdin, [*references, *self._renditions.values()])
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._process.kill()
        self._pipe.close()
        self._process.wait()
        self._errors.close()

    def reference(self, number: int, frames: dict[DynamicRange, VideoFrame]) -> None:
        """A picture of the source for which `Sampling.needs` names something, in every dynamic range of a rendition."""
        picture = {dynamic_range: _raw(frame) for dynamic_range, frame in frames.items()}
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
        """Scores by picture number, of each rendition. A last picture whose neighbour lies outside the part is left out.

        Raises OutputInvalid when ffmpeg gave up.
        """
        self._pipe.close()
        if self._process.wait() != 0 and self._measured:
            debug = (self._scratch / "measuring.stderr").read_text(errors="replace")[-2000:]
            raise OutputInvalid("An encoded rendition did not pass its quality measurement.", debug=debug)
        scores = self._scores()
        if any(len(values) != len(self._measured) for values in scores):
            debug = f"{[len(values) for values in scores]} measured, {len(self._measured)} expected"
            raise OutputInvalid("An encoded rendition did not pass its quality measurement.", debug=debug)
        return {n: dict(zip(self._measured, v, strict=True)) for n, v in zip(self._renditions, scores, strict=True)}

    # ── the pictures ────────────────────────────────────────────────────────────────────────────────────────────────
    def _send_if_complete(self, number: int) -> None:
        """Samples are completed in order, because all their parts come in order."""
        sample = self._waiting[number]
        needed = 1 + 2 * self._sampling.lead
        if len(sample.reference) < needed or len(sample.distorted) < len(self._renditions):
            return
        del self._waiting[number]
        self._measured.append(number)
        references = [[picture[each] for picture in sample.reference] for each in self._ranges]
        self._pipe.send([*references, *([sample.distorted[name]] * needed for name in self._renditions)])

    # ── ffmpeg ──────────────────────────────────────────────────────────────────────────────────────────────────────
    def _command(self) -> list[str]:
        graph = self._graph_of_samples() if self._sampling.lead else self._graph_of_everything()
        return [
            str(ffmpeg_path()), "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror", "-f", "nut", "-i", "pipe:0",
            "-filter_complex", ";".join(graph), *(part for out in self._outs() for part in ("-map", out)),
            "-f", "null", "-",
        ]  # fmt: skip

    def _outs(self) -> list[str]:
        return ["[out0]"] if self._sampling.lead else [f"[out{i}]" for i in range(len(self._renditions))]

    def _graph_of_samples(self) -> Iterator[str]:
        """One filter for all renditions in turn: libvmaf needs 50 bytes of memory per pixel, and in 4K six of them would
        need more than all encoders together. Triples follow each other as sample 0 of every rendition, sample 1 …"""
        count = len(self._renditions)
        # The filter measures every third picture from the first one on: the padding puts the middle ones of triples there.
        in_turn = f"interleave=nb_inputs={count},tpad=start=2:start_mode=clone,settb=1/{RATE},setpts=N"
        yield self._split()
        for i in range(count):
            turn = f"setpts='(floor(N/3)*{count}+{i})*3+mod(N,3)'"
            yield f"[source{i}]{turn}[ref{i}]"
            yield f"{self._scaled(i)},{turn}[dist{i}]"
        yield "".join(f"[ref{i}]" for i in range(count)) + f"{in_turn}[ref]"
        yield "".join(f"[dist{i}]" for i in range(count)) + f"{in_turn}[dist]"
        yield f"[dist][ref]{self._filter(self._log_path(0), every=3)}[out0]"

    def _graph_of_everything(self) -> Iterator[str]:
        """A filter for each rendition, side by side: all pictures of one must follow each other."""
        yield self._split()
        for i in range(len(self._renditions)):
            yield f"{self._scaled(i)}[dist{i}]"
            yield f"[dist{i}][source{i}]{self._filter(self._log_path(i))}[out{i}]"

    def _split(self) -> str:
        """Each rendition's own reference, from the stream that has its dynamic range."""
        splits = []
        for stream, dynamic_range in enumerate(self._ranges):
            users = [i for i, o in enumerate(self._renditions.values()) if o.dynamic_range == dynamic_range]
            splits.append(f"[0:v:{stream}]split={len(users)}" + "".join(f"[source{i}]" for i in users))
        return ";".join(splits)

    def _scaled(self, position: int) -> str:
        size = self._reference
        return (
            f"[0:v:{position + len(self._ranges)}]scale={size.width}:{size.height}:flags=bicubic,format={PIXEL_FORMAT}"
        )

    def _filter(self, log: Path, every: int = 1) -> str:
        return METRIC.filter(self._reference.width, self._reference.height, _escaped(log), every)

    # ── its answer ──────────────────────────────────────────────────────────────────────────────────────────────────
    def _scores(self) -> list[list[float]]:
        """For each rendition the scores of all measured pictures."""
        count = len(self._renditions)
        if not self._measured:
            return [[] for _ in range(count)]
        if self._sampling.lead:
            values = METRIC.scores(self._log_path(0))[1:]  # The padding.
            return [values[i::count] for i in range(count)]
        return [METRIC.scores(self._log_path(i)) for i in range(count)]

    def _log_path(self, position: int) -> Path:
        return self._scratch / f"scores-{position}.json"


class _Outlet:
    """A pipe whose reader may have gone: what is written then goes nowhere. It is not left to who writes, for an exception
    out of a file's `write` reaches callers of PyAV as another one, without its cause."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def write(self, data: bytes) -> int:
        with suppress(BrokenPipeError):
            self._file.write(data)
        return len(data)

    def close(self) -> None:
        with suppress(BrokenPipeError):
            self._file.close()


class _Pipe:
    """Raw pictures of several streams to ffmpeg's standard input. When ffmpeg has given up they go nowhere."""

    def __init__(self, file: IO[bytes], kinds: list[Output]) -> None:
        self._outlet = _Outlet(file)
        self._container = av.open(self._outlet, "w", format="nut")
        self._streams = [_raw_stream(self._container, kind) for kind in kinds]
        self._sent = 0

    def send(self, pictures: list[list[bytes]]) -> None:
        """Equally many for each stream."""
        for position, side_by_side in enumerate(zip(*pictures, strict=True), start=self._sent):
            for stream, picture in zip(self._streams, side_by_side, strict=True):
                self._container.mux(_packet(stream, picture, position))
        self._sent += len(pictures[0])

    def close(self) -> None:
        """Calling it again does nothing."""
        self._container.close()
        self._outlet.close()


def _raw_stream(container: OutputContainer, kind: Output) -> VideoStream:
    stream = container.add_stream("rawvideo", rate=RATE)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = kind.size.width, kind.size.height, kind.pixel_format
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
