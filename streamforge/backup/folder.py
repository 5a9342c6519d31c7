"""What a backup is: a folder of files, and the receipt that is written last. Without it there is no backup."""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal
from uuid import UUID

from pydantic import BaseModel, ValidationError

from streamforge.backup.copies import digest_of
from streamforge.contracts.media.encoded import StoredFile
from streamforge.db.snapshot import Role
from streamforge.errors import BackupUnreadable
from streamforge.storage.protocol import is_object_name

RECEIPT = "backup.json"
DATABASE = "database.dump"
TEMPORAL = "temporal.db"
OBJECTS = "objects.jsonl"
STORE = "store"
SECRETS = "secrets"

SecretName = Literal["keys-secret", "access-secret"]
"""Files of the data folder. No others: to restore them is to write to where their names lead."""

FORMAT = 1
"""Raised when a version before could not restore what this one writes."""


class BackedUpObject(BaseModel):
    """An object of the store. Without `sha256` it was only listed: its bytes are not in the backup."""

    name: str
    size_bytes: int
    modified_ns: int
    sha256: str | None = None


class Receipt(BaseModel):
    format: int
    version: str
    made_at: datetime
    installation: UUID
    store: Literal["copied", "listed"]
    temporal: Literal["copied", "elsewhere"]
    roles: list[Role]
    unfinished_jobs: int
    objects: int
    object_bytes: int
    secrets: list[SecretName]
    damaged: list[str]
    """Objects that were not as their own stream's receipt says, already in the store."""
    files: dict[str, StoredFile]
    """All but the objects, which OBJECTS lists."""

    def sentences(self) -> list[str]:
        """What is in it, and what is not, for whoever made it."""
        objects = f"{self.objects:,} objects of {self.object_bytes:,} bytes"
        return [
            f"Backup of {self.made_at:%Y-%m-%d %H:%M:%S} UTC: the database, with {self.unfinished_jobs} unfinished jobs.",
            f"Store: {objects}." if self.store == "copied" else f"Store: {objects} are listed, and not copied.",
            "Temporal: its database, with the workflows of these jobs."
            if self.temporal == "copied"
            else "Temporal is a cluster of its own, and not in the backup; unfinished jobs begin again when it is restored.",
            f"Secrets: {', '.join(self.secrets)}; keep the backup as safe as these."
            if self.secrets
            else "Secrets: none lie in the data folder. Those of the settings are yours to keep.",
            *(f"Damaged in the store before: {name}" for name in self.damaged),
        ]


@dataclass(frozen=True)
class Backup:
    """One that is whole, as far as sizes tell; objects are hashed when they are read."""

    folder: Path
    receipt: Receipt

    def objects(self) -> Iterator[BackedUpObject]:
        with (self.folder / OBJECTS).open(encoding="utf-8") as lines:
            for line in lines:
                yield BackedUpObject.model_validate_json(line)

    def path_of(self, each: BackedUpObject) -> Path:
        return self.folder / STORE / each.name


def write_objects(folder: Path, objects: Iterable[BackedUpObject]) -> None:
    with private(folder / OBJECTS).open("w", encoding="utf-8") as file:
        for each in objects:
            file.write(each.model_dump_json() + "\n")


def write_receipt(folder: Path, receipt: Receipt) -> None:
    """On the disk before its name is, as everything that it speaks of is before that."""
    os.sync()
    aside = private(folder / f"{RECEIPT}.new")
    with aside.open("w", encoding="utf-8") as file:
        file.write(receipt.model_dump_json(indent=2))
        file.flush()
        os.fsync(file.fileno())
    aside.replace(folder / RECEIPT)


def private(path: Path) -> Path:
    """Made for its owner alone: a backup holds all that its installation does, and the secrets of that."""
    path.touch(mode=0o600)
    return path


def opened(folder: Path) -> Backup:
    """Raises BackupUnreadable for what is unfinished, damaged, or none at all."""
    backup = Backup(folder, _receipt(folder))
    for name, expected in backup.receipt.files.items():
        _compare(folder, name, expected)
    for each in _listed(backup):
        if each.sha256 is not None and _size(backup.path_of(each)) != each.size_bytes:
            raise _damaged(folder, f"{STORE}/{each.name}")
    return backup


def _receipt(folder: Path) -> Receipt:
    try:
        text = (folder / RECEIPT).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise BackupUnreadable(f"{folder} is no backup, or one that was never finished: it has no {RECEIPT}.") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BackupUnreadable(f"The {RECEIPT} of {folder} cannot be read: {error}.") from error
    try:
        receipt = Receipt.model_validate_json(text)
    except ValidationError as error:
        raise BackupUnreadable(f"The {RECEIPT} of {folder} is damaged.", debug=str(error)) from error
    if receipt.format > FORMAT:
        raise BackupUnreadable(
            f"{folder} was made by StreamForge {receipt.version}; restore it with that version or a later one."
        )
    return receipt


def _compare(folder: Path, name: str, expected: StoredFile) -> None:
    path = folder / name
    if _size(path) != expected.size_bytes or digest_of(path) != expected.sha256:
        raise _damaged(folder, name)


def _listed(backup: Backup) -> Iterator[BackedUpObject]:
    """Raises BackupUnreadable, also for a name that would lead out of the store."""
    try:
        for each in backup.objects():
            if not is_object_name(each.name):
                raise _damaged(backup.folder, OBJECTS)
            yield each
    except ValidationError as error:
        raise _damaged(backup.folder, OBJECTS) from error


def _size(path: Path) -> int | None:
    """None for what is no plain file."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def _damaged(folder: Path, name: str) -> BackupUnreadable:
    return BackupUnreadable(
        f"The backup {folder} is damaged: {name} is missing, or is not what it was. Nothing was restored; take another one."
    )
