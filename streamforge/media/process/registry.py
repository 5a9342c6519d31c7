"""The tasks a media child can run, by name: pydantic in, progress on the way, pydantic or an error out."""

import errno
import importlib
import inspect
import pkgutil
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import av
from pydantic import BaseModel

from streamforge import media
from streamforge.contracts.tasks import Task
from streamforge.disks import WORKER, disk_error, full, is_full, is_no_room, is_of_a_disk
from streamforge.errors import ServiceError, SourceTooExpensive, StreamForgeError
from streamforge.media.process.performing import performed_by

NO_TASKS = {"process", "worker"}
"""Packages beside those of media code: the process itself, and its other side."""


def _performers() -> Iterator[tuple[Task[Any, Any, Any], Callable[..., BaseModel]]]:
    for module in pkgutil.walk_packages(media.__path__, f"{media.__name__}."):
        if NO_TASKS.isdisjoint(module.name.split(".")):
            for _, work in inspect.getmembers(importlib.import_module(module.name), inspect.isfunction):
                if work.__module__ == module.name and (task := performed_by(work)) is not None:
                    yield task, work


def _load_av() -> None:
    """PyAV loads its parts when they are needed first. In a child that is short of memory that looks as if they were not
    installed."""
    for module in pkgutil.walk_packages(av.__path__, "av."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


_load_av()
TASKS = {task.name: (task, work) for task, work in _performers()}
"""With all their modules: whoever forks from here finds everything imported."""


def understood(name: str, task_input: str) -> tuple[Task[Any, Any, Any], BaseModel]:
    row, _ = TASKS[name]
    return row, row.takes.model_validate_json(task_input)


def run(
    row: Task[Any, Any, Any], task: BaseModel, tell: Callable[[dict[str, Any]], None], confine: Callable[[], None]
) -> dict[str, Any]:
    """`{"result": …}` or `{"error": …}`, `{"progress": …}` told on the way; nothing escapes but a crash of the process
    itself. `confine` comes before the work."""
    _, work = TASKS[row.name]
    try:
        confine()
        return {"result": work(task, lambda progress: tell(_as_told(progress))).model_dump_json()}
    except Exception as error:
        told = _of_the_disk(error, task) or _of_the_work(error)
        if type(told) is ServiceError:
            # In the log of the worker, which knows of which job and attempt it is; a child does not.
            tell({"log": "".join(traceback.format_exception(error))})
        return {"error": {"code": told.code, "message": told.message, "debug": told.debug}}


def _as_told(progress: BaseModel) -> dict[str, Any]:
    return {"progress": progress.model_dump(mode="json", exclude_unset=True)}


def _of_the_disk(error: Exception, task: BaseModel) -> StreamForgeError | None:
    """On a full disk nothing can be said about a video: encoders, muxers and ffmpeg fail there in ways of their own."""
    # FFmpeg has EIO and EPERM for broken files, too.
    says_so = is_no_room if isinstance(error, av.error.FFmpegError) else is_of_a_disk
    if isinstance(error, OSError) and error.errno == errno.EFBIG:
        return SourceTooExpensive("This video makes a file that is larger than one may be.", debug=str(error))
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
    return ServiceError("The media process failed.", debug=f"{type(error).__name__}: {error}")
