"""What surrounds every request: errors, ids, addresses, deadlines, health, start and stop."""

import asyncio
import os
import signal
import socket
from ipaddress import ip_network

import httpx
import pytest
import structlog
from serving import Api, assert_problem, serving
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

import streamforge
from streamforge.api.app import middleware, routes
from streamforge.api.http.middleware import Deadline, real_client
from streamforge.api.http.problems import HANDLERS
from streamforge.api.http.server import running, serve
from streamforge.embedded.ports import free_port
from streamforge.errors import DatabaseUnavailable, MissingPart, PortInUse, StoreTaken
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings


# ── health ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_health_says_exactly_this(api: Api) -> None:
    response = await api.http.get("/health")
    assert response.status_code == 200
    assert response.json() == {"status": "healthy", "service": "streamforge", "version": streamforge.__version__}


async def test_ready_when_everything_is_well(api_with_temporal: Api) -> None:
    response = await api_with_temporal.http.get("/ready")
    assert response.status_code == 200
    assert response.json()["status"] == "ready"
    assert {name: check["ok"] for name, check in response.json()["checks"].items()} == {
        "database": True,
        "temporal": True,
        "storage": True,
        "disk": True,
    }


async def test_not_ready_says_which_part_is_not(settings: Settings) -> None:
    full = settings.model_copy(update={"input": InputSettings(min_free_disk_bytes=2**62)})
    async with serving(full) as api:
        response = await api.http.get("/ready")
    assert response.status_code == 503
    checks = response.json()["checks"]
    assert response.json()["status"] == "not_ready"
    assert {name for name, check in checks.items() if not check["ok"]} == {"temporal", "disk"}
    assert checks["temporal"]["message"] == "Temporal does not answer."


async def test_the_front_page_says_what_is_here(api: Api) -> None:
    assert "POST /process" in (await api.http.get("/")).json()["endpoints"]


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_addresses_and_methods_nobody_knows(api: Api) -> None:
    assert_problem(await api.http.get("/nothing/here"), 404, "not_found")
    response = await api.http.put("/jobs")
    assert_problem(response, 405, "method_not_allowed")
    assert "GET" in response.headers["allow"]


async def crash(_request: Request) -> Response:
    raise ZeroDivisionError("the password is swordfish")


async def hang(_request: Request) -> Response:
    await asyncio.Event().wait()
    raise AssertionError


async def name_client(request: Request) -> Response:
    return PlainTextResponse(request.client.host if request.client else "")


async def database_away(_request: Request) -> Response:
    raise DatabaseUnavailable("The database does not answer.", debug="dsn with a password")


def surrounded(settings: ServerSettings | None = None) -> httpx.AsyncClient:
    """Our middleware around endpoints that misbehave."""
    app = Starlette(
        routes=[
            Route("/crash", crash),
            Route("/hang", hang, middleware=[Middleware(Deadline, seconds=0.01)]),
            Route("/client", name_client),
            Route("/away", database_away),
        ],
        middleware=middleware(settings or ServerSettings()),
        exception_handlers=dict(HANDLERS),
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False, client=("10.0.0.1", 1234))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


async def test_a_defect_tells_the_caller_nothing_and_the_log_everything() -> None:
    with structlog.testing.capture_logs() as logs:
        async with surrounded() as http:
            response = await http.get("/crash", headers={"Origin": "https://page.example"})
    assert_problem(response, 500, "internal")
    assert "swordfish" not in response.text
    assert response.headers["access-control-allow-origin"] == "*", "a page can read the 500, too"
    crashed = next(line for line in logs if line["event"] == "request crashed")
    assert crashed["exc_info"]


async def test_a_service_that_is_away_is_503_with_a_hint_and_without_internals() -> None:
    async with surrounded() as http:
        response = await http.get("/away")
    assert_problem(response, 503, "database.unavailable")
    assert response.headers["retry-after"]
    assert "password" not in response.text


async def test_a_request_that_hangs_is_ended() -> None:
    async with surrounded() as http:
        assert_problem(await http.get("/hang"), 504, "request.timeout")


def test_streams_uploads_copies_and_media_have_no_deadline() -> None:
    unlimited = {route.path for route in routes(ServerSettings()) if not isinstance(route.app, Deadline)}
    assert unlimited == {
        "/process",
        "/batches",
        "/uploads",
        "/uploads/{upload_id}",
        "/jobs/bulk",
        "/jobs/{job_id}/reprocess",
        "/stream",
        "/jobs/{job_id}/stream",
        "/batches/{batch_id}/stream",
        "/ws/progress",
        "/media/{job_id}/{path:path}",
    }


# ── ids and addresses ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_sane_request_id_is_kept_and_bound_to_the_log() -> None:
    with structlog.testing.capture_logs(processors=[structlog.contextvars.merge_contextvars]) as logs:
        async with surrounded() as http:
            response = await http.get("/client", headers={"X-Request-ID": "trace-1.2_3"})
    assert response.headers["x-request-id"] == "trace-1.2_3"
    line = next(line for line in logs if line["event"] == "request")
    assert line["request_id"] == "trace-1.2_3"
    assert (line["method"], line["path"], line["status"], line["bytes"]) == ("GET", "/client", 200, len("10.0.0.1"))


@pytest.mark.parametrize("sent", ["", "a b", "x" * 129, 'a"b', "a\tb", "é"])
async def test_any_other_is_replaced(sent: str) -> None:
    async with surrounded() as http:
        first = await http.get("/client", headers={"X-Request-ID": sent.encode()})
        second = await http.get("/client")
    assert first.headers["x-request-id"] not in {sent, second.headers["x-request-id"]}


PROXIES = [ip_network("10.0.0.0/8"), ip_network("fd00::/8")]


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("10.0.0.1", "1.2.3.4, 203.0.113.7, 10.0.0.2", "203.0.113.7"),
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "garbage, 10.0.0.2", "10.0.0.2"),
        ("10.0.0.1", "203.0.113.7:4711", "203.0.113.7"),
        ("10.0.0.1", "[2001:db8::1]:4711", "2001:db8::1"),
        ("fd00::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:10.0.0.1", "203.0.113.7", "203.0.113.7"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
    ],
)
def test_the_client_is_the_first_address_no_trusted_proxy_vouches_past(peer: str, forwarded: str, client: str) -> None:
    assert real_client(peer, forwarded, PROXIES) == client


async def test_forwarded_addresses_are_believed_from_trusted_proxies_only() -> None:
    headers = {"X-Forwarded-For": "203.0.113.7"}
    async with surrounded() as http:
        assert (await http.get("/client", headers=headers)).text == "10.0.0.1"
    async with surrounded(ServerSettings(trusted_proxies=[ip_network("10.0.0.0/8")])) as http:
        assert (await http.get("/client", headers=headers)).text == "203.0.113.7"


async def test_a_proxy_that_the_settings_do_not_know_is_told_once() -> None:
    """Behind it all clients are one address; and without `auth.required` loopback is everybody's through it."""
    trusted = [ip_network("10.0.0.0/8")]
    for server, times in ((ServerSettings(), 1), (ServerSettings(trusted_proxies=trusted), 0)):
        with structlog.testing.capture_logs() as lines:
            async with surrounded(server) as http:
                for headers in ({}, {"X-Forwarded-For": "203.0.113.7"}, {"X-Forwarded-For": "203.0.113.8"}):
                    await http.get("/client", headers=headers)
        told = [line for line in lines if line["event"] == "a proxy that server.trusted_proxies does not name"]
        assert [(line["proxy"], "set auth.required" in line["danger"]) for line in told] == [("10.0.0.1", True)] * times


async def test_only_pages_of_the_configured_origins_may_read_answers() -> None:
    async with surrounded(ServerSettings(cors_origins=["https://mine.example"])) as http:
        mine = await http.get("/client", headers={"Origin": "https://mine.example"})
        other = await http.get("/client", headers={"Origin": "https://other.example"})
    assert mine.headers["access-control-allow-origin"] == "https://mine.example"
    assert "access-control-allow-origin" not in other.headers


# ── start and stop ──────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_busy_port_is_one_sentence(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        busy = settings.model_copy(update={"server": ServerSettings(port=port)})
        with pytest.raises(PortInUse, match=str(port)):
            await serve(busy)


async def test_missing_addresses_are_named(settings: Settings) -> None:
    for missing in ({"database": DatabaseSettings()}, {"temporal": TemporalSettings()}):
        with pytest.raises(MissingPart, match="STREAMFORGE_"):
            await serve(settings.model_copy(update=missing))


async def test_a_store_of_another_installation_is_refused(settings: Settings, empty_database_dsn: str) -> None:
    """Each would sweep away what the other has made."""
    async with serving(settings):
        pass
    with pytest.raises(StoreTaken):
        await serve(settings.model_copy(update={"database": DatabaseSettings(dsn=empty_database_dsn)}))
    async with serving(settings) as again:
        assert (await again.http.get("/health")).status_code == 200


async def test_a_database_that_does_not_come_up_is_waited_for_and_then_named(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamforge.api.services.STARTUP_WAIT_SECONDS", 0.2)
    away = DatabaseSettings(dsn=f"postgresql://nobody@127.0.0.1:{free_port('127.0.0.1')}/none")
    with pytest.raises(DatabaseUnavailable):
        await serve(settings.model_copy(update={"database": away}))


async def test_sigterm_stops_it_cleanly(settings: Settings) -> None:
    ready: asyncio.Queue[str] = asyncio.Queue()
    server = asyncio.create_task(serve(settings, on_ready=ready.put_nowait))
    url = await ready.get()
    async with httpx.AsyncClient() as http:
        assert (await http.get(f"{url}/health")).status_code == 200
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(10):
        await server


async def test_a_caller_may_stop_it_with_an_event(settings: Settings) -> None:
    stop, ready = asyncio.Event(), asyncio.Event()
    server = asyncio.create_task(serve(settings, stop=stop, on_ready=lambda _: ready.set()))
    await ready.wait()
    stop.set()
    async with asyncio.timeout(10):
        await server


async def test_a_running_request_may_finish_while_the_server_stops(settings: Settings) -> None:
    async with httpx.AsyncClient() as http:
        release = asyncio.Event()

        async def slowly() -> object:
            yield b'--b\r\nContent-Disposition: form-data; name="video"; filename="a"\r\n\r\nbytes'
            await release.wait()
            yield b"\r\n--b--\r\n"

        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        async with running(settings) as url:
            upload = asyncio.create_task(http.post(f"{url}/process", content=slowly(), headers=headers))
            folder = settings.data_dir / "uploads"
            while not list(folder.iterdir()):
                await asyncio.sleep(0.005)
            asyncio.get_running_loop().call_later(0.2, release.set)
        assert (await upload).status_code == 202
