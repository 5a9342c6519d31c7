"""The rows of `job_chunks`."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from streamforge.contracts.chunks import ChunkState
from streamforge.db.pool import Database

WINDOW = ""
"""The part of a row that is about a chunk as a whole."""


class ChunkRow(BaseModel):
    """Of a part of a chunk; of a chunk itself `part` is empty."""

    job_id: UUID
    chunk: int
    part: str
    starts_at: float
    ends_at: float | None
    renditions: list[str]
    state: ChunkState
    attempts: int
    worker: str | None
    began_at: datetime | None
    ended_at: datetime | None
    frames: int | None
    size_bytes: int | None
    vmaf: dict[str, float] | None
    segments: dict[str, list[str]] | None


class ChunkBegun(BaseModel):
    job_id: UUID
    chunk: int
    start: float
    end: float | None
    renditions: list[str]
    attempt: int
    worker: str

    @property
    def part(self) -> str:
        return self.renditions[0]


class ChunkDone(BaseModel):
    """`segments` holds names of files, by rendition; `vmaf` is None where nothing is known of it."""

    frames: int
    size_bytes: int
    vmaf: dict[str, float] | None
    segments: dict[str, list[str]]


class Chunks:
    """What workers tell. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(self, job_id: UUID, windows: Sequence[tuple[float, float | None]]) -> None:
        starts, ends = [start for start, _ in windows], [end for _, end in windows]
        await self._database.fetch("plan_chunks", job_id, starts, ends)

    async def begin(self, begun: ChunkBegun) -> None:
        """Again with each attempt. Of a job that is gone nothing is written."""
        await self._database.fetch(
            "begin_chunk", begun.job_id, begun.chunk, begun.part, begun.start, begun.end, begun.renditions, begun.attempt,
            begun.worker,
        )  # fmt: skip

    async def end(self, begun: ChunkBegun, done: ChunkDone) -> None:
        await self._database.fetch(
            "end_chunk", begun.job_id, begun.chunk, begun.part, done.frames, done.size_bytes, done.vmaf, done.segments
        )
