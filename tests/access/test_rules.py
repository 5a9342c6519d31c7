"""Every route has a rule, and nobody comes past it."""

import re
import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from callers import MakeKey
from serving import Api, assert_problem, serving
from starlette.routing import BaseRoute, Mount
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamforge.access.caller import Need
from streamforge.api import app
from streamforge.api.http.rules import GuardedRoute, GuardedWebSocketRoute
from streamforge.api.readiness import FRESH_SECONDS
from streamforge.api.routes.health import health
from streamforge.settings import ServerSettings, Settings
from streamforge.storage.local import LocalStorage

RULES = {
    "GET /": "public",
    "GET /openapi.json": "public",
    "GET /docs": "public",
    "GET /health": "public",
    "GET /ready": "public",
    "GET /metrics": "admin",
    "GET /audit": "admin",
    "GET /usage": "read",
    "GET /queue/stats": "read",
    "GET /workers": "admin",
    "POST /workers/{worker_id}/drain": "admin",
    "GET /jobs": "read",
    "POST /jobs": "submit",
    "POST /jobs/bulk": "submit",
    "GET /jobs/{job_id}": "read",
    "DELETE /jobs/{job_id}": "submit",
    "PATCH /jobs/{job_id}": "submit",
    "POST /jobs/{job_id}/retry": "submit",
    "POST /jobs/{job_id}/reprocess": "submit",
    "POST /jobs/{job_id}/pause": "submit",
    "POST /jobs/{job_id}/resume": "submit",
    "GET /jobs/{job_id}/events": "read",
    "POST /jobs/{job_id}/events": "report",
    "GET /jobs/{job_id}/status-detailed": "read",
    "GET /jobs/{job_id}/progress-history": "read",
    "GET /jobs/{job_id}/logs": "read",
    "GET /jobs/{job_id}/chunks": "read",
    "POST /jobs/{job_id}/chunks/refresh": "read",
    "POST /jobs/{job_id}/playback/refresh": "read",
    "GET /jobs/{job_id}/stream": "read",
    "GET /batches/{batch_id}": "read",
    "GET /batches/{batch_id}/stream": "read",
    "GET /stream": "read",
    "WS /ws/progress": "read",
    "POST /tickets": "read",
    "GET /session": "read",
    "POST /session": "read",
    "DELETE /session": "public",
    "POST /process": "submit",
    "POST /batches": "submit",
    "OPTIONS /uploads": "public",
    "POST /uploads": "submit",
    "GET /uploads/{upload_id}": "submit",
    "PATCH /uploads/{upload_id}": "submit",
    "DELETE /uploads/{upload_id}": "submit",
    "POST /uploads/{upload_id}": "submit",
    "GET /webhooks": "submit",
    "POST /webhooks": "submit",
    "GET /webhooks/{webhook_id}": "submit",
    "PATCH /webhooks/{webhook_id}": "submit",
    "DELETE /webhooks/{webhook_id}": "submit",
    "GET /webhooks/{webhook_id}/secret": "submit",
    "POST /webhooks/{webhook_id}/secret/rotate": "submit",
    "POST /webhooks/{webhook_id}/test": "submit",
    "GET /webhooks/{webhook_id}/deliveries": "submit",
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": "submit",
    "GET /media/{job_id}/{path}": "playback",
    "GET /keys/{job_id}/{key_id}": "playback",
    "POST /keys/{job_id}/license": "playback",
    "GET /keys/{job_id}/{signature}/{key_id}": "playback",
    "POST /keys/{job_id}/{signature}/license": "playback",
}
"""What each address asks of its caller. A new one is written down here, too."""


def every(routes: list[BaseRoute]) -> Iterator[Any]:
    """Also those below others."""
    for route in routes:
        if isinstance(route, Mount):
            yield from every(route.routes)
        else:
            yield route


def names(route: Any) -> list[str]:
    path = re.sub(r":\w+}", "}", route.path)
    return [f"{method} {path}" for method in sorted(getattr(route, "methods", {"WS"}) - {"HEAD"})]


def guarded(settings: Settings) -> dict[str, Need]:
    return {name: route.needs for route in every(app.create_app(settings).routes) for name in names(route)}


def test_every_route_is_made_with_a_rule() -> None:
    for route in every(app.create_app(Settings()).routes):
        assert isinstance(route, GuardedRoute | GuardedWebSocketRoute), f"{route} has no rule"


def test_each_rule_is_the_one_that_is_meant() -> None:
    assert guarded(Settings()) == RULES


def test_a_route_without_a_rule_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="needs"):
        GuardedRoute("/new", health)  # type: ignore[call-arg]


def test_a_route_that_nothing_describes_cannot_be_made() -> None:
    with pytest.raises(TypeError, match="is not described"):
        GuardedRoute("/new", lambda _: None, needs=Need.PUBLIC)


def known(name: str) -> tuple[str, str]:
    method, _, pattern = name.partition(" ")
    return method, pattern.format(
        job_id=uuid4(),
        batch_id=uuid4(),
        upload_id=uuid4(),
        worker_id="1@here",
        webhook_id=uuid4(),
        delivery_id=uuid4(),
        key_id="0" * 32,
        path="master.m3u8",
        signature="~1-2000000000-" + "A" * 43,
    )


CREDENTIAL_NEEDED = [
    name for name, need in RULES.items() if need != "public" and "WS" not in name and "{signature}" not in name
]


@pytest.mark.parametrize("name", CREDENTIAL_NEEDED)
async def test_without_a_credential_every_other_route_answers_401(guarded_api: Api, name: str) -> None:
    method, path = known(name)
    refused = await guarded_api.http.request(method, path)
    assert_problem(refused, 401, "auth.required")
    scope = RULES[name] if RULES[name] in {"submit", "report", "admin"} else "read"
    assert refused.headers["www-authenticate"] == f'Bearer realm="streamforge", scope="{scope}"'


@pytest.mark.parametrize("name", [name for name in RULES if "{signature}" in name])
async def test_a_signature_is_a_credential_of_its_own(guarded_api: Api, name: str) -> None:
    method, path = known(name)
    assert_problem(await guarded_api.http.request(method, path), 403, "playback.refused")


@pytest.mark.parametrize("name", [name for name, need in RULES.items() if need == "public"])
async def test_public_ones_do_not_ask(guarded_api: Api, name: str) -> None:
    method, path = known(name)
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        assert (await guarded_api.http.request(method, path, headers=headers)).status_code in {200, 204, 503}


async def test_a_stranger_hears_that_a_part_is_not_well_and_not_why(guarded_api: Api, key_of: MakeKey) -> None:
    """Temporal is away here."""
    asked = await guarded_api.http.get("/ready")
    assert asked.status_code == 503
    assert asked.json()["checks"]["temporal"] == {"ok": False, "message": "not well"}
    known = await guarded_api.http.get("/ready", headers=await key_of("alice"))
    assert "Temporal" in known.json()["checks"]["temporal"]["message"]


async def test_strangers_do_not_have_the_store_written_to_as_often_as_they_like(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bucket has a price for each."""
    asked, check = 0, LocalStorage.check

    async def counted(storage: LocalStorage) -> None:
        nonlocal asked
        asked += 1
        await check(storage)

    monkeypatch.setattr(LocalStorage, "check", counted)
    async with serving(settings) as api:
        began, asked = time.monotonic(), 0
        for _ in range(20):
            await api.http.get("/ready")
        assert 1 <= asked <= 2 + (time.monotonic() - began) / FRESH_SECONDS


async def test_what_is_there_is_nobody_s_business(guarded_api: Api) -> None:
    """Neither methods nor malformed ids are told apart before it is known who asks."""
    for method, path in (
        ("PUT", "/jobs"),
        ("GET", "/jobs/42"),
        ("PUT", f"/media/{uuid4()}/master.m3u8"),
        ("GET", f"/media/{uuid4()}/%2e%2e/x"),
        ("GET", f"/keys/{uuid4()}/license"),
    ):
        assert_problem(await guarded_api.http.request(method, path), 401, "auth.required")


async def test_a_websocket_is_refused_before_it_is_accepted(guarded_api: Api) -> None:
    with pytest.raises(InvalidStatus) as refused:
        async with connect(f"{guarded_api.url.replace('http', 'ws')}/ws/progress"):
            pass
    assert refused.value.response.status_code == 401
    assert refused.value.response.headers["www-authenticate"] == 'Bearer realm="streamforge", scope="read"'
    assert b"auth.required" in (refused.value.response.body or b"")


async def test_a_body_is_not_waited_for(guarded_api: Api) -> None:
    """Nor kept: gigabytes of a stranger would be."""
    refused = await guarded_api.post(b"0" * 100_000)
    assert_problem(refused, 401, "auth.required")
    assert guarded_api.uploads == []


async def test_what_is_shown_and_wrong_is_told_as_such(guarded_api: Api) -> None:
    refused = await guarded_api.http.get("/jobs", headers={"Authorization": "Bearer sf_nonsense"})
    assert_problem(refused, 401, "auth.invalid")
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    other = await guarded_api.http.get("/jobs", headers={"Authorization": "Basic YTpi"})
    assert_problem(other, 401, "auth.required")


async def test_pages_that_are_named_can_read_a_refusal(settings: Settings) -> None:
    server = ServerSettings(port=0, cors_origins=["https://films.example"])
    async with serving(settings.model_copy(update={"server": server})) as api:
        refused = await api.http.get("/jobs", headers={"Origin": "https://films.example"})
    assert refused.status_code == 401
    assert refused.headers["access-control-allow-origin"] == "https://films.example"
    assert "WWW-Authenticate" in refused.headers["access-control-expose-headers"]
