"""Webhooks: what happens is told to whoever asked, signed, at least once, and to nobody else."""

import json
from datetime import datetime
from typing import Any
from uuid import uuid4

import pytest
from factories import COMPLETED, FAILED, PROCESSING, progress, run_sql
from outbound_servers import Received, Receiver, answering
from serving import assert_problem
from standardwebhooks import Webhook, WebhookVerificationError
from told import Hub, Owner

from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage

pytestmark = pytest.mark.asyncio(loop_scope="module")

PLAYABLE = JobChange(stage=Stage.TRANSCODING, event="playable", message="It can be watched", progress=30)


async def finish(hub: Hub, owner: Owner, **options: Any) -> str:
    """A job that is told of from its start to its end."""
    job_id = await owner.job(**options)
    for change in (PROCESSING, progress(20), PLAYABLE, progress(40), COMPLETED):
        await hub.events.append(job_id, change)
    return str(job_id)


def types(requests: list[Received]) -> list[str]:
    return sorted(json.loads(request.body)["type"] for request in requests)


def verified(request: Received, secret: str) -> Any:
    return Webhook(secret).verify(request.body, request.headers)


async def told(receiver: Receiver, count: int = 1) -> list[Received]:
    return await receiver.until(lambda requests: len(requests) >= count)


# ── what is said ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_what_happens_is_told_as_every_other_exit_of_the_log_tells_it_and_signed(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        webhook = await owner.webhook(receiver.url, events=["job.completed"])
        job_id = await finish(hub, owner)
        [request] = await told(receiver)
    assert (request.method, request.path) == ("POST", "/hook")
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("streamforge/")
    body = verified(request, (await owner.secret(webhook["id"]))["secret"])
    page = (await owner.ask("GET", f"/jobs/{job_id}/events")).json()["events"]
    last = page[-1]
    assert body["data"] == last["data"]
    assert (body["event"], body["created_at"], body["timestamp"]) == (
        "progress",
        last["created_at"],
        last["created_at"],
    )
    assert body["type"] == "job.completed"
    assert request.headers["webhook-id"] == f"evt_{job_id.replace('-', '')}_{last['id']}"
    # The number is that of the owner's log, as `/stream` has it.
    assert body["id"] == len(page)


async def test_without_a_list_all_is_told_but_progress(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver, answering() as of_everything:
        await owner.webhook(receiver.url)
        await owner.webhook(of_everything.url, events=["*"])
        await finish(hub, owner)
        assert types(await told(receiver, 2)) == ["job.completed", "job.playable"]
        everything = await of_everything.until(
            lambda requests: {"job.completed", "job.playable"} <= set(types(requests))
        )
        assert set(types(everything)) >= {"job.completed", "job.playable"}


async def test_a_filter_lets_through_what_it_names(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        await owner.webhook(receiver.url, events=["job.failed"])
        await finish(hub, owner)
        failing = await owner.job()
        await hub.events.append(failing, FAILED)
        [request] = await told(receiver)
    said = json.loads(request.body)
    assert (said["type"], said["data"]["job_id"]) == ("job.failed", str(failing))
    assert said["data"]["error"]["code"] == "input.not_a_video"


async def test_the_address_that_a_job_brings_is_told_of_that_job_alone(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        job_id = await finish(hub, owner, webhook_url=receiver.url)
        await finish(hub, owner)
        requests = await told(receiver, 2)
        deliveries = await owner.until("jobs", lambda found: [each["status"] for each in found] == ["delivered"] * 2)
    assert types(requests) == ["job.completed", "job.playable"]
    secret = (await owner.secret("jobs"))["secret"]
    assert {verified(request, secret)["data"]["job_id"] for request in requests} == {job_id}
    assert {each["url"] for each in deliveries} == {receiver.url}


async def test_a_job_that_is_gone_the_next_moment_is_told_of(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        await owner.webhook(receiver.url, events=["job.completed"])
        job_id = await finish(hub, owner)
        assert (await owner.ask("DELETE", f"/jobs/{job_id}?purge=true")).status_code in {202, 204}
        [request] = await told(receiver)
    assert json.loads(request.body)["data"]["job_id"] == job_id


async def test_as_cloudevents_it_is_one_of_version_1(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        webhook = await owner.webhook(receiver.url, events=["job.completed"], format="cloudevents")
        job_id = await finish(hub, owner)
        [request] = await told(receiver)
    assert request.headers["content-type"] == "application/cloudevents+json"
    event = verified(request, (await owner.secret(webhook["id"]))["secret"])
    page = (await owner.ask("GET", f"/jobs/{job_id}/events")).json()["events"]
    assert event == {
        "specversion": "1.0",
        "id": request.headers["webhook-id"],
        "source": f"/jobs/{job_id}",
        "type": "streamforge.job.completed",
        "subject": job_id,
        "time": page[-1]["created_at"],
        "datacontenttype": "application/json",
        "sequence": f"{len(page):020}",
        "data": page[-1]["data"],
    }


# ── signatures ──────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_request_that_was_changed_or_signed_by_another_does_not_verify(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        webhook, other = await owner.webhook(receiver.url), await owner.webhook("https://1.1.1.1/")
        await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        [request] = await told(receiver)
    secret = (await owner.secret(webhook["id"]))["secret"]
    assert secret.startswith("whsec_")
    assert verified(request, secret)["type"] == "webhook.test"
    with pytest.raises(WebhookVerificationError):
        Webhook(secret).verify(request.body + b" ", request.headers)
    with pytest.raises(WebhookVerificationError):
        verified(request, (await owner.secret(other["id"]))["secret"])


async def test_after_a_rotation_both_secrets_sign_for_a_while(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        webhook = await owner.webhook(receiver.url)
        first = await owner.secret(webhook["id"])
        assert (first["previous"], first["previous_until"]) == (None, None)
        assert (await owner.ask("POST", f"/webhooks/{webhook['id']}/secret/rotate")).status_code == 204
        second = await owner.secret(webhook["id"])
        assert second["previous"] == first["secret"] != second["secret"]
        await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        [request] = await told(receiver)
    assert verified(request, first["secret"]) == verified(request, second["secret"])


async def test_no_secret_is_in_the_database(hub: Hub) -> None:
    """A dump of it signs nothing."""
    owner = await hub.owner()
    made = await owner.ask("POST", "/webhooks", {"url": "https://1.1.1.1/"})
    webhook_id = made.json()["id"]
    secret = (await owner.secret(webhook_id))["secret"]
    dump = str(await hub_rows(hub))
    assert webhook_id in dump
    assert secret.removeprefix("whsec_") not in dump


async def hub_rows(hub: Hub) -> list[Any]:
    dsn = str(hub.api.settings.database.dsn)
    tables = ("webhook_endpoints", "webhook_secrets", "webhook_deliveries", "idempotency_keys")
    return [[tuple(row) for row in await run_sql(dsn, f"SELECT {table}::text FROM {table}")] for table in tables]


# ── tries ───────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_what_is_not_taken_is_tried_again_with_the_same_id(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        receiver.answers_in_turn(503, 503, 204)
        webhook = await owner.webhook(receiver.url)
        await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        [delivery] = await owner.until(webhook["id"], lambda found: found[0]["status"] == "delivered")
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1
    assert receiver.requests[0].headers["webhook-id"] == delivery["webhook_id"]
    assert [attempt["status_code"] for attempt in delivery["attempts"]] == [503, 503, 204]
    assert delivery["attempts"][0]["failure"] == "It answered 503."
    assert delivery["completed_at"] is not None
    assert delivery["next_try_at"] is None


async def test_after_the_last_try_it_is_given_up_and_sent_again_when_asked_for(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering(500) as receiver:
        webhook = await owner.webhook(receiver.url)
        await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        [given_up] = await owner.until(webhook["id"], lambda found: found[0]["status"] == "failed")
        assert [attempt["status_code"] for attempt in given_up["attempts"]] == [500] * 4
        receiver.answers(200)
        again = await owner.ask("POST", f"/webhooks/{webhook['id']}/deliveries/{given_up['id']}/redeliver")
        assert (again.status_code, again.json()["status"]) == (202, "pending")
        [delivered] = await owner.until(webhook["id"], lambda found: found[0]["status"] == "delivered")
    assert len(delivered["attempts"]) == 5
    assert len({request.headers["webhook-id"] for request in receiver.requests}) == 1


async def test_a_receiver_is_not_asked_before_the_time_it_named_unless_its_owner_asks(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering(503, {"Retry-After": "3600"}) as receiver:
        webhook = await owner.webhook(receiver.url)
        await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        [waiting] = await owner.until(webhook["id"], lambda found: bool(found[0]["attempts"]))
        assert waiting["status"] == "pending"
        assert seconds_between(waiting["attempts"][0]["at"], waiting["next_try_at"]) == pytest.approx(3600, abs=600)
        receiver.answers(200)
        await owner.ask("POST", f"/webhooks/{webhook['id']}/deliveries/{waiting['id']}/redeliver")
        await owner.until(webhook["id"], lambda found: found[0]["status"] == "delivered")
    assert len(receiver.requests) == 2


def seconds_between(first: str, second: str) -> float:
    return (datetime.fromisoformat(second) - datetime.fromisoformat(first)).total_seconds()


async def test_410_switches_a_webhook_off_until_its_owner_switches_it_on(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering(410) as receiver:
        webhook = await owner.webhook(receiver.url, events=["job.completed"])
        await finish(hub, owner)
        [delivery] = await owner.until(webhook["id"], lambda found: bool(found) and found[0]["status"] == "failed")
        assert [attempt["status_code"] for attempt in delivery["attempts"]] == [410]
        off = (await owner.ask("GET", f"/webhooks/{webhook['id']}")).json()
        assert (off["enabled"], off["disabled_reason"]) == (False, "It answered 410 Gone.")
        await finish(hub, owner)
        receiver.answers(200)
        on = (await owner.ask("PATCH", f"/webhooks/{webhook['id']}", {"enabled": True})).json()
        assert (on["enabled"], on["disabled_reason"]) == (True, None)
        job_id = await finish(hub, owner)
        await owner.until(webhook["id"], lambda found: found[0]["status"] == "delivered")
    assert json.loads(receiver.requests[-1].body)["data"]["job_id"] == job_id
    assert len(receiver.requests) == 2


async def test_what_is_owed_to_a_deleted_webhook_is_not_sent(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering(503, {"Retry-After": "1"}) as receiver:
        webhook = await owner.webhook(receiver.url)
        await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        await told(receiver)
        assert (await owner.ask("DELETE", f"/webhooks/{webhook['id']}")).status_code == 204
        assert_problem(await owner.ask("GET", f"/webhooks/{webhook['id']}/deliveries"), 404, "webhook.not_found")
        await finish(hub, owner)
    assert (await owner.ask("GET", "/webhooks")).json() == {"webhooks": []}


# ── whose ───────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_others_see_and_hear_nothing(hub: Hub) -> None:
    alice, bob = await hub.owner(), await hub.owner()
    async with answering() as receiver, answering() as of_bob:
        webhook, _ = await alice.webhook(receiver.url), await bob.webhook(of_bob.url)
        await finish(hub, alice)
        requests = await told(receiver, 2)
        [delivery, *_] = await alice.until(webhook["id"], lambda found: len(found) == 2)
    assert len(requests) == 2
    assert of_bob.requests == []
    assert [each["url"] for each in (await bob.ask("GET", "/webhooks")).json()["webhooks"]] == [of_bob.url]
    path = f"/webhooks/{webhook['id']}"
    for method, address in (
        ("GET", path),
        ("PATCH", path),
        ("DELETE", path),
        ("GET", f"{path}/secret"),
        ("POST", f"{path}/secret/rotate"),
        ("POST", f"{path}/test"),
        ("GET", f"{path}/deliveries"),
        ("POST", f"{path}/deliveries/{delivery['id']}/redeliver"),
    ):
        assert_problem(await bob.ask(method, address, {} if method == "PATCH" else None), 404, "webhook.not_found")
    assert await bob.deliveries("jobs") == []
    assert (await bob.secret("jobs"))["secret"] != (await alice.secret("jobs"))["secret"]


async def test_who_may_only_read_may_not_see_where_others_are_told(hub: Hub) -> None:
    owner = await hub.owner()
    reader = await hub.key(owner.name, "read")
    assert_problem(await hub.api.http.get("/webhooks", headers=reader), 403, "auth.scope_missing")


# ── what can be asked for ───────────────────────────────────────────────────────────────────────────────────────────
async def test_a_webhook_is_made_seen_changed_and_deleted(hub: Hub) -> None:
    owner = await hub.owner()
    made = await owner.ask("POST", "/webhooks", {"url": "https://1.1.1.1/a", "description": "CI"})
    webhook = made.json()
    assert made.headers["location"] == f"/webhooks/{webhook['id']}"
    assert (
        webhook.items() >= {"url": "https://1.1.1.1/a", "events": None, "format": "standard", "enabled": True}.items()
    )
    changes = {"events": ["job.failed"], "url": "https://1.1.1.1/b", "enabled": False}
    changed = (await owner.ask("PATCH", f"/webhooks/{webhook['id']}", changes)).json()
    assert changed.items() >= changes.items()
    assert changed["description"] == "CI"
    assert (await owner.ask("PATCH", f"/webhooks/{webhook['id']}", {"events": None})).json()["events"] is None
    assert (await owner.ask("DELETE", f"/webhooks/{webhook['id']}")).status_code == 204
    assert_problem(await owner.ask("GET", f"/webhooks/{webhook['id']}"), 404, "webhook.not_found")


async def test_sent_again_with_its_key_a_webhook_is_made_once(hub: Hub) -> None:
    owner = await hub.owner()
    owner.headers["Idempotency-Key"] = uuid4().hex
    first, second = [await owner.ask("POST", "/webhooks", {"url": "https://1.1.1.1/"}) for _ in range(2)]
    assert first.json() == second.json()
    assert len((await owner.ask("GET", "/webhooks")).json()["webhooks"]) == 1


@pytest.mark.parametrize(
    ("asked", "code"),
    [
        ({}, "request.invalid_field"),
        ({"url": "ftp://example.org/"}, "request.invalid_field"),
        ({"url": "https://1.1.1.1/", "events": []}, "request.invalid_field"),
        ({"url": "https://1.1.1.1/", "events": ["completed"]}, "request.invalid_field"),
        ({"url": "https://1.1.1.1/", "format": "xml"}, "request.invalid_field"),
        ({"url": "https://1.1.1.1/", "event": ["job.failed"]}, "request.invalid_field"),
        ({"url": "https://1.1.1.1/", "description": "a\u0000b"}, "request.invalid_field"),
        ({"url": "http://169.254.169.254/latest/meta-data/"}, "request.address_refused"),
        ({"url": "http://10.0.0.1/"}, "request.address_refused"),
        ({"url": "http://[::1]:8081/jobs"}, "request.address_refused"),
    ],
)
async def test_what_cannot_be_told_is_refused(hub: Hub, asked: dict[str, Any], code: str) -> None:
    owner = await hub.owner()
    assert_problem(await owner.ask("POST", "/webhooks", asked), 400, code)
    assert (await owner.ask("GET", "/webhooks")).json() == {"webhooks": []}


async def test_there_is_an_end_to_how_many_are_told(hub: Hub) -> None:
    owner = await hub.owner()
    for _ in range(32):
        await owner.webhook("https://1.1.1.1/")
    assert_problem(await owner.ask("POST", "/webhooks", {"url": "https://1.1.1.1/"}), 409, "webhook.too_many")


async def test_the_delivery_log_comes_in_pages_and_by_status(hub: Hub) -> None:
    owner = await hub.owner()
    async with answering() as receiver:
        webhook = await owner.webhook(receiver.url)
        for _ in range(3):
            await owner.ask("POST", f"/webhooks/{webhook['id']}/test")
        whole = await owner.until(webhook["id"], lambda found: [e["status"] for e in found] == ["delivered"] * 3)
    path, pages, cursor = f"/webhooks/{webhook['id']}/deliveries", [], ""
    while cursor is not None:
        page = (await owner.ask("GET", path, params={"limit": 1, **({"cursor": cursor} if cursor else {})})).json()
        pages += page["deliveries"]
        cursor = page["next_cursor"]
    assert pages == whole
    assert [each["created_at"] for each in whole] == sorted((each["created_at"] for each in whole), reverse=True)
    assert await owner.deliveries(webhook["id"], status="failed") == []
    assert len(await owner.deliveries(webhook["id"], status="delivered")) == 3
    assert_problem(await owner.ask("GET", f"{path}?status=lost"), 400, "request.invalid_field")
    assert_problem(await owner.ask("GET", f"{path}?cursor=x"), 400, "request.invalid_field")
    missing = await owner.ask("POST", f"{path}/{uuid4()}/redeliver")
    assert_problem(missing, 404, "webhook.delivery_not_found")
