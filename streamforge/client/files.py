"""Files as they are read while they are sent."""

import io
import os
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

from streamforge.client.errors import FileChanged

PIECE_BYTES = 1024 * 1024

OnProgress = Callable[[int, int], None]
"""Takes bytes sent, and bytes in all. After a broken connection it begins again where the server has got to."""


class SentSoFar:
    """How much of some files has been read, which is how much has been sent."""

    def __init__(self, paths: Sequence[Path], report: OnProgress | None) -> None:
        self._size = sum(path.stat().st_size for path in paths)
        self._sent = 0
        self._report = report

    def read(self, count: int) -> None:
        self._sent += count
        if self._report is not None:
            self._report(self._sent, self._size)


class ReportingFile(io.FileIO):
    def __init__(self, path: Path, sent: SentSoFar) -> None:
        super().__init__(path)
        self._so_far = sent

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._so_far.read(len(data))
        return data


class SameFile:
    """A file that must stay what it is: its pieces are sent over days, perhaps, and by several processes."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self._looked = self.path.stat()

    @property
    def size(self) -> int:
        return self._looked.st_size

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def marks(self) -> list[str | int]:
        """By which another process knows it again."""
        return [str(self.path), self.size, self._looked.st_mtime_ns]

    async def pieces(self, offset: int, on_progress: OnProgress | None) -> AsyncIterator[bytes]:
        """From `offset` to the end. Raises FileChanged."""
        with self.path.open("rb") as file:
            file.seek(offset)
            while offset < self.size:
                self.require_unchanged(os.fstat(file.fileno()))
                piece = file.read(min(PIECE_BYTES, self.size - offset))
                if not piece:
                    raise self._changed()
                yield piece
                offset += len(piece)
                if on_progress is not None:
                    on_progress(offset, self.size)

    def require_unchanged(self, now: os.stat_result) -> None:
        if (now.st_size, now.st_mtime_ns) != (self._looked.st_size, self._looked.st_mtime_ns):
            raise self._changed()

    def _changed(self) -> FileChanged:
        return FileChanged(f"{self.path} was written to while it was being sent; send it again when it is whole.")
