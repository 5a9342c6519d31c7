"""The rows of `webhook_endpoints`, `webhook_secrets` and `webhook_deliveries`."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from pydantic import BaseModel

from streamforge.contracts.stored import JsonObject
from streamforge.contracts.webhooks import (
    MAX_ATTEMPTS_KEPT,
    MAX_ENDPOINTS,
    Attempt,
    DeliveryStatus,
    OwedDelivery,
    Webhook,
    WebhookPatch,
    WebhookRequest,
)
from streamforge.db.pool import Database, Row

CHANNEL = "streamforge_webhooks"
LEASE = timedelta(minutes=1)
"""Of one that a worker is about to start: a killed worker starts nothing."""
FORGOTTEN_AT_ONCE = 5000
OVERDUE = timedelta(minutes=15)
"""After a try was due, somebody looks whether there is still a workflow that makes it."""


class SecretVersion(NamedTuple):
    version: int
    previous_until: datetime | None


class DeliveryRow(BaseModel):
    """One delivery, as its owner may see it."""

    id: UUID
    endpoint_id: UUID
    job_id: UUID | None
    type: str
    url: str
    event: JsonObject | None
    status: DeliveryStatus
    attempts: list[Attempt]
    created_at: datetime
    due_at: datetime
    completed_at: datetime | None


class DueDelivery(BaseModel):
    """One that has to be begun. `number` is that of its event in its owner's log."""

    id: UUID
    owner: str
    endpoint_id: UUID
    job_id: UUID | None
    type: str
    stage: str | None
    number: int | None
    tries: int


class OwnWebhooks:
    """Those of one owner. All methods raise DatabaseUnavailable."""

    def __init__(self, owner: str, database: Database) -> None:
        self.owner = owner
        self._database = database.as_caller(owner)

    async def create(self, webhook_id: UUID, asked: WebhookRequest, fingerprint: str) -> Webhook | None:
        """None when there are too many. Called again with the same id it changes nothing."""
        row = await self._database.fetch_one(
            "create_webhook", self.owner, webhook_id, *_in_order(asked), fingerprint, MAX_ENDPOINTS
        )
        return await self.get(webhook_id) if row is None else _webhook(row)

    async def all(self) -> list[Webhook]:
        """The oldest first."""
        return [_webhook(row) for row in await self._database.look("list_webhooks", self.owner)]

    async def get(self, webhook_id: UUID) -> Webhook | None:
        row = await self._database.look_at_one("get_webhook", self.owner, webhook_id)
        return None if row is None else _webhook(row)

    async def change(self, webhook_id: UUID, asked: WebhookPatch) -> Webhook | None:
        changes = asked.model_dump(exclude_unset=True)
        row = await self._database.fetch_one("change_webhook", self.owner, webhook_id, changes)
        return None if row is None else _webhook(row)

    async def delete(self, webhook_id: UUID) -> bool:
        return await self._database.fetch_one("delete_webhook", self.owner, webhook_id) is not None

    async def secret(self, endpoint_id: UUID, fingerprint: str) -> SecretVersion:
        row = await self._database.fetch_one("webhook_secret", self.owner, endpoint_id, fingerprint)
        return _version(row)

    async def rotate(self, endpoint_id: UUID, fingerprint: str, overlap: timedelta) -> SecretVersion:
        row = await self._database.fetch_one("rotate_webhook_secret", self.owner, endpoint_id, fingerprint, overlap)
        return _version(row)

    async def deliveries(
        self, endpoint_id: UUID, status: str | None, before: tuple[datetime, UUID], limit: int
    ) -> list[DeliveryRow]:
        """The newest first."""
        arguments = (self.owner, endpoint_id, *before, limit)
        if status is None:
            rows = await self._database.look("list_deliveries", *arguments)
        else:
            rows = await self._database.look("list_deliveries_by_status", *arguments, status)
        return [DeliveryRow.model_validate(dict(row)) for row in rows]

    async def test(self, webhook_id: UUID) -> DeliveryRow | None:
        """Owe it a delivery that tells of nothing."""
        row = await self._database.fetch_one("test_webhook", self.owner, webhook_id)
        return None if row is None else DeliveryRow.model_validate(dict(row))

    async def redeliver(self, endpoint_id: UUID, delivery_id: UUID) -> DeliveryRow | None:
        row = await self._database.fetch_one("redeliver", self.owner, endpoint_id, delivery_id)
        return None if row is None else DeliveryRow.model_validate(dict(row))


class Deliveries:
    """What the service itself does with webhooks, whosever they are. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, owner: str) -> OwnWebhooks:
        """All that a caller may ask for goes through this."""
        return OwnWebhooks(owner, self._database)

    async def take_due(self, limit: int) -> list[DueDelivery]:
        """They are nobody else's for LEASE."""
        rows = await self._database.fetch("take_due_deliveries", limit, LEASE)
        return [DueDelivery.model_validate(dict(row)) for row in rows]

    async def begun(self, ids: Sequence[UUID]) -> None:
        """Somebody is at them."""
        await self._database.fetch("postpone_deliveries", list(ids), OVERDUE)

    async def drop(self, ids: Sequence[UUID]) -> None:
        await self._database.fetch("drop_deliveries", list(ids))

    async def owed(self, delivery_id: UUID) -> OwedDelivery | None:
        """None when it is over, or past its time."""
        row = await self._database.fetch_one("owed_delivery", delivery_id)
        return None if row is None else OwedDelivery.model_validate(dict(row))

    async def record(self, delivery_id: UUID, attempt: Attempt, status: DeliveryStatus, seconds: float | None) -> None:
        """`seconds` until the next try."""
        made = attempt.model_dump(mode="json")
        await self._database.fetch(
            "record_attempt", delivery_id, made, status, seconds or 0.0, MAX_ATTEMPTS_KEPT, OVERDUE
        )

    async def disable(self, endpoint_id: UUID, reason: str) -> None:
        await self._database.fetch("disable_webhook", endpoint_id, reason)

    async def forget(self, before: datetime) -> None:
        """What was over before."""
        removed = FORGOTTEN_AT_ONCE
        while removed == FORGOTTEN_AT_ONCE:
            row = await self._database.fetch_one("delete_old_deliveries", before, FORGOTTEN_AT_ONCE)
            removed = 0 if row is None else row["removed"]


def _in_order(asked: WebhookRequest) -> tuple[object, ...]:
    return asked.url, asked.description, asked.events, asked.format, asked.enabled


def _webhook(row: Row) -> Webhook:
    return Webhook.model_validate(dict(row))


def _version(row: Row | None) -> SecretVersion:
    assert row is not None  # It has no condition.
    return SecretVersion(row["version"], row["previous_until"])
