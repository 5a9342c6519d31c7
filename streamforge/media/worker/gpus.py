"""What the GPUs of this machine are good for, found out by using them, and how busy they are."""

import asyncio

from streamforge.codecs.registry import GPU_ENCODERS
from streamforge.contracts import tasks
from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.tasks import GpuTrial, GpuTrialTask
from streamforge.errors import StreamForgeError
from streamforge.media.worker.capabilities import Gpu, gpus
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.trial import trial_renditions
from streamforge.settings import Settings

SAMPLE_SECONDS = 5.0
"""Between two looks at how busy a GPU is."""


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
