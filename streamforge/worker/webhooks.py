"""Sees to it that every delivery that is owed has its workflow: deliveries are written together with their events, whoever is
away then, and begun from there."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import UUID

import structlog
from temporalio.client import Client
from temporalio.common import AutoUpgradeVersioningOverride, Priority
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from streamforge.background import Background, Work
from streamforge.contracts import names
from streamforge.contracts.shares import share_of
from streamforge.contracts.webhooks import DeliverWebhook
from streamforge.db.listener import Listener
from streamforge.db.pool import Database
from streamforge.db.webhooks import CHANNEL, Deliveries, DueDelivery
from streamforge.errors import DatabaseUnavailable, StreamForgeError, TemporalUnavailable
from streamforge.retry import until_available

AT_ONCE = 100
LOOK_SECONDS = 5.0
"""Nobody says so when a lease is over."""
RPC_TIMEOUT = timedelta(seconds=5)
AWAY: tuple[type[StreamForgeError], ...] = (DatabaseUnavailable, TemporalUnavailable)

log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def webhooks_begun(database: Database, deliveries: Deliveries, client: Client) -> AsyncIterator[None]:
    """While the block runs."""
    async with (
        BeginsDeliveries(deliveries, client) as begins,
        # A notification is a hint: what it missed is looked for.
        Listener(database.dsn, {CHANNEL: lambda _: begins.wake()}, [begins.wake]),
    ):
        yield


class BeginsDeliveries(Background):
    def __init__(self, deliveries: Deliveries, client: Client) -> None:
        self._deliveries = deliveries
        self._client = client
        self._woken = asyncio.Event()

    def wake(self) -> None:
        self._woken.set()

    def work(self) -> Work:
        return {"webhooks": self._begin_all()}

    async def _begin_all(self) -> None:
        while True:
            try:
                while await until_available(self._begin_some, away=AWAY):
                    pass
            except Exception:
                # Without it nobody would be told of anything: never let the task die.
                log.exception("deliveries of webhooks were not begun")
                await asyncio.sleep(LOOK_SECONDS)
            await self._something_may_be_due()

    async def _something_may_be_due(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._woken.wait()
        except TimeoutError:
            return
        finally:
            self._woken.clear()

    async def _begin_some(self) -> bool:
        """Whether there may be more. Raises DatabaseUnavailable, TemporalUnavailable: then they are due again when their lease
        is over."""
        due = await self._deliveries.take_due(AT_ONCE)
        overtaken = overtaken_by_others(due)
        await self._deliveries.drop(overtaken)
        wanted = [each for each in due if each.id not in overtaken]
        await asyncio.gather(*(self._begin(each) for each in wanted))
        await self._deliveries.begun([each.id for each in wanted])
        return len(due) == AT_ONCE

    async def _begin(self, delivery: DueDelivery) -> None:
        """Where somebody has asked for another try, one that is at it already is told not to wait any longer."""
        workflow_id = f"webhook-{delivery.id}"
        try:
            await self._client.start_workflow(
                names.DELIVER_WEBHOOK,
                DeliverWebhook(delivery_id=delivery.id),
                id=workflow_id,
                task_queue=names.TASK_QUEUE,
                static_summary="Webhook",
                # Whose receivers hang waits for them; others do not, where Temporal knows fairness.
                priority=Priority(fairness_key=share_of(delivery.owner)),
                # It may wait for days: pinned to a build, it would keep workers of that from being taken away.
                versioning_override=AutoUpgradeVersioningOverride(),
                rpc_timeout=RPC_TIMEOUT,
            )
        except WorkflowAlreadyStartedError:
            if delivery.tries == 0:
                await self._hurry(workflow_id)
        except (RPCError, RuntimeError) as error:
            raise TemporalUnavailable("Temporal does not answer.", debug=repr(error)) from error

    async def _hurry(self, workflow_id: str) -> None:
        try:
            await self._client.get_workflow_handle(workflow_id).signal(names.TRY_NOW_SIGNAL, rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            # Over in this moment: its row says whether another one is needed, and when.
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise TemporalUnavailable("Temporal does not answer.", debug=repr(error)) from error


def overtaken_by_others(due: Sequence[DueDelivery]) -> list[UUID]:
    """Of progress that waits, what a later one of the same job and stage makes worthless, as for slow clients of a stream."""
    latest: dict[tuple[object, ...], DueDelivery] = {}
    overtaken = []
    for each in sorted((each for each in due if _may_be_merged(each)), key=lambda each: each.number or 0):
        key = (each.owner, each.endpoint_id, each.job_id, each.stage)
        if (before := latest.get(key)) is not None:
            overtaken.append(before.id)
        latest[key] = each
    return overtaken


def _may_be_merged(delivery: DueDelivery) -> bool:
    return delivery.type == "job.progress" and delivery.tries == 0
