"""What a page from elsewhere may do in the browser of somebody who can reach this server: play what it knows the id of,
and nothing else. Browsers tell by `Origin` and `Sec-Fetch-Site` whose page asks; a name in `Host` that is not ours is
a page that has its own name point here."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from factories import accepted
from serving import Api, assert_problem, serving
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamforge.api.app import routes
from streamforge.api.http.foreign_pages import SAFE_METHODS
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.errors import InvalidSettings
from streamforge.settings import AuthSettings, ServerSettings, Settings, load

FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://127.0.0.1:1", "Sec-Fetch-Site": "same-site"},
    {"Origin": "http://["},
    {"Origin": ""},
]


def with_server(settings: Settings, **changes: object) -> Settings:
    server = ServerSettings.model_validate({"port": 0, **changes})
    return settings.model_copy(update={"server": server})


# ── changes ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("page", FOREIGN, ids=str)
async def test_a_page_from_elsewhere_changes_nothing(api: Api, rows: Jobs, page: dict[str, str]) -> None:
    job_id = await accepted(rows)
    sent = await api.http.post("/process", files={"video": ("a.mp4", b"bytes")}, headers=page)
    assert_problem(sent, 403, "request.foreign_page")
    assert_problem(await api.http.delete(f"/jobs/{job_id}", headers=page), 403, "request.foreign_page")
    assert [job.status for job in await rows.of(EVERYONE).newest(10)] == ["pending"]
    assert api.stored == []


def test_every_address_that_changes_something_is_meant() -> None:
    """Licences are asked for with POST, and change nothing."""
    changing = {
        (method, route.path)
        for route in routes(ServerSettings())
        if isinstance(route, Route)
        for method in route.methods - SAFE_METHODS
    }
    assert changing == {
        ("POST", "/process"),
        ("POST", "/batches"),
        ("PATCH", "/jobs/{job_id}"),
        ("POST", "/jobs"),
        ("POST", "/jobs/bulk"),
        ("POST", "/jobs/{job_id}/events"),
        ("POST", "/webhooks"),
        ("PATCH", "/webhooks/{webhook_id}"),
        ("DELETE", "/webhooks/{webhook_id}"),
        ("POST", "/webhooks/{webhook_id}/secret/rotate"),
        ("POST", "/webhooks/{webhook_id}/test"),
        ("POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver"),
        ("POST", "/jobs/{job_id}/retry"),
        ("POST", "/jobs/{job_id}/reprocess"),
        ("POST", "/jobs/{job_id}/pause"),
        ("POST", "/jobs/{job_id}/resume"),
        ("POST", "/jobs/{job_id}/chunks/refresh"),
        ("POST", "/workers/{worker_id}/drain"),
        ("POST", "/uploads"),
        ("PATCH", "/uploads/{upload_id}"),
        ("DELETE", "/uploads/{upload_id}"),
        ("POST", "/uploads/{upload_id}"),
        ("DELETE", "/jobs/{job_id}"),
        ("POST", "/jobs/{job_id}/playback/refresh"),
        ("POST", "/keys/{job_id}/license"),
        ("POST", "/keys/{job_id}/{signature}/license"),
        ("POST", "/tickets"),
        ("POST", "/session"),
        ("DELETE", "/session"),
    }


async def test_addresses_that_are_still_to_come_are_closed_to_it(api: Api) -> None:
    for method in ("POST", "PUT", "PATCH", "DELETE", "QUERY"):
        response = await api.http.request(method, "/sessions", headers=FOREIGN[0])
        assert_problem(response, 403, "request.foreign_page")


async def test_a_player_elsewhere_gets_its_media_and_its_licence(api: Api, rows: Jobs) -> None:
    job_id = await accepted(rows)
    for method, path in (
        ("GET", f"/media/{job_id}/master.m3u8"),
        ("POST", f"/keys/{job_id}/license"),
        ("GET", f"/jobs/{job_id}"),
        ("HEAD", f"/jobs/{job_id}/stream"),
        ("GET", f"/jobs?ids={job_id}"),
    ):
        response = await api.http.request(method, path, headers=FOREIGN[3])
        assert response.status_code in {200, 404}
        assert response.headers["access-control-allow-origin"] == "*"


# ── what shows everything ───────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("page", FOREIGN, ids=str)
async def test_a_page_from_elsewhere_learns_no_ids(api: Api, rows: Jobs, page: dict[str, str]) -> None:
    job_id = await accepted(rows)
    for path in ("/jobs", "/stream", "/queue/stats", "/workers"):
        assert_problem(await api.http.get(path, headers=page), 403, "request.foreign_page")
    assert await _websocket(api, "", page) == 403
    assert await _websocket(api, f"?job_id={job_id}", page) == 101


async def test_a_link_from_elsewhere_may_be_followed(api: Api) -> None:
    navigation = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await api.http.get("/jobs", headers=navigation)).status_code == 200


async def test_a_websocket_heeds_cors_origins(settings: Settings, rows: Jobs) -> None:
    job_id = await accepted(rows)
    async with serving(with_server(settings, cors_origins=["https://mine.example"])) as api:
        for query in ("", f"?job_id={job_id}"):
            assert await _websocket(api, query, {"Origin": "https://mine.example"}) == 101
            assert await _websocket(api, query, {"Origin": api.url}) == 101
            assert await _websocket(api, query, {}) == 101
            assert await _websocket(api, query, {"Origin": "https://evil.example"}) == 403


async def _websocket(api: Api, query: str, headers: dict[str, str]) -> int:
    try:
        async with connect(f"{api.url.replace('http', 'ws')}/ws/progress{query}", additional_headers=headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


# ── who may ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
async def trusting(settings: Settings) -> AsyncIterator[Api]:
    named = with_server(settings, cors_origins=["*", "https://mine.example"], hosts=["video.example"])
    async with serving(named) as api:
        yield api


async def test_programs_own_pages_and_those_that_are_named_may_do_everything(trusting: Api) -> None:
    for page in (
        {},
        {"Origin": trusting.url},
        {"Origin": "https://mine.example"},
        {"Origin": "https://mine.example", "Sec-Fetch-Site": "cross-site"},
        # A proxy before us may pass on its own name, or not.
        {"Origin": "https://video.example", "Host": "video.example"},
        {"Origin": "https://video.example"},
        {"Origin": "https://other.example", "Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "none"},
    ):
        assert_problem(await trusting.http.delete(f"/jobs/{uuid4()}", headers=page), 404, "job.not_found")
        assert (await trusting.http.get("/jobs", headers=page)).status_code == 200
    for page in FOREIGN:
        assert (await trusting.http.delete(f"/jobs/{uuid4()}", headers=page)).status_code == 403


async def test_the_port_that_goes_without_saying_makes_no_other_page(settings: Settings) -> None:
    """Browsers leave it out of an `Origin`; proxies may say it in `Host`, and people in the settings."""
    named = with_server(settings, hosts=["*"], cors_origins=["https://mine.example:443", "http://[2001:DB8::1]:80"])
    async with serving(named) as api:
        address = f"http://127.0.0.1:{httpx.URL(api.url).port}/jobs"
        for status, origin, host in (
            (200, "http://films.example", "films.example:80"),
            (200, "https://films.example", "films.example:443"),
            (200, "http://films.example:80", "films.example"),
            (403, "http://films.example", "films.example:443"),
            (403, "http://films.example:8080", "films.example"),
            (200, "https://mine.example", "127.0.0.1"),
            (200, "http://[2001:db8::1]", "127.0.0.1"),
            (403, "https://mine.example:8443", "127.0.0.1"),
        ):
            answer = await api.http.get(address, headers={"Origin": origin, "Host": host})
            assert answer.status_code == status, (origin, host)
        readable = await api.http.get(address, headers={"Origin": "https://mine.example"})
        assert readable.headers["access-control-allow-origin"] == "https://mine.example"


@pytest.mark.parametrize("origin", ["https://mine.example/", "mine.example", "https://mine.example/app", "https://"])
def test_an_origin_that_no_browser_sends_is_a_wrong_setting(origin: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMFORGE_SERVER__CORS_ORIGINS", f'["{origin}"]')
    with pytest.raises(InvalidSettings, match=r"server\.cors_origins.*https://example\.org"):
        load()


@pytest.mark.parametrize("host", ["https://video.example", "video.example:443", "", "video example"])
def test_a_host_that_no_client_names_is_a_wrong_setting(host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMFORGE_SERVER__HOSTS", f'["{host}"]')
    with pytest.raises(InvalidSettings, match=r"server\.hosts.*video\.example\.org"):
        load()


# ── names that point here ───────────────────────────────────────────────────────────────────────────────────────────
OURS = [
    "localhost",
    "localhost:8081",
    "LOCALHOST.",
    "app.localhost:1",
    "127.0.0.1",
    "127.0.0.1:1",
    "[::1]",
    "[::1]:80",
    "192.0.2.1",
]
NOT_OURS = [
    "evil.example",
    "evil.example:8081",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "xlocalhost",
    "",
]


async def test_on_loopback_no_other_name_points_here(api: Api) -> None:
    """DNS rebinding: a page of evil.example, whose name now means 127.0.0.1, asks its own server: us."""
    for host in OURS:
        assert (await api.http.get("/health", headers={"Host": host})).status_code == 200, host
    for host in NOT_OURS:
        for method, path in (("GET", "/jobs"), ("POST", "/process"), ("OPTIONS", "/jobs"), ("GET", "/media/x/y")):
            response = await api.http.request(method, path, headers={"Host": host, "Origin": f"http://{host}"})
            assert_problem(response, 421, "request.unknown_host")
            assert "access-control-allow-origin" not in response.headers
    host, port = api.address
    with pytest.raises(InvalidStatus, match="421"):
        await connect("ws://evil.example/ws/progress", host=host, port=port)


async def test_a_proxy_may_pass_on_the_names_that_are_set(trusting: Api) -> None:
    for host in ("video.example", "VIDEO.example:443", "localhost"):
        assert (await trusting.http.get("/health", headers={"Host": host})).status_code == 200
    refused = await trusting.http.get("/health", headers={"Host": "evil.example"})
    assert_problem(refused, 421, "request.unknown_host")
    assert "server.hosts" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("server", "status"),
    [
        ({"host": "0.0.0.0"}, 200),
        ({"host": "0.0.0.0", "hosts": ["video.example"]}, 421),
        ({"hosts": ["*"]}, 200),
        ({"host": "localhost"}, 421),
    ],
    ids=str,
)
async def test_elsewhere_any_name_will_do_unless_some_are_set(
    settings: Settings, server: dict[str, object], status: int
) -> None:
    with_callers = settings.model_copy(update={"auth": AuthSettings(required=True)})
    async with serving(with_server(with_callers, **server)) as api:
        address = f"http://127.0.0.1:{httpx.URL(api.url).port}/health"
        assert (await api.http.get(address, headers={"Host": "films.lan"})).status_code == status
