"""Who else is told of what happens."""

from typing import Any, TypeAlias
from uuid import UUID

from streamforge.client.answers import Delivery, DeliveryPage, Webhook, WebhookSecret
from streamforge.client.methods import Methods
from streamforge.client.transport import present

Which: TypeAlias = UUID | str
"""A webhook; or `jobs`, for the addresses that jobs bring with them as `webhook_url`."""


class WebhookMethods(Methods):
    async def webhooks(self) -> list[Webhook]:
        answer = await self._ask("GET", "/webhooks")
        return [Webhook.model_validate(webhook) for webhook in answer.json()["webhooks"]]

    async def create_webhook(self, url: str, /, **fields: Any) -> Webhook:
        """`fields` are `events` (types like `job.completed`, `["*"]` for all), `format` (`standard`, `cloudevents`),
        `description` and `enabled`."""
        return await self._webhook("POST", "/webhooks", json={"url": url, **fields})

    async def webhook(self, webhook_id: UUID) -> Webhook:
        return await self._webhook("GET", f"/webhooks/{webhook_id}")

    async def change_webhook(self, webhook_id: UUID, /, **changes: Any) -> Webhook:
        return await self._webhook("PATCH", f"/webhooks/{webhook_id}", json=changes)

    async def delete_webhook(self, webhook_id: UUID) -> None:
        await self._ask("DELETE", f"/webhooks/{webhook_id}")

    async def webhook_secret(self, webhook: Which) -> WebhookSecret:
        """What a receiver verifies signatures with."""
        return WebhookSecret.model_validate_json((await self._ask("GET", f"/webhooks/{webhook}/secret")).content)

    async def rotate_webhook_secret(self, webhook: Which) -> None:
        """Another secret signs from now on; the one before does, too, for a while."""
        await self._ask("POST", f"/webhooks/{webhook}/secret/rotate")

    async def test_webhook(self, webhook_id: UUID) -> Delivery:
        return await self._delivery(f"/webhooks/{webhook_id}/test")

    async def deliveries(
        self, webhook: Which, *, status: str | None = None, cursor: str | None = None, limit: int = 50
    ) -> DeliveryPage:
        """A page of what was sent and what came back, the newest first. `status`: `pending`, `delivered` or `failed`."""
        params = present(status=status, cursor=cursor, limit=limit)
        answer = await self._ask("GET", f"/webhooks/{webhook}/deliveries", params=params)
        return DeliveryPage.model_validate_json(answer.content)

    async def redeliver(self, webhook: Which, delivery_id: UUID) -> Delivery:
        """Send it again, now."""
        return await self._delivery(f"/webhooks/{webhook}/deliveries/{delivery_id}/redeliver")

    async def _webhook(self, method: str, path: str, **options: Any) -> Webhook:
        return Webhook.model_validate_json((await self._ask(method, path, **options)).content)

    async def _delivery(self, path: str) -> Delivery:
        return Delivery.model_validate_json((await self._ask("POST", path)).content)
