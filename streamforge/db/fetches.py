"""The rows of `fetches`: where the video of a job is fetched from, and how much of it is there."""

from uuid import UUID

from pydantic import BaseModel

from streamforge.db.pool import Database


class FetchRow(BaseModel):
    """`url` is as it was told, with its secrets: never log it. None once the original is in the store, of which `size_bytes`
    and `source_sha256` tell."""

    job_id: UUID
    owner: str
    url: str | None
    validator: str | None
    length: int | None
    received: int
    size_bytes: int
    source_sha256: str


class Fetches:
    """All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, job_id: UUID) -> FetchRow | None:
        row = await self._database.fetch_one("get_fetch", job_id)
        return None if row is None else FetchRow.model_validate(dict(row))

    async def record(self, before: FetchRow, now: FetchRow) -> bool:
        """`now.received` bytes are safe, of `now.length`. False when another attempt has written since `before` was read."""
        args = (before.job_id, before.received, now.received, now.length, now.validator)
        return await self._database.fetch_one("record_fetched", *args) is not None

    async def end(self, job_id: UUID, size_bytes: int, sha256: str) -> None:
        """The original is in the store: its address is forgotten."""
        await self._database.fetch("end_fetch", job_id, size_bytes, sha256)

    async def give_up(self, job_id: UUID) -> None:
        """Nothing of it is there any more; another try begins at its beginning. One that has ended stays as it is."""
        await self._database.fetch("give_up_fetch", job_id)
