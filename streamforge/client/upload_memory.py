"""What a process writes down of an upload, so that another one can go on with it when it was killed."""

import json
import os
import time
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from uuid import UUID, uuid4

from pydantic import BaseModel, ValidationError

KEPT_SECONDS = 7 * 24 * 3600
"""Longer than a server keeps an upload that nobody goes on with."""


class Remembered(BaseModel):
    """`name` names the request that began it: sent again it begins no other. `upload_id` is what it was answered."""

    name: UUID
    upload_id: UUID | None = None


def default_folder() -> Path:
    """Of the XDG Base Directory Specification, for what may be lost."""
    return Path(os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "streamforge" / "uploads"


class UploadMemory:
    """Of one upload, known by its server, file and fields. Where nothing can be written down it lasts as long as we do: an
    upload must not fail of that."""

    def __init__(self, folder: Path, *marks: object) -> None:
        # Nobody can read the key that is among the marks out of this name.
        self._file = folder / sha256(json.dumps(marks, default=str).encode()).hexdigest()
        self.known = self._read() or Remembered(name=uuid4())
        self.is_of_before = self._file.exists()

    def save(self, upload_id: UUID | None) -> None:
        self.known = self.known.model_copy(update={"upload_id": upload_id})
        with suppress(OSError):
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._sweep()
            new = self._file.with_name(f"{self._file.name}.{os.getpid()}")
            new.write_text(self.known.model_dump_json(), encoding="utf-8")
            os.replace(new, self._file)

    def forget(self) -> None:
        self.known = Remembered(name=uuid4())
        self.is_of_before = False
        with suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _read(self) -> Remembered | None:
        try:
            return Remembered.model_validate_json(self._file.read_bytes())
        except (OSError, ValidationError):
            return None

    def _sweep(self) -> None:
        for each in self._file.parent.iterdir():
            if time.time() - each.stat().st_mtime > KEPT_SECONDS:
                each.unlink(missing_ok=True)
