"""How much an owner may have in hand, send in a day, and have processed in a month. `GET /usage` tells what is left."""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from pydantic import BaseModel

from streamforge.access.slots import OWNER, STREAMS, UPLOADS, NoSlot, Slots, limits_of, name_of
from streamforge.db.jobs import OwnJobs
from streamforge.db.jobs import Usage as Used
from streamforge.errors import BytesUsedUp, MinutesUsedUp, TooManyJobs, TooManyUploads
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


class MinutesLeft(BaseModel):
    """Of film, those included that are being processed. Of what has no limit, both are null."""

    used: float
    limit: int | None
    left: float | None
    resets_in_seconds: int


class AtOnce(BaseModel):
    """At all APIs together. What has no limit is not counted: all are null."""

    used: int | None = None
    limit: int | None = None
    left: int | None = None


class Usage(BaseModel):
    owner: str
    unfinished_jobs: Left
    bytes_today: LeftToday
    minutes_this_month: MinutesLeft
    streams_at_once: AtOnce
    uploads_at_once: AtOnce


class Quotas:
    def __init__(self, settings: Settings, slots: Slots) -> None:
        self._jobs = settings.limit("unfinished_jobs")
        self._bytes = settings.limit("bytes_per_day")
        self._minutes = settings.limit("minutes_per_month")
        self._streams = settings.limit("streams_at_once")
        self._uploads = settings.limit("uploads_at_once")
        self._uploads_per_address = settings.limit("uploads_at_once_per_address")
        self._slots = slots

    @asynccontextmanager
    async def uploading(self, owner: str, address: str) -> AsyncIterator[None]:
        """Count an upload as long as the block lasts, at all APIs together: one that is slow holds a file and a connection for
        hours. Raises TooManyUploads."""
        limits = limits_of(UPLOADS, owner, self._uploads, address, self._uploads_per_address)
        try:
            async with self._slots.slot(limits):
                yield
        except NoSlot as full:
            raise TooManyUploads(
                f"{full.whose} has {full.most} uploads under way; wait for one of them.", retry_after=RETRY_SECONDS
            ) from full

    async def admit(self, jobs: OwnJobs, *, videos: int = 1, size_bytes: int = 0) -> None:
        """Raises TooManyJobs, BytesUsedUp, MinutesUsedUp, DatabaseUnavailable. What others of the same owner send meanwhile is
        not known yet, nor how long the films are: see ProbeActivities."""
        if self._jobs is None and self._bytes is None and self._minutes is None:
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

        if self._minutes is not None and usage.film_seconds >= self._minutes * 60:
            raise MinutesUsedUp(
                f"The {self._minutes} minutes of film that you may have processed in a month (UTC) are used up.",
                retry_after=max(1, math.ceil(usage.month_seconds_left)),
            )

    async def view(self, jobs: OwnJobs) -> Usage:
        usage = await jobs.usage()
        seconds = round(usage.seconds_left)
        return Usage(
            owner=jobs.owner,
            unfinished_jobs=Left(**_left(usage.unfinished_jobs, self._jobs)),
            bytes_today=LeftToday(**_left(usage.bytes_today, self._bytes), resets_in_seconds=seconds),
            minutes_this_month=_minutes_left(usage, self._minutes),
            streams_at_once=await self._at_once(STREAMS, jobs.owner, self._streams),
            uploads_at_once=await self._at_once(UPLOADS, jobs.owner, self._uploads),
        )

    async def _at_once(self, kind: str, owner: str, limit: Quota) -> AtOnce:
        if limit is None:
            return AtOnce()
        used = await self._slots.count(name_of(kind, OWNER, owner))
        return AtOnce(used=used, limit=limit, left=max(0, limit - used))


def _left(used: int, limit: Quota) -> dict[str, int | None]:
    return {"used": used, "limit": limit, "left": None if limit is None else max(0, limit - used)}


def _minutes_left(usage: Used, limit: Quota) -> MinutesLeft:
    used = round(usage.film_seconds / 60, 2)
    left = None if limit is None else max(0.0, round(limit - used, 2))
    return MinutesLeft(used=used, limit=limit, left=left, resets_in_seconds=math.ceil(usage.month_seconds_left))
