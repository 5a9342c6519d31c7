"""The rows of `api_keys` and `sessions`. Both are looked up before it is known whose they are."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from pydantic import BaseModel

from streamforge.db.pool import Database


class KeyRow(BaseModel):
    """An API key, without the key: `hash` is a keyed hash of it."""

    prefix: str
    hash: bytes
    owner: str
    scopes: list[str]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = None
    revoked_at: datetime | None = None


class SessionRow(BaseModel):
    """A browser's session; `prefix` is that of the API key it was made of, if it was one."""

    id: str
    owner: str
    scopes: list[str]
    credential: str
    prefix: str | None
    expires_at: datetime


class Credentials:
    """All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database.as_admin()

    async def create_key(
        self, prefix: str, hashed: bytes, owner: str, scopes: Sequence[str], expires_at: datetime | None
    ) -> None:
        await self._database.fetch("create_api_key", prefix, hashed, owner, scopes, expires_at)

    async def keys_named(self, prefixes: Sequence[str]) -> dict[str, KeyRow]:
        """By their prefixes, those that are there."""
        rows = await self._database.fetch("api_keys_named", prefixes)
        return {row["prefix"]: KeyRow.model_validate(dict(row)) for row in rows}

    async def keys(self) -> list[KeyRow]:
        """Oldest first."""
        return [KeyRow.model_validate(dict(row)) for row in await self._database.fetch("api_keys")]

    async def revoke_key(self, prefix: str) -> bool:
        """Whether there is such a key. Every API hears of it."""
        return await self._database.fetch_one("revoke_api_key", prefix) is not None

    async def record_uses(self, uses: Mapping[str, datetime]) -> None:
        await self._database.fetch("record_uses", list(uses), list(uses.values()))

    async def create_session(self, session: SessionRow) -> None:
        await self._database.fetch(
            "create_session",
            session.id,
            session.owner,
            session.scopes,
            session.credential,
            session.prefix,
            session.expires_at,
        )

    async def sessions_named(self, ids: Sequence[str]) -> dict[str, SessionRow]:
        """By their ids, those that are there."""
        rows = await self._database.fetch("sessions_named", ids)
        return {row["id"]: SessionRow.model_validate(dict(row)) for row in rows}

    async def end_session(self, session_id: str) -> None:
        """Every API hears of it. One that is over already is no error."""
        await self._database.fetch("end_session", session_id)
