"""What a stream is made with: the versions of all parts that have a say in its bytes, for its receipt."""

import platform
from functools import cache
from importlib.metadata import version

import imageio_ffmpeg

from streamforge import __version__
from streamforge.contracts.media.plan import EncodePlan
from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import Libraries
from streamforge.quality.registry import METRIC


def versions(libraries: Libraries, source: Source, plan: EncodePlan) -> dict[str, str]:
    """`ffmpeg` is what PyAV brings, which decodes and encodes; `ffmpeg_program` measures the quality."""
    found = {
        "streamforge": __version__,
        "python": platform.python_version(),
        "temporalio": version("temporalio"),
        "av": libraries.av,
        "ffmpeg": libraries.ffmpeg,
        "libavcodec": libraries.libavcodec,
    }
    if plan.quality.enabled and source.video is not None:
        found["ffmpeg_program"] = _ffmpeg_program()
        found[f"{METRIC.name}_model"] = METRIC.model(source.video.width, source.video.height)
    return found


@cache
def _ffmpeg_program() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_version())
