"""The rows of `uploads`: how far each is, and whose."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from pydantic import BaseModel

from streamforge.db.jobs import NewJob, job_columns
from streamforge.db.pool import Database, Row


class NewUpload(BaseModel):
    """`job`: what is asked of the video, None for a part of another upload. `length` is None where its sender does not know
    yet."""

    id: UUID
    length: int | None
    metadata: str
    job: NewJob | None = None
    made_of: list[UUID] | None = None


class UploadRow(BaseModel):
    """`job_status` is as the database has it: `uploading` until the last byte is there."""

    id: UUID
    owner: str
    job_id: UUID | None
    length: int | None
    received: int
    made_of: list[UUID] | None
    metadata: str
    expires_at: datetime
    has_expired: bool
    job_status: str | None
    job_error: str | None
    job_has_begun: bool

    @property
    def is_part(self) -> bool:
        return self.job_id is None

    @property
    def is_open(self) -> bool:
        """Whether bytes may come: none after its job has all, or has ended otherwise."""
        return self.is_part or self.job_status == "uploading"

    @property
    def job_ended_before_it_began(self) -> bool:
        """Then nobody else removes its original."""
        return self.job_status in {"failed", "cancelled"} and not self.job_has_begun

    @property
    def has_come_to_nothing(self) -> bool:
        """Its job was over before its bytes were there, or failed of them."""
        return self.job_status in {"failed", "cancelled"} and self.received != self.length

    @property
    def has_arrived(self) -> bool:
        return self.length is not None and self.received == self.length


class OwnUploads:
    """Those of one owner; to others they are not there. All methods raise DatabaseUnavailable."""

    def __init__(self, owner: str, database: Database) -> None:
        self.owner = owner
        self._own = self._seen = database.as_caller(owner)
        self._whose: str | None = owner

    async def create(self, upload: NewUpload, message: str, lasts: timedelta) -> None:
        """With its job and the first event of that. Calling it again with the same id changes nothing."""
        async with self._own.transaction() as session:
            if upload.job is not None:
                await session.fetch("create_uploading_job", self.owner, *job_columns(upload.job), 0, message)
            job_id = None if upload.job is None else upload.job.id
            row = (self.owner, upload.id, job_id, upload.length, upload.made_of, upload.metadata, lasts)
            await session.fetch("create_upload", *row)

    async def get(self, upload_id: UUID) -> UploadRow | None:
        row = await self._seen.look_at_one("get_upload", self._whose, upload_id)
        return None if row is None else _read(row)


class AllUploads(OwnUploads):
    """What an administrator may ask for by its id; what they send is their own."""

    def __init__(self, owner: str, database: Database) -> None:
        super().__init__(owner, database)
        self._seen = database.as_admin()
        self._whose = None


class Uploads:
    """What the service itself does with them, whosever they are. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owner: str) -> OwnUploads:
        return OwnUploads(owner, self._database)

    def of_all(self, owner: str) -> OwnUploads:
        return AllUploads(owner, self._database)

    async def get(self, upload_id: UUID) -> UploadRow | None:
        row = await self._database.fetch_one("get_upload", None, upload_id)
        return None if row is None else _read(row)

    async def record(self, upload: UploadRow, received: int, length: int | None, lasts: timedelta) -> bool:
        """So many bytes are safe. False when somebody else has written since `upload` was read, or it is gone."""
        args = (upload.id, upload.received, received, length, lasts)
        return await self._database.fetch_one("record_received", *args) is not None

    async def describe_original(self, job_id: UUID, size_bytes: int, sha256: str) -> None:
        """What all its bytes are, once they are in the store. A job that is not uploading any more stays as it is."""
        await self._database.fetch("describe_original", job_id, size_bytes, sha256)

    async def expired(self, limit: int = 100) -> Sequence[UploadRow]:
        return [_read(row) for row in await self._database.fetch("expired_uploads", limit)]

    async def end_part(self, part: UUID) -> None:
        """Nobody wants it any more. What has come of it still counts for its owner's day."""
        await self._database.fetch("end_part", part)

    async def delete(self, ids: Iterable[UUID]) -> None:
        """Parts that have become a video, which counts for them."""
        await self._database.fetch("delete_uploads", list(ids))

    async def ask_for(self, upload: str) -> None:
        """Tell the process that holds it that somebody waits: see streamforge.api.resumable.holdings."""
        await self._database.fetch("ask_for_upload", upload)


def _read(row: Row) -> UploadRow:
    return UploadRow.model_validate(dict(row))
