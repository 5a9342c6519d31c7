"""The rows of `audit_log`. Nothing changes them: see keep_audit_log() in migrations/functions.sql."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from pydantic import BaseModel

from streamforge.db.pool import Database, Row


class AuditEntry(BaseModel):
    """Who did what to whose, or was refused. The same again within a short time is one entry with a `count`."""

    first_at: datetime
    last_at: datetime
    count: int = 1
    owner: str | None
    """Who they are; None where nobody knows."""
    credential: str | None
    """What they showed, without giving it away, like `key:PREFIX`."""
    action: str
    """`GET /jobs/{job_id}`, or what was done by command, like `api-keys create`."""
    target: str | None = None
    """`job:ID`, `batch:ID`, `owner:NAME` or `api-key:PREFIX`."""
    target_owner: str | None = None
    outcome: str
    """`allowed`, or the HTTP status in words: see streamforge.access.audit."""
    code: str | None = None
    """The error's."""
    address: str | None = None
    request_id: str | None = None


class NewAuditEntry(AuditEntry):
    """With the job or batch it is about, whose owner is looked up when it is written."""

    job_id: UUID | None = None
    batch_id: UUID | None = None
    only_of_others: bool = False
    """It is left out unless what it is about is there, and somebody else's."""


class RecordedAuditEntry(AuditEntry):
    id: int
    recorded_at: datetime


class AuditFilter(BaseModel):
    """What is None is not asked for."""

    owner: str | None = None
    target: str | None = None
    target_owner: str | None = None
    action: str | None = None
    outcome: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class AuditLog:
    """All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, entries: Sequence[NewAuditEntry]) -> list[RecordedAuditEntry]:
        """All of them or none; what came to be written."""
        told = [entry.model_dump(mode="json") for entry in entries]
        return _entries(await self._database.as_admin().fetch("record_audit", told))

    async def newest(
        self, limit: int, *, before: int | None = None, wanted: AuditFilter | None = None
    ) -> list[RecordedAuditEntry]:
        """A page, the newest first. `before` is the id of the last entry on the page before."""
        filters = (wanted or AuditFilter()).model_dump().values()
        return _entries(await self._database.as_admin().fetch("list_audit", before, *filters, limit))

    async def forget(self, before: datetime) -> int:
        """How many entries went. What is younger than a day stays, whatever is asked for."""
        row = await self._database.fetch_one("delete_old_audit", before)
        return 0 if row is None else int(row["deleted"])


def _entries(rows: Sequence[Row]) -> list[RecordedAuditEntry]:
    return [RecordedAuditEntry.model_validate(dict(row)) for row in rows]
