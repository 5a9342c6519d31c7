"""Workers as the world sees them."""

import os
import socket
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field


def own_identity() -> str:
    """As Temporal calls this process, too."""
    return f"{os.getpid()}@{socket.gethostname()}"


class RunningWork(BaseModel):
    activity: str
    job_id: UUID | None = None
    attempt: int
    began_at: datetime


class AboutWorker(BaseModel):
    """What a worker tells of itself. Memory is in bytes."""

    slots: dict[str, int] = Field({}, description="how much it does at once, by task queue")
    running: list[RunningWork] = []
    cores: int = 0
    memory_bytes: int = 0
    memory_used_bytes: int = Field(0, description="by it and its media processes")
    gpu_encoders: list[str] = []


class WorkerView(AboutWorker):
    """`draining`: it takes no more work, and stops when what it runs is over, or its grace is."""

    id: str
    host: str
    version: str
    started_at: datetime
    seen_at: datetime
    draining: bool
