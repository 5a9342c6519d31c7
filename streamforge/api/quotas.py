"""How much an owner may have in hand, and send in a day. `GET /usage` tells what is left."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from pydantic import BaseModel

from streamforge.db.jobs import OwnJobs
from streamforge.errors import BytesUsedUp, TooManyJobs, TooManyUploads
from streamforge.settings import Quota, Settings

RETRY_SECONDS = 60
"""When a job ends nobody can say."""


class Left(BaseModel):
    """Of what has no limit, both are null."""

    used: int
    limit: int | None
    left: int | None


class LeftToday(Left):
    resets_in_seconds: int


class Usage(BaseModel):
    owner: str
    unfinished_jobs: Left
    bytes_today: LeftToday


class Quotas:
    def __init__(self, settings: Settings) -> None:
        self._jobs = settings.limit("unfinished_jobs")
        self._bytes = settings.limit("bytes_per_day")
        self._uploads = settings.limit("uploads_at_once")
        self._uploading: Counter[str] = Counter()

    @contextmanager
    def uploading(self, owner: str) -> Iterator[None]:
        """Count an upload at this API as long as the block lasts: one that comes byte by byte holds a file and a connection
        for as long as it likes. Raises TooManyUploads."""
        if self._uploads is not None and self._uploading[owner] >= self._uploads:
            raise TooManyUploads(
                f"You have {self._uploads} uploads under way; wait for one of them.", retry_after=RETRY_SECONDS
            )
        self._uploading[owner] += 1
        try:
            yield
        finally:
            self._uploading[owner] -= 1
            if not self._uploading[owner]:
                del self._uploading[owner]

    async def admit(self, jobs: OwnJobs, *, videos: int = 1, size_bytes: int = 0) -> None:
        """Raises TooManyJobs, BytesUsedUp, DatabaseUnavailable. What others of the same owner send meanwhile is not known yet."""
        if self._jobs is None and self._bytes is None:
            return
        usage = await jobs.usage()
        if self._jobs is not None and usage.unfinished_jobs + videos > self._jobs:
            raise TooManyJobs(
                f"You have {usage.unfinished_jobs} jobs that are not over, of {self._jobs} that you may have.",
                retry_after=RETRY_SECONDS,
            )
        if self._bytes is not None and usage.bytes_today + size_bytes > self._bytes:
            raise BytesUsedUp(
                f"You have sent {usage.bytes_today} bytes today, of {self._bytes} that you may send in a day (UTC).",
                retry_after=max(1, round(usage.seconds_left)),
            )

    async def view(self, jobs: OwnJobs) -> Usage:
        usage = await jobs.usage()
        seconds = round(usage.seconds_left)
        return Usage(
            owner=jobs.owner,
            unfinished_jobs=Left(**_left(usage.unfinished_jobs, self._jobs)),
            bytes_today=LeftToday(**_left(usage.bytes_today, self._bytes), resets_in_seconds=seconds),
        )


def _left(used: int, limit: Quota) -> dict[str, int | None]:
    return {"used": used, "limit": limit, "left": None if limit is None else max(0, limit - used)}
