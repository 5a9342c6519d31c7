"""The floor: nothing but decoding a video once and encoding its ladder, with the plan's own encoder options."""

import re
import time
from contextlib import ExitStack
from fractions import Fraction
from pathlib import Path

import av
import psutil
from av.video.frame import PictureType, VideoFrame
from av.video.stream import VideoStream

from bench import cpu
from bench.cpu import Cost
from streamforge.contracts.media.plan import Chunk, Plan, VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source
from streamforge.media.decoding.frames import FrameWindow
from streamforge.media.encoding.scaling import Scaler, Size
from streamforge.media.worker.capabilities import ffmpeg_path


def ffmpeg(video: Path, plan: Plan, folder: Path) -> Cost:
    """One process: one decoder, `split`, a scaler and an encoder for each rendition, MP4 files."""
    return cpu.run(_command(video, plan, folder))


def _command(video: Path, plan: Plan, folder: Path) -> list[str]:
    count = len(plan.renditions)
    graph = [f"[0:v]split={count}" + "".join(f"[s{i}]" for i in range(count))]
    outputs: list[str] = []
    for position, rendition in enumerate(plan.renditions):
        graph.append(f"[s{position}]scale={rendition.width}:{rendition.height}:flags=bicubic[v{position}]")
        outputs += ["-map", f"[v{position}]", "-c:v", rendition.encoder, *_options(rendition)]
        outputs += [
            "-force_key_frames",
            f"expr:gte(t,n_forced*{plan.gop_seconds})",
            str(_file(folder, rendition, "ffmpeg")),
        ]
    start = [str(ffmpeg_path()), "-nostdin", "-hide_banner", "-loglevel", "error", "-y", "-i", str(video)]
    return [*start, "-filter_complex", ";".join(graph), *outputs]


def _options(rendition: VideoRendition) -> list[str]:
    return [argument for name, value in rendition.options.items() for argument in (f"-{name}", value)]


def pyav(video: Path, source: Source, plan: Plan, folder: Path) -> Cost:
    """The same with the libraries and the reader that the pipeline uses, in this process. Encoders take turns in one
    thread, so only the CPU seconds say anything."""
    before, began = _own_cpu(), time.monotonic()
    scaler = Scaler(source.video, [Size(rendition.width, rendition.height) for rendition in plan.renditions])
    everything = Chunk(index=0, start=0, end=None, expected_frames=0)
    with ExitStack() as stack:
        frames = stack.enter_context(FrameWindow(video, source, everything, plan.max_frame_rate))
        encoders = [stack.enter_context(_Encoder(rendition, source, folder)) for rendition in plan.renditions]
        for number, frame in enumerate(frames):
            is_key = number % round(plan.gop_seconds * source.video.frame_rate) == 0
            for encoder, picture in zip(encoders, scaler.scale(frame.picture, frame.ticks), strict=True):
                encoder.encode(picture, is_key)
    return Cost(_own_cpu() - before, time.monotonic() - began)


class _Encoder:
    def __init__(self, rendition: VideoRendition, source: Source, folder: Path) -> None:
        self._container = av.open(str(_file(folder, rendition, "pyav")), "w")
        rate = Fraction(source.video.frame_rate).limit_denominator(1001)
        stream = self._container.add_stream(rendition.encoder, rate=rate, options=dict(rendition.options))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = rendition.width, rendition.height, rendition.pixel_format
        stream.codec_context.time_base = Fraction(1, VIDEO_TIMESCALE)
        self._stream = stream

    def __enter__(self) -> "_Encoder":
        return self

    def __exit__(self, *_: object) -> None:
        self._container.mux(self._stream.encode(None))
        self._container.close()

    def encode(self, picture: VideoFrame, is_key: bool) -> None:
        picture.pict_type = PictureType.I if is_key else PictureType.NONE
        self._container.mux(self._stream.encode(picture))


def _own_cpu() -> float:
    times = psutil.Process().cpu_times()
    return float(times.user + times.system)


def x264_version(folder: Path, plan: Plan, way: str) -> str:
    """What x264 wrote into its own stream; `way` is `ffmpeg` or `pyav`."""
    found = re.search(rb"x264 - core [\w ]+", _file(folder, plan.renditions[-1], way).read_bytes())
    return found.group().decode().strip() if found else "not x264"


def _file(folder: Path, rendition: VideoRendition, way: str) -> Path:
    return folder / f"{way}-{rendition.name}.mp4"
