"""The whole system tells who asked, without anybody saying who they are."""

import json

import pytest
from clips import Clips
from outbound_servers import answering
from standardwebhooks import Webhook
from system import System

from streamforge.settings import Settings


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return Settings.model_validate(settings.model_dump() | {"outbound": {"allowed_networks": ["127.0.0.0/8"]}})


async def test_of_a_job_its_own_address_and_a_webhook_are_told(system: System, clips: Clips) -> None:
    async with answering() as of_job, answering() as of_all:
        asked = {"url": of_all.url, "events": ["job.completed"]}
        webhook = (await system.api.http.post("/webhooks", json=asked)).raise_for_status().json()
        finished = await system.process(clips.small, webhook_url=of_job.url)
        [told] = await of_all.until(lambda requests: len(requests) == 1)
        by_job = await of_job.until(lambda requests: any(b'"job.completed"' in each.body for each in requests))
    secret = (await system.api.http.get(f"/webhooks/{webhook['id']}/secret")).json()["secret"]
    body = Webhook(secret).verify(told.body, told.headers)
    last = finished.log[-1]
    assert (body["id"], body["data"], body["created_at"]) == (last["id"], last["data"], last["created_at"])
    assert "job.progress" not in {json.loads(request.body)["type"] for request in by_job}
    of_jobs = (await system.api.http.get("/webhooks/jobs/secret")).json()["secret"]
    assert {Webhook(of_jobs).verify(each.body, each.headers)["data"]["job_id"] for each in by_job} == {finished.id}
