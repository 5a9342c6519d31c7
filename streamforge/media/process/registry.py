"""The tasks a media child can run, by name: pydantic in, progress on the way, pydantic or an error out."""

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
from pydantic import BaseModel

from streamforge.disks import WORKER, disk_error, full, is_full, is_no_room, is_of_a_disk
from streamforge.errors import ServiceError, SourceTooExpensive, StreamForgeError
from streamforge.media.cmaf import progressive
from streamforge.media.encoding import codec_strings, encode, gpu, per_title_probes, trial
from streamforge.media.probe import probe
from streamforge.media.process.progress import Progress
from streamforge.media.sound import audio
from streamforge.media.stills import sprites
from streamforge.media.text import subtitles, transcribe

TASKS: dict[str, tuple[type[BaseModel], Callable[[Any, Progress], BaseModel]]] = {
    "probe": (probe.ProbeTask, probe.run),
    "codecs": (codec_strings.CodecsTask, codec_strings.run),
    "search": (per_title_probes.SearchTask, per_title_probes.run),
    "encode": (encode.EncodeTask, encode.run),
    "audio": (audio.AudioTask, audio.run),
    "progressive": (progressive.ProgressiveTask, progressive.run),
    "sprites": (sprites.SpritesTask, sprites.run),
    "subtitles": (subtitles.SubtitlesTask, subtitles.run),
    "transcribe": (transcribe.TranscribeTask, transcribe.run),
    "gpu_trial": (gpu.GpuTrialTask, gpu.run),
    "trial": (trial.TrialTask, trial.run),
}


def run(name: str, task_input: str, on_progress: Progress) -> dict[str, Any]:
    """`{"result": …}` or `{"error": …}`; nothing escapes but a crash of the process itself."""
    model, work = TASKS[name]
    task = model.model_validate_json(task_input)
    try:
        return {"result": work(task, on_progress).model_dump_json()}
    except Exception as error:
        told = _of_the_disk(error, task) or _of_the_work(error)
        return {"error": {"kind": type(told).__name__, "message": told.message, "debug": told.debug}}


def _of_the_disk(error: Exception, task: BaseModel) -> StreamForgeError | None:
    """On a full disk nothing can be said about a video: encoders, muxers and ffmpeg fail there in ways of their own."""
    # FFmpeg has EIO and EPERM for broken files, too.
    says_so = is_no_room if isinstance(error, av.error.FFmpegError) else is_of_a_disk
    if isinstance(error, OSError) and says_so(error):
        return disk_error(error, WORKER)
    target: Path | None = getattr(task, "target", None)
    if target is not None and is_full(target if target.is_dir() else target.parent):
        return full(WORKER, f"{type(error).__name__}: {error}")
    return None


def _of_the_work(error: Exception) -> StreamForgeError:
    if isinstance(error, StreamForgeError):
        return error
    if isinstance(error, MemoryError | av.error.MemoryError):
        message = "This video needs more memory to process than one media process may use."
        return SourceTooExpensive(message, debug=str(error))
    traceback.print_exception(error, file=sys.stderr)
    return ServiceError("The media process failed.", debug=f"{type(error).__name__}: {error}")
