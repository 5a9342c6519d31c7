"""Tries of webhooks: one request each, and what it means for the next."""

from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
import structlog

from activities.registration import performs
from streamforge.contracts.steps import DELIVER_WEBHOOK
from streamforge.contracts.webhooks import OF_JOBS, Attempt, DeliverWebhook, DeliveryStatus, OwedDelivery, TriedWebhook
from streamforge.db.webhooks import Deliveries
from streamforge.keys import Keys
from streamforge.observability import metrics
from streamforge.settings import Settings
from streamforge.webhooks.sending import Answer, send

GONE = "It answered 410 Gone."
NOT_THE_SAME = (
    "This worker has another keys.secret than the API that showed the webhook's secret. Set the same on all machines, "
    "or ask for the webhook's secret again."
)

log = structlog.stdlib.get_logger(__name__)


@dataclass(eq=False, repr=False)
class WebhookActivities:
    settings: Settings
    deliveries: Deliveries
    keys: Keys
    outbound: httpx.AsyncClient

    @performs(DELIVER_WEBHOOK)
    async def deliver(self, task: DeliverWebhook) -> TriedWebhook:
        """At least once: a worker that is killed between the answer and its record asks again.

        Raises DatabaseUnavailable.
        """
        delivery = await self.deliveries.owed(task.delivery_id)
        if delivery is None:
            return TriedWebhook()
        if (reason := _switched_off(delivery)) is not None:
            await self.deliveries.record(delivery.id, _untried(reason), DeliveryStatus.FAILED, None)
            return TriedWebhook()
        return await self._tried(delivery, await self._send(delivery))

    async def _send(self, delivery: OwedDelivery) -> Answer:
        if delivery.fingerprint not in {None, self.keys.webhook_fingerprint()}:
            log.error("webhooks cannot be signed", endpoint=str(delivery.endpoint_id), reason=NOT_THE_SAME)
            return Answer(_untried(NOT_THE_SAME))
        return await send(self.outbound, delivery, self.keys, self.settings.webhooks.timeout_seconds)

    async def _tried(self, delivery: OwedDelivery, answer: Answer) -> TriedWebhook:
        metrics.WEBHOOK_TRIES.labels("delivered" if answer.is_taken else "failed").inc()
        seconds = self._seconds_to_next(delivery, answer)
        if answer.is_gone and delivery.endpoint_id != OF_JOBS:
            await self.deliveries.disable(delivery.endpoint_id, GONE)
            log.info("a webhook is switched off", endpoint=str(delivery.endpoint_id), reason=GONE)
        await self.deliveries.record(delivery.id, answer.attempt, _status(answer, seconds), seconds)
        return TriedWebhook(seconds=seconds)

    def _seconds_to_next(self, delivery: OwedDelivery, answer: Answer) -> float | None:
        """None when there is none. No sooner than the receiver asked for."""
        waits = self.settings.webhooks.retry_after_seconds
        if answer.is_taken or answer.is_gone or delivery.tries >= len(waits):
            return None
        return max(waits[delivery.tries], answer.wait_seconds or 0.0)


def _switched_off(delivery: OwedDelivery) -> str | None:
    if delivery.url is None:
        return "The webhook is deleted."
    return None if delivery.enabled else "The webhook is switched off."


def _untried(reason: str) -> Attempt:
    return Attempt(at=datetime.now(UTC), milliseconds=0, failure=reason)


def _status(answer: Answer, seconds: float | None) -> DeliveryStatus:
    if answer.is_taken:
        return DeliveryStatus.DELIVERED
    return DeliveryStatus.FAILED if seconds is None else DeliveryStatus.PENDING
