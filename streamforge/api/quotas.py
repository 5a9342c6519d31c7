"""How much an owner may have in hand, and send in a day. `GET /usage` tells what is left."""

from typing import Any

from streamforge.db.jobs import OwnJobs
from streamforge.errors import BytesUsedUp, TooManyJobs
from streamforge.settings import Quota, Settings

RETRY_SECONDS = 60
"""When a job ends nobody can say."""


class Quotas:
    def __init__(self, settings: Settings) -> None:
        self._jobs = settings.limit("unfinished_jobs")
        self._bytes = settings.limit("bytes_per_day")

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

    async def view(self, jobs: OwnJobs) -> dict[str, Any]:
        usage = await jobs.usage()
        return {
            "owner": jobs.owner,
            "unfinished_jobs": _left(usage.unfinished_jobs, self._jobs),
            "bytes_today": _left(usage.bytes_today, self._bytes) | {"resets_in_seconds": round(usage.seconds_left)},
        }


def _left(used: int, limit: Quota) -> dict[str, int | None]:
    return {"used": used, "limit": limit, "left": None if limit is None else max(0, limit - used)}
