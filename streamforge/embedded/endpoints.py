"""What a running `up` leaves in DIR/run: where its parts listen and which processes they are."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from streamforge import data_folder
from streamforge.errors import AlreadyRunning, MissingPart
from streamforge.settings import Settings


class ProcessRecord(BaseModel):
    """A child process. The start time (seconds since the epoch) tells it from a later process with the same pid."""

    name: str
    pid: int
    started_at: float


class RunFile(BaseModel):
    """DIR/run/up.json, for its owner only: the DSN holds a password."""

    dsn: str
    temporal_address: str
    api_url: str
    ui_url: str | None = None
    secret_fingerprint: str | None = None
    processes: list[ProcessRecord] = []


def path_of(data_dir: Path) -> Path:
    return data_dir / "run" / "up.json"


def write(data_dir: Path, content: RunFile) -> None:
    """Atomic: a reader sees the old file or the new one."""
    path = path_of(data_dir)
    aside = path.with_suffix(".new")
    with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(content.model_dump_json(indent=2))
    aside.replace(path)


def read(data_dir: Path) -> RunFile | None:
    """None when no `up` wrote one; it may be of an `up` that was killed."""
    try:
        return RunFile.model_validate_json(path_of(data_dir).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


@contextmanager
def exclusive(data_dir: Path) -> Iterator[None]:
    """Hold `data_dir` against a second `up`. The kernel lets go when the process ends, however it ends.

    Raises AlreadyRunning, DataFolderUnusable.
    """
    data_folder.require(data_dir)
    with _lock_file(data_dir) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"StreamForge already runs on {data_dir}; stop it first, or choose another folder with --data-dir."
            ) from error
        yield


def _lock_file(data_dir: Path) -> IO[bytes]:
    with data_folder.usable(data_dir):
        folder = data_dir / "run"
        folder.mkdir(mode=0o700, exist_ok=True)
        return (folder / "lock").open("wb")


def is_running(data_dir: Path) -> bool:
    """Raises DataFolderUnusable where it is somebody else's."""
    try:
        with (data_dir / "run" / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except BlockingIOError:
        return True
    except PermissionError as error:
        with data_folder.usable(data_dir):
            raise error
    return False


def join(settings: Settings) -> Settings:
    """`settings` with the database and Temporal of the `up` that runs on `settings.data_dir`, where they name none.

    Raises MissingPart when they are needed and nothing runs there.
    """
    if settings.database.dsn is not None and settings.temporal.address is not None:
        return settings
    running = read(settings.data_dir) if is_running(settings.data_dir) else None
    if running is None:
        raise MissingPart(
            f"No `streamforge up` runs on {settings.data_dir}: start it, name its folder with --data-dir, or set "
            "STREAMFORGE_DATABASE__DSN and STREAMFORGE_TEMPORAL__ADDRESS."
        )
    return with_parts(settings, running)


def with_parts(settings: Settings, running: RunFile) -> Settings:
    dsn = settings.database.dsn or running.dsn
    address = settings.temporal.address or running.temporal_address
    return settings.model_copy(
        update={
            "database": settings.database.model_copy(update={"dsn": dsn}),
            "temporal": settings.temporal.model_copy(update={"address": address}),
        }
    )
