"""What this machine can do: cores, memory, encoders, measuring quality, GPUs. Loads no media code: it asks a child."""

import asyncio
import os
import subprocess
from functools import cache
from pathlib import Path

import imageio_ffmpeg
import pynvml
from pydantic import BaseModel

from streamforge.contracts import tasks
from streamforge.contracts.tasks import Libraries, LibrariesTask
from streamforge.errors import MissingPart
from streamforge.media.worker import cgroup
from streamforge.media.worker.children import MediaChildren
from streamforge.quality.registry import METRIC


class Gpu(BaseModel):
    name: str
    memory_bytes: int
    memory_used_bytes: int
    utilisation_percent: int


class Capabilities(BaseModel):
    """`ffmpeg` is the program that measures quality, if any; `measures` is whether it has the metric's filter."""

    libraries: Libraries
    ffmpeg: str | None
    measures: bool
    cores: int
    gpus: list[Gpu]


async def detect(children: MediaChildren) -> Capabilities:
    ffmpeg = _ffmpeg_or_none()
    return Capabilities(
        libraries=await children.run(tasks.LIBRARIES, LibrariesTask()),
        ffmpeg=ffmpeg,
        measures=ffmpeg is not None and await asyncio.to_thread(_has_filter, ffmpeg),
        cores=cores(),
        gpus=await asyncio.to_thread(gpus),
    )


def cores() -> int:
    """Those that this process may use; of a share in all of them, as many as it comes to."""
    here = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)
    return min(here, cgroup.cores() or here)


def memory_bytes() -> int:
    """What this machine has, or what its container may use of it."""
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(physical, cgroup.memory_bytes() or physical)


@cache
def ffmpeg_path() -> Path:
    """The ffmpeg of imageio-ffmpeg (or $IMAGEIO_FFMPEG_EXE), which has libvmaf and its models built in.

    Raises MissingPart.
    """
    found = _ffmpeg_or_none()
    if found is None:
        raise MissingPart("No ffmpeg is there to measure quality with; run `pip install imageio-ffmpeg`.")
    return Path(found)


def _ffmpeg_or_none() -> str | None:
    try:
        return str(imageio_ffmpeg.get_ffmpeg_exe())
    except RuntimeError:
        return None


def _has_filter(ffmpeg: str) -> bool:
    listing = subprocess.run(  # noqa: S603 - a list, no shell; the program that the package brings
        [ffmpeg, "-hide_banner", "-filters"], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    return f" {METRIC.filter_name} " in listing.stdout


def gpus() -> list[Gpu]:
    """NVIDIA's GPUs, as its own management library sees them; none where there is no driver, or one that does not tell."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return []
    try:
        return [_gpu(number) for number in range(pynvml.nvmlDeviceGetCount())]
    except pynvml.NVMLError:
        return []
    finally:
        pynvml.nvmlShutdown()


def _gpu(number: int) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(number)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    return Gpu(
        name=pynvml.nvmlDeviceGetName(handle),
        memory_bytes=memory.total,
        memory_used_bytes=memory.used,
        utilisation_percent=pynvml.nvmlDeviceGetUtilizationRates(handle).gpu,
    )
