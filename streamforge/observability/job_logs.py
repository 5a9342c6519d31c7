"""One job's lines from the log files of all processes on a data folder, in the order of their times."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from streamforge.observability.log_files import SUFFIX, folder_of

POLL_SECONDS = 0.25
FIRST = ("timestamp", "level", "process", "event")
"""What stands in front of a line, and once."""


@dataclass(frozen=True)
class Line:
    fields: dict[str, Any]
    raw: str

    @property
    def at(self) -> str:
        """In UTC as ISO 8601 has it, which sorts as text."""
        return str(self.fields.get("timestamp", ""))


def lines_of(data_dir: Path, job_id: UUID) -> list[Line]:
    """What is there."""
    return sorted(_Reader(data_dir, job_id).more(), key=lambda line: line.at)


def follow(data_dir: Path, job_id: UUID, sleep: Callable[[float], None] = time.sleep) -> Iterator[Line]:
    """What is there, then what comes, for ever. Lines of two processes that come in the same quarter of a second are in
    order, too."""
    reader = _Reader(data_dir, job_id)
    while True:
        yield from sorted(reader.more(), key=lambda line: line.at)
        sleep(POLL_SECONDS)


def as_text(line: Line) -> str:
    """For people. What a stranger wrote must not move the cursor of a terminal."""
    rest = {name: value for name, value in line.fields.items() if name not in {*FIRST, "job_id", "logger", "exception"}}
    words = [
        line.at.partition("T")[2][:12],
        f"{line.fields.get('process', ''):<6}",
        f"{line.fields.get('level', ''):<7}",
        str(line.fields.get("event", "")),
        *(f"{name}={value}" for name, value in rest.items()),
    ]
    text = " ".join(word if word.isprintable() else ascii(word) for word in words)
    told = str(line.fields.get("exception", "")).splitlines()
    return "\n".join([text, *(f"    {each if each.isprintable() else ascii(each)}" for each in told)])


class _Reader:
    """Remembers how far each file was read, by its inode: a file that is full goes on under another name."""

    def __init__(self, data_dir: Path, job_id: UUID) -> None:
        self._folder = folder_of(data_dir)
        self._wanted = str(job_id)
        self._read: dict[int, int] = {}

    def more(self) -> Iterator[Line]:
        for path in sorted(self._folder.glob(f"*{SUFFIX}*"), key=_age, reverse=True):
            try:
                yield from self._of(path)
            except FileNotFoundError:  # Its turn to go came in this moment.
                continue

    def _of(self, path: Path) -> Iterator[Line]:
        with path.open("rb") as file:
            inode = path.stat().st_ino
            file.seek(self._read.get(inode, 0))
            for raw in file:
                if not raw.endswith(b"\n"):  # Being written.
                    break
                self._read[inode] = self._read.get(inode, 0) + len(raw)
                if self._wanted.encode() in raw and (line := self._line(raw)) is not None:
                    yield line

    def _line(self, raw: bytes) -> Line | None:
        text = raw.decode("utf-8", errors="replace").rstrip("\n")
        try:
            fields = json.loads(text)
        except ValueError:
            return None
        mine = isinstance(fields, dict) and fields.get("job_id") == self._wanted
        return Line(fields, text) if mine else None


def _age(path: Path) -> int:
    """How many files of its process are newer: lines of the same moment stay in the order in which they were written."""
    number = path.suffix.removeprefix(".")
    return int(number) if number.isdigit() else 0
