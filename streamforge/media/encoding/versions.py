"""What a stream is made with: the versions of all parts that have a say in its bytes."""

import platform
from functools import cache
from importlib.metadata import version

import av
import imageio_ffmpeg

from streamforge import __version__
from streamforge.contracts.media import EncodePlan, Source
from streamforge.media.vmaf.observation import reference_size
from streamforge.media.vmaf.scorer import model_for


def versions(source: Source, plan: EncodePlan) -> dict[str, str]:
    """Of this process. `ffmpeg` is what PyAV brings, which decodes and encodes; `ffmpeg_program` measures the VMAF."""
    found = {
        "streamforge": __version__,
        "python": platform.python_version(),
        "temporalio": version("temporalio"),
        "av": av.__version__,
        "ffmpeg": av.ffmpeg_version_info,
        "libavcodec": ".".join(map(str, av.library_versions["libavcodec"])),
    }
    if plan.quality.enabled and source.video is not None:
        found["ffmpeg_program"] = _ffmpeg_program()
        found["vmaf_model"] = model_for(reference_size(source.video))
    return found


@cache
def _ffmpeg_program() -> str:
    return str(imageio_ffmpeg.get_ffmpeg_version())
