"""The tasks a media child can run, by name: pydantic in, progress on the way, pydantic or an error out."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

import av
from pydantic import BaseModel

from streamforge.errors import SourceTooExpensive, StreamForgeError
from streamforge.media import (
    audio,
    codecs,
    encode,
    gpu,
    probe,
    progressive,
    search,
    sprites,
    subtitles,
    transcribe,
    trial,
)
from streamforge.media.progress import Progress

TASKS: dict[str, tuple[type[BaseModel], Callable[[Any, Progress], BaseModel]]] = {
    "probe": (probe.ProbeTask, probe.run),
    "codecs": (codecs.CodecsTask, codecs.run),
    "search": (search.SearchTask, search.run),
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
    try:
        return {"result": work(model.model_validate_json(task_input), on_progress).model_dump_json()}
    except StreamForgeError as error:
        return _described(type(error).__name__, error.message, error.debug)
    except (MemoryError, av.error.MemoryError) as error:
        message = "This video needs more memory to process than one media process may use."
        return _described(SourceTooExpensive.__name__, message, str(error))
    except Exception as error:
        traceback.print_exc(file=sys.stderr)
        return _described("ServiceError", "The media process failed.", f"{type(error).__name__}: {error}")


def _described(kind: str, message: str, debug: str | None) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message, "debug": debug}}
