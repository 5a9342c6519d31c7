"""VMAF of every rendition of one chunk, in one run: the source is decoded once, and only what is scored is scaled.

Pictures are compared in pairs: VMAF's motion term looks at the picture before, so of each pair (n, n + 1) only the
second is counted. Choosing frames before scaling is what makes sampling cheap; dropping frames without keeping each
one's predecessor would make scores 3 to 7 points too high.

The reference reaches ffmpeg as raw pictures through a pipe, from the same reader the encoder used: ffmpeg itself never
opens what came from outside.
"""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from pydantic import BaseModel

from streamforge.contracts.media import Chunk, Plan, RenditionScore, Source
from streamforge.errors import OutputInvalid
from streamforge.media.capabilities import ffmpeg_path
from streamforge.media.frames import FrameWindow
from streamforge.media.progress import Progress
from streamforge.media.scaling import PIXEL_FORMAT, Scaler, Size
from streamforge.planning.quality import harmonic_mean

MODEL = "version=vmaf_v0.6.1"
MODEL_4K = "version=vmaf_4k_v0.6.1"
RATE = 25
"""Sampled pictures get consecutive time stamps at this rate on both sides; it has no other meaning."""


class VmafTask(BaseModel):
    """`renditions` maps a rendition's name to a playable file of exactly this chunk."""

    path: Path
    source: Source
    plan: Plan
    chunk: Chunk
    renditions: dict[str, Path]
    scratch: Path


class VmafResult(BaseModel):
    scores: list[RenditionScore]


class Sampling:
    """Which frames of a chunk are compared: every `step` frames a pair; every single frame when `step` is 1 or 2."""

    def __init__(self, step: int) -> None:
        self.step = 1 if step <= 2 else step
        self.taken = 0
        self.times: list[float] = []

    def takes(self, number: int) -> bool:
        return self.step == 1 or number % self.step < 2

    def note(self, number: int, seconds: float) -> None:
        """Remember a compared frame. The first frame of a pair only lends its picture to the motion term."""
        self.taken += 1
        if self.step == 1 or number % self.step == 1:
            self.times.append(seconds)

    def select_expression(self) -> str:
        return "1" if self.step == 1 else f"lt(mod(n\\,{self.step})\\,2)"

    def padding(self) -> str:
        """libvmaf can leave out every other picture and still knows its motion; one more at the front makes those that
        it leaves out the first ones of the pairs."""
        return "" if self.step == 1 else "tpad=start=1:start_mode=clone,"

    def subsampling(self) -> str:
        return "" if self.step == 1 else ":n_subsample=2"

    def scored(self, frames: list[dict[str, Any]]) -> list[tuple[float, float]]:
        """(VMAF, seconds) of every frame that counts, from libvmaf's log. Raises OutputInvalid when some are missing."""
        values = [float(frame["metrics"]["vmaf"]) for frame in frames]
        if self.step > 1 and self.times:
            values = values[1:]  # The padding.
        times = self.times or [0.0]  # A chunk of a single frame has no pair.
        if len(values) != len(times):
            raise OutputInvalid(
                "A rendition does not have as many pictures as the source.",
                debug=f"{len(values)} compared, {len(times)} expected",
            )
        return list(zip(values, times, strict=True))


def run(task: VmafTask, on_progress: Progress) -> VmafResult:
    """Raises OutputInvalid when a rendition does not decode to as many frames as it should have."""
    sampling = Sampling(task.plan.quality.sample_every_frames)
    width, height = _even(task.source.video.width), _even(task.source.video.height)
    command = _command(task, sampling, width, height)
    errors = task.scratch / "vmaf.stderr"
    with errors.open("wb") as stderr, subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr) as process:
        try:
            _feed(task, process, sampling, Size(width, height), on_progress)
        except BrokenPipeError:
            pass  # ffmpeg gave up; its exit status and stderr say why.
        except BaseException:
            process.kill()
            raise
        finally:
            assert process.stdin is not None
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
    if process.returncode != 0:
        debug = errors.read_text(errors="replace")[-2000:]
        raise OutputInvalid("An encoded rendition did not pass its quality measurement.", debug=debug)
    return VmafResult(scores=[_score(task, name, sampling) for name in task.renditions])


def _feed(
    task: VmafTask, process: "subprocess.Popen[bytes]", sampling: Sampling, size: Size, on_progress: Progress
) -> None:
    assert process.stdin is not None
    scaler = Scaler(task.source.video, [size])
    with (
        FrameWindow(task.path, task.source.video, task.chunk, task.plan.max_frame_rate) as window,
        av.open(process.stdin, "w", format="nut") as pipe,
    ):
        stream = pipe.add_stream("rawvideo", rate=RATE)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = size.width, size.height, PIXEL_FORMAT
        for number, frame in enumerate(window):
            if not sampling.takes(number):
                continue
            (picture,) = scaler.scale(frame.picture, frame.ticks)
            sampling.note(number, frame.ticks / 90_000)
            _send(pipe, stream, picture, sampling.taken - 1)
            on_progress({"frames": number + 1})
        pipe.mux(stream.encode(None))


def _send(pipe: OutputContainer, stream: VideoStream, picture: VideoFrame, position: int) -> None:
    picture.pts = position
    picture.time_base = Fraction(1, RATE)
    pipe.mux(stream.encode(picture))


def _command(task: VmafTask, sampling: Sampling, width: int, height: int) -> list[str]:
    inputs = [argument for path in task.renditions.values() for argument in ("-i", str(path))]
    return [
        str(ffmpeg_path()), "-nostdin", "-hide_banner", "-loglevel", "error", "-xerror",
        "-f", "nut", "-i", "pipe:0", *inputs,
        "-filter_complex", ";".join(_graph(task, sampling, width, height)),
        *(argument for position in range(len(task.renditions)) for argument in ("-map", f"[out{position}]")),
        "-f", "null", "-",
    ]  # fmt: skip


def _graph(task: VmafTask, sampling: Sampling, width: int, height: int) -> Iterator[str]:
    count = len(task.renditions)
    model = MODEL_4K if min(width, height) > 1080 else MODEL
    clock = f"{sampling.padding()}settb=1/{RATE},setpts=N"  # Numbered last: padding goes by the frame rate.
    yield f"[0:v]{clock},split={count}" + "".join(f"[ref{i}]" for i in range(count))
    for position, name in enumerate(task.renditions):
        log = _log_path(task, name)
        yield (
            f"[{position + 1}:v]select='{sampling.select_expression()}',{clock},"
            f"scale={width}:{height}:flags=bicubic,format={PIXEL_FORMAT}[dist{position}]"
        )
        yield (
            f"[dist{position}][ref{position}]libvmaf=model={model}:n_threads=2:log_fmt=json:shortest=1:repeatlast=0"
            f"{sampling.subsampling()}"
            f":log_path={_escaped(log)}[out{position}]"
        )


def _score(task: VmafTask, name: str, sampling: Sampling) -> RenditionScore:
    frames = json.loads(_log_path(task, name).read_text())["frames"]
    scored = sampling.scored(frames)
    worst, worst_at = min(scored)
    values = [value for value, _ in scored]
    return RenditionScore(
        name=name,
        mean=sum(values) / len(values),
        harmonic_mean=harmonic_mean(values),
        worst=worst,
        worst_at=worst_at,
        frames_scored=len(values),
    )


def _log_path(task: VmafTask, name: str) -> Path:
    return task.scratch / f"vmaf-{name}.json"


def _escaped(path: Path) -> str:
    """For a filter argument inside a filter graph: two levels of quoting (ffmpeg-utils, "Quoting and escaping")."""
    once = str(path).replace("\\", "\\\\").replace("'", "\\'").replace(":", "\\:")
    return "'" + once.replace("'", "'\\''") + "'"


def _even(length: int) -> int:
    return max(2, length // 2 * 2)
