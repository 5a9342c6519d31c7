"""Parts of an installation that have to do with webhooks, and callers who have some."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import httpx
from callers import SECRET
from factories import new_job
from serving import Api
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.webhooks import WebhookActivities
from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.contracts import names
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.db.webhooks import Deliveries
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.outbound.addresses import Outbound, Resolve, resolve
from streamforge.outbound.http import client
from streamforge.settings import Settings
from streamforge.worker.run import SANDBOX
from streamforge.worker.webhooks import webhooks_begun
from workflows.deliver_webhook import DeliverWebhookWorkflow


@asynccontextmanager
async def telling(settings: Settings, resolver: Resolve = resolve) -> AsyncIterator[None]:
    """All of a worker that has to do with webhooks, until the block ends."""
    async with AsyncExitStack() as stack:
        database = await Database.open(str(settings.database.dsn))
        stack.push_async_callback(database.close)
        temporal = await Client.connect(str(settings.temporal.address), data_converter=pydantic_data_converter)
        outbound = Outbound(settings.outbound.allowed_networks, resolver)
        http = await stack.enter_async_context(client(outbound, httpx.Timeout(settings.webhooks.timeout_seconds)))
        deliveries = Deliveries(database)
        tells = WebhookActivities(settings=settings, deliveries=deliveries, keys=Keys(settings), outbound=http)
        workflows = Worker(
            temporal,
            task_queue=names.TASK_QUEUE,
            workflows=[DeliverWebhookWorkflow],
            workflow_runner=SandboxedWorkflowRunner(restrictions=SANDBOX),
        )
        await stack.enter_async_context(workflows)
        await stack.enter_async_context(
            Worker(temporal, task_queue=names.WEBHOOKS_TASK_QUEUE, activities=[tells.deliver])
        )
        await stack.enter_async_context(webhooks_begun(database, deliveries, temporal))
        yield


@dataclass
class Owner:
    """A caller with jobs of their own."""

    name: str
    headers: dict[str, str]
    api: Api
    jobs: Jobs

    async def ask(self, method: str, path: str, json: Any = None, **options: Any) -> httpx.Response:
        return await self.api.http.request(method, path, json=json, headers=self.headers, **options)

    async def webhook(self, url: str, **fields: Any) -> dict[str, Any]:
        made = await self.ask("POST", "/webhooks", {"url": url, **fields})
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def secret(self, webhook_id: str) -> dict[str, Any]:
        return dict((await self.ask("GET", f"/webhooks/{webhook_id}/secret")).raise_for_status().json())

    async def job(self, **options: Any) -> UUID:
        job = new_job(**options)
        await self.jobs.of(self.name).create(job, progress=5, message="File received")
        return job.id

    async def deliveries(self, webhook_id: str, **query: Any) -> list[dict[str, Any]]:
        page = await self.ask("GET", f"/webhooks/{webhook_id}/deliveries", params=query)
        return list(page.raise_for_status().json()["deliveries"])

    async def until(self, webhook_id: str, enough: Callable[[list[dict[str, Any]]], bool]) -> list[dict[str, Any]]:
        """What the delivery log says when it says enough."""
        async with asyncio.timeout(90):
            while not enough(found := await self.deliveries(webhook_id)):
                await asyncio.sleep(0.05)
        return found


@dataclass
class Hub:
    api: Api
    jobs: Jobs
    events: EventLog
    keys: ApiKeys

    async def owner(self) -> Owner:
        name = f"owner-{uuid4().hex[:12]}"
        return Owner(name, await self.key(name), self.api, self.jobs)

    async def key(self, owner: str, *scopes: str) -> dict[str, str]:
        key = await self.keys.create(owner, [Scope(scope) for scope in scopes or ("submit", "read")], None)
        return {"Authorization": f"Bearer {key}"}


def settings_of(dsn: str, temporal: str, folder: Any, **sections: Any) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": folder,
            "server": {"port": 0},
            "auth": {"required": True, "secret": SECRET},
            "input": {"min_free_disk_bytes": 0},
            "database": {"dsn": dsn},
            "temporal": {"address": temporal},
            "outbound": {"allowed_networks": ["127.0.0.0/8"]},
            "webhooks": {"timeout_seconds": 60, "retry_after_seconds": [0.1, 0.1, 0.1]},
            **sections,
        }
    )
