"""The rows of `idempotency_keys`: POSTs that name themselves, and what was answered to them."""

from datetime import timedelta
from uuid import UUID, uuid4

from pydantic import BaseModel

from streamforge.db.pool import Database

LEASE = timedelta(seconds=30)
"""How long one that is worked on is nobody else's, unless that is renewed: a killed process renews nothing."""


class Answered(BaseModel):
    """What was answered, and to which body. Where somebody still works on it, all but `action` is None."""

    action: str
    fingerprint: bytes | None = None
    size_bytes: int | None = None
    status: int | None = None
    headers: list[tuple[str, str]] | None = None
    body: bytes | None = None


class Begun:
    """One that is ours to answer. `made_id` is for what it makes."""

    def __init__(self, keys: "IdempotencyKeys", key: str, token: UUID, made_id: UUID) -> None:
        self._keys = keys
        self._names = (keys.owner, key, token)
        self.made_id = made_id

    async def renew(self) -> None:
        await self._keys.database.fetch("renew_idempotent", *self._names, LEASE)

    async def end(self, answered: Answered) -> None:
        columns = answered.model_dump(exclude={"action"})
        await self._keys.database.fetch("end_idempotent", *self._names, *columns.values())

    async def abandon(self) -> None:
        """Nobody knows what came of it: the next one of this name goes on, and makes what bears the same id."""
        await self._keys.database.fetch("renew_idempotent", *self._names, timedelta(0))

    async def release(self) -> None:
        """Nothing came of it: the next one of this name is the first."""
        await self._keys.database.fetch("release_idempotent", *self._names)


class IdempotencyKeys:
    """Those of one owner. All methods raise DatabaseUnavailable."""

    def __init__(self, owner: str, database: Database) -> None:
        self.owner = owner
        self.database = database.as_caller(owner)

    async def begin(self, key: str, action: str) -> Begun | Answered:
        """What was answered to it, or that somebody works on it, or that it is ours."""
        token = uuid4()
        row = await self.database.fetch_one("begin_idempotent", self.owner, key, action, token, LEASE)
        if row is not None:
            return Begun(self, key, token, UUID(str(row["made_id"])))
        known = await self.database.fetch_one("idempotent_answer", self.owner, key)
        # Released in this moment: whoever asks again is the first.
        return Answered(action=action) if known is None else Answered.model_validate(dict(known))
