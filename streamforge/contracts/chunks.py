"""The pieces of a film as the world sees them."""

from datetime import datetime

from pydantic import BaseModel, Field

from streamforge.contracts.stored import Word


class ChunkState(Word):
    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """It was under way when its job ended."""


class ChunkPart(BaseModel):
    """What one worker encodes at a time: some or all renditions of a chunk."""

    renditions: list[str]
    state: ChunkState
    attempts: int
    worker: str | None = Field(None, description="as `GET /workers` calls it")
    began_at: datetime | None = None
    seconds: float | None = Field(None, description="that the last attempt took")
    frames: int | None = None
    bytes: int | None = None
    vmaf: dict[str, float] = Field({}, description="the mean of what was measured, by rendition")
    segments: dict[str, list[str]] = Field({}, description="addresses, by rendition")


class Chunk(BaseModel):
    """`start` and `end` are in seconds from the start of the film; of the last one `end` is null."""

    index: int
    start: float
    end: float | None
    state: ChunkState
    parts: list[ChunkPart]


class ChunkPage(BaseModel):
    chunks: list[Chunk]
    next: int | None = Field(description="the `after` of the next page; null on the last")
    expires_at: datetime | None = Field(None, description="of the signatures in these addresses; null: they have none")
