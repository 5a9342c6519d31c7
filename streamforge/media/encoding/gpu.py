"""What the GPUs of this machine are good for, found out by using them, and how busy they are."""

import asyncio
import tempfile
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from streamforge.codecs.registry import GPU_ENCODERS
from streamforge.contracts import tasks
from streamforge.contracts.media import VIDEO_TIMESCALE, VideoRendition
from streamforge.contracts.tasks import GPU_TRIAL, GpuTrial, GpuTrialTask, Nothing
from streamforge.errors import OutputInvalid, StreamForgeError
from streamforge.media.cmaf.encryption import encryption_for
from streamforge.media.cmaf.fragments import TrackFolder
from streamforge.media.encoding.rendition import GopStarts, GpuFailed, Picture, RenditionEncoder, failure_of
from streamforge.media.process.performing import Tell, performs
from streamforge.media.worker.capabilities import Gpu, gpus
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.trial import FRAME_RATE, trial_renditions
from streamforge.settings import Settings

FRAME_TICKS = round(VIDEO_TIMESCALE / FRAME_RATE)
FRAMES = 12
GOP_TICKS = FRAMES // 2 * FRAME_TICKS

SAMPLE_SECONDS = 5.0
"""Between two looks at how busy a GPU is."""


@performs(GPU_TRIAL)
def run(task: GpuTrialTask, _: Tell[Nothing]) -> GpuTrial:
    """Two short GOPs by the real way of a chunk: opened with the real options, decoded again, and cut at their key frames."""
    assert task.rendition.gpu_encoder is not None
    with tempfile.TemporaryDirectory() as folder:
        try:
            _encode(task.rendition, Path(folder))
        except (GpuFailed, OutputInvalid) as error:
            return GpuTrial(encoder=task.rendition.gpu_encoder, failure=failure_of(error))
    return GpuTrial(encoder=task.rendition.gpu_encoder)


def _encode(rendition: VideoRendition, folder: Path) -> None:
    track = TrackFolder(folder / rendition.name, GOP_TICKS, encryption_for(None, None, rendition.name))
    encoder = RenditionEncoder(rendition, track, FRAME_RATE, lambda number, frame: None, on_gpu=True)
    cuts = GopStarts(GOP_TICKS)
    try:
        for ticks in range(0, FRAMES * FRAME_TICKS, FRAME_TICKS):
            is_key = cuts.starts_gop(ticks, FRAME_TICKS)
            encoder.encode(Picture(_grey(rendition, ticks + FRAME_TICKS), ticks, FRAME_TICKS, is_key))
        encoder.flush()
    finally:
        encoder.close()
    encoder.write_segments(cuts, FRAME_TICKS)


def _grey(rendition: VideoRendition, ticks: int) -> VideoFrame:
    frame = VideoFrame(rendition.width, rendition.height, rendition.pixel_format)
    for plane in frame.planes:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = ticks, Fraction(1, VIDEO_TIMESCALE)
    return frame


async def try_encoders(children: MediaChildren, settings: Settings) -> list[GpuTrial]:
    """One for each GPU encoder that a job could use. Nothing is tried where there is no GPU, or where it is turned off."""
    if settings.worker.gpu == "off" or not await asyncio.to_thread(gpus):
        return []
    return [await _tried(children, rendition) for rendition in _renditions(settings)]


def _renditions(settings: Settings) -> list[VideoRendition]:
    by_encoder: dict[str, VideoRendition] = {}
    for rendition in trial_renditions(settings):
        if encoder := GPU_ENCODERS.get(rendition.codec):
            by_encoder.setdefault(encoder, rendition.model_copy(update={"gpu_encoder": encoder}))
    return list(by_encoder.values())


async def _tried(children: MediaChildren, rendition: VideoRendition) -> GpuTrial:
    """A driver that takes the child down with it is only a reason more not to use it."""
    try:
        return await children.run(tasks.GPU_TRIAL, GpuTrialTask(rendition=rendition))
    except StreamForgeError as error:
        return GpuTrial(encoder=rendition.gpu_encoder or "", failure=error.debug or error.message)


class GpuMeter:
    """How busy the GPUs were when they were looked at last. `watch` looks until it is cancelled."""

    def __init__(self) -> None:
        self.latest: list[Gpu] = []

    async def watch(self) -> None:
        while True:
            self.latest = await asyncio.to_thread(gpus)
            await asyncio.sleep(SAMPLE_SECONDS)
