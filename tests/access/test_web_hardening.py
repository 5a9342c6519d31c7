"""What every answer tells a browser, what none tells anybody, and what no request may hold."""

import asyncio
import re
from uuid import uuid4

import httpx
import pytest
from callers import MakeKey
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from serving import Api, assert_problem, serving
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamforge.api import app
from streamforge.settings import ServerSettings, Settings

ELSEWHERE = "https://films.example"
INSIDE = re.compile(
    r"Traceback|File \"|/work/|/tmp/|/root/|/home/|/usr/|site-packages|\.py\b|asyncpg|postgres(ql)?://|SELECT |INSERT |WHERE "
    r"|Error\(|0x[0-9a-f]{6}|streamforge\.[a-z]+\.[a-z]"
)
"""Of a machine, of the code, of queries: what helps nobody who asks, but whoever attacks."""


async def raw(api: Api, request: bytes) -> httpx.Response:
    """Sent by hand: clients tidy such requests up."""
    reader, writer = await asyncio.open_connection(*api.address)
    try:
        writer.write(request)
        async with asyncio.timeout(20):
            head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    finally:
        writer.close()
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    return httpx.Response(int(status.split()[1]), headers=headers, content=body)


def get(path: bytes, *headers: bytes) -> bytes:
    return b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: localhost", b"Connection: close", *headers, b"", b""])


def assert_hardened(answer: httpx.Response) -> None:
    for name, value in (
        ("x-content-type-options", "nosniff"),
        ("referrer-policy", "no-referrer"),
        ("x-frame-options", "DENY"),
    ):
        assert answer.headers.get_list(name) == [value], (answer.status_code, answer.headers)
    # A page of ours, such as /docs, names what it needs; nobody may frame it either.
    (policy,) = answer.headers.get_list("content-security-policy")
    assert policy.startswith("default-src 'none'; ")
    assert policy.endswith("frame-ancestors 'none'")
    assert answer.headers.get("content-type", "").startswith("text/html") or policy.count(";") == 1
    assert answer.headers["cross-origin-resource-policy"] in {"same-origin", "cross-origin"}


# ── what answers tell ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_every_answer_is_one_that_no_browser_misreads(guarded_api: Api, key_of: MakeKey) -> None:
    ask = guarded_api.http
    for answer in (
        await ask.get("/health"),
        await ask.get("/jobs", headers=await key_of("alice")),
        await ask.get("/jobs"),
        await ask.get("/nowhere"),
        await ask.put("/health"),
        await ask.get("/jobs/"),
        await ask.get("/health", headers={"Host": "evil.example"}),
        await ask.post("/process", headers={"Origin": ELSEWHERE}),
        await ask.options("/jobs", headers={"Origin": ELSEWHERE, "Access-Control-Request-Method": "GET"}),
        await ask.get(f"/media/{uuid4()}/master.m3u8"),
        await raw(guarded_api, b"nonsense\r\n\r\n"),
        await raw(guarded_api, get(b"/health", b"X: " + b"x" * 70_000)),
    ):
        assert_hardened(answer)
        assert "strict-transport-security" not in answer.headers
    with pytest.raises(InvalidStatus) as refused:
        await connect(f"{guarded_api.url.replace('http', 'ws')}/ws/progress")
    assert refused.value.response.headers["x-content-type-options"] == "nosniff"


async def test_players_elsewhere_may_load_media_and_keys_and_nothing_else(guarded_api: Api) -> None:
    for path, readers in (
        (f"/media/{uuid4()}/master.m3u8", "cross-origin"),
        (f"/keys/{uuid4()}/license", "cross-origin"),
        ("/jobs", "same-origin"),
        ("/health", "same-origin"),
    ):
        assert (await guarded_api.http.get(path)).headers["cross-origin-resource-policy"] == readers


async def test_browsers_are_kept_to_tls_where_a_trusted_proxy_says_it_was_tls(settings: Settings) -> None:
    for proxies, expected in ((["127.0.0.1"], "max-age=31536000"), ([], None)):
        server = ServerSettings.model_validate({"port": 0, "trusted_proxies": proxies})
        async with serving(settings.model_copy(update={"server": server})) as api:
            for path in ("/health", "/jobs", "/nowhere"):
                answer = await api.http.get(path, headers={"X-Forwarded-Proto": "https"})
                assert answer.headers.get("strict-transport-security") == expected
                plain = await api.http.get(path, headers={"X-Forwarded-Proto": "http"})
                assert "strict-transport-security" not in plain.headers


# ── pages from elsewhere ────────────────────────────────────────────────────────────────────────────────────────────
async def preflight(api: Api, path: str, origin: str, method: str = "GET") -> httpx.Response:
    asked = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization",
    }
    return await api.http.options(path, headers=asked)


async def test_any_page_may_play_and_only_named_ones_may_use_the_api(settings: Settings) -> None:
    server = ServerSettings(port=0, cors_origins=["*", "https://mine.example"])
    async with serving(settings.model_copy(update={"server": server})) as api:
        for path in ("/jobs", f"/jobs/{uuid4()}", f"/jobs/{uuid4()}/stream", "/session", "/tickets", "/nowhere"):
            refused = await preflight(api, path, ELSEWHERE)
            assert_problem(refused, 403, "request.foreign_page")
            assert "access-control-allow-origin" not in refused.headers
            assert (
                "access-control-allow-origin" not in (await api.http.get(path, headers={"Origin": ELSEWHERE})).headers
            )
            allowed = await preflight(api, path, "https://mine.example")
            assert allowed.status_code == 200
            assert allowed.headers["access-control-allow-origin"] == "https://mine.example"
            assert "Origin" in allowed.headers["vary"]
            assert_problem(await preflight(api, path, "https://mine.example", "PUT"), 403, "request.foreign_page")
        for path in (f"/media/{uuid4()}/master.m3u8", f"/keys/{uuid4()}/license"):
            played = await preflight(api, path, ELSEWHERE)
            assert (played.status_code, played.headers["access-control-allow-origin"]) == (200, "*")


async def test_no_answer_is_for_pages_elsewhere_with_their_cookies(settings: Settings) -> None:
    server = ServerSettings(port=0, cors_origins=["*", "https://mine.example"])
    async with serving(settings.model_copy(update={"server": server})) as api:
        for path in ("/jobs", "/session", f"/media/{uuid4()}/a"):
            for origin in (ELSEWHERE, "https://mine.example", "null"):
                for answer in (
                    await preflight(api, path, origin),
                    await api.http.get(path, headers={"Origin": origin}),
                ):
                    assert "access-control-allow-credentials" not in answer.headers


async def test_a_websocket_of_a_page_elsewhere_needs_its_name_in_the_settings(
    settings: Settings, key_of: MakeKey
) -> None:
    server = ServerSettings(port=0, cors_origins=["*", "https://mine.example"])
    headers = await key_of("alice")
    async with serving(settings.model_copy(update={"server": server})) as api:
        address = f"{api.url.replace('http', 'ws')}/ws/progress?job_id={uuid4()}"
        with pytest.raises(InvalidStatus, match="403"):
            await connect(address, additional_headers=headers | {"Origin": ELSEWHERE})
        with pytest.raises(InvalidStatus, match="404"):  # The job is not there: the page may ask.
            await connect(address, additional_headers=headers | {"Origin": "https://mine.example"})


# ── what no answer tells ────────────────────────────────────────────────────────────────────────────────────────────
PATHS = sorted({route.path for route in app.routes(ServerSettings()) if isinstance(route, Route)})
WORDS = st.sampled_from(
    [
        "",
        "x",
        "..",
        "%2e%2e",
        "'",
        "%27;--",
        "%5c",
        "%ff",
        "0" * 300,
        "-1",
        "1e999",
        "{",
        "%7b%7d",
        "ä",
        "null",
        "~1-2-3",
        str(uuid4()),
    ]
)
BODIES = st.sampled_from(
    [b"", b"{", b"[]", b'{"path": 1}', b"\0" * 100, b"\xff" * 50, b"--b\r\n\r\n", b'{"kids": [1]}']
)
KINDS = st.sampled_from(["", "application/json", "multipart/form-data; boundary=b", "multipart/form-data", "text/x; ="])


@examples(
    max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(data=st.data())
async def test_no_answer_tells_of_code_paths_or_queries(guarded_api: Api, key_of: MakeKey, data: st.DataObject) -> None:
    path = re.sub(r"\{\w+(:path)?\}", lambda _: data.draw(WORDS), data.draw(st.sampled_from(PATHS)))
    names = st.sampled_from(["limit", "cursor", "ids", "after", "owner", "status", "dry_run", "batch_id", "x"])
    query = "&".join(f"{data.draw(names)}={data.draw(WORDS)}" for _ in range(data.draw(st.integers(0, 2))))
    method = data.draw(st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD", "TRACE"]))
    headers = _headers.get(id(guarded_api)) or await key_of("alice", "submit", "read", "admin")
    _headers[id(guarded_api)] = headers
    shown = {
        "Content-Type": data.draw(KINDS),
        "Last-Event-ID": data.draw(WORDS).encode(),
        "Range": "bytes=9-1",
    } | headers
    if path.endswith("stream"):
        method = "HEAD"
    answer = await guarded_api.http.request(method, f"{path}?{query}", headers=shown, content=data.draw(BODIES))
    assert_hardened(answer)
    if answer.status_code >= 400:
        found = INSIDE.search(answer.text + repr(answer.headers))
        assert found is None, (method, path, query, answer.text)
        assert '"internal"' not in answer.text, (method, path, query)  # /ready may well say 503.


_headers: dict[int, dict[str, str]] = {}


# ── what no request may hold ────────────────────────────────────────────────────────────────────────────────────────
BREAKS = st.sampled_from([b"\0", b"\r", b"\n", b"\r\n X", b"\x0b", b"\x7f"])
WRITTEN = st.sampled_from([b"%00", b"%0a", b"%0A", b"%0d", b"%0D%0ASet-Cookie:%20a=b", b"%1b%5b2J", b"%7F", b"%09"])
TEXT = st.text("abc/._", max_size=6).map(str.encode)


@examples(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(before=TEXT, broken=WRITTEN, after=TEXT, where=st.sampled_from([b"/", b"/media/", b"/jobs?a=", b"/jobs?"]))
async def test_nul_and_line_breaks_in_an_address_are_refused(
    guarded_api: Api, before: bytes, broken: bytes, after: bytes, where: bytes
) -> None:
    answer = await raw(guarded_api, get(where + before + broken + after))
    assert_problem(answer, 400, "request.control_character")
    assert_hardened(answer)
    assert "set-cookie" not in answer.headers


@examples(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None
)
@given(before=TEXT, broken=BREAKS, after=TEXT, name=st.sampled_from([b"Host", b"X-Request-ID", b"Origin", b"Cookie"]))
async def test_nul_and_line_breaks_in_a_header_are_refused_or_no_part_of_it(
    guarded_api: Api, before: bytes, broken: bytes, after: bytes, name: bytes
) -> None:
    answer = await raw(guarded_api, get(b"/health", name + b": " + before + broken + after))
    assert answer.status_code in {400, 421}, answer
    assert_hardened(answer)


@pytest.mark.parametrize("path", [b"/a\0b", b"/a\rb", b"/a\nb", b"/a\x0bb"])
async def test_they_are_refused_as_they_are_too(guarded_api: Api, path: bytes) -> None:
    assert (await raw(guarded_api, get(path))).status_code == 400


async def test_fields_have_no_nul(guarded_api: Api, key_of: MakeKey) -> None:
    headers = await key_of("alice")
    for name in ("key", "external_id", "metadata", "webhook_url", "captions", "profile"):
        for text in ("a\0b", "\0"):
            form = {"files": {"video": ("a.mp4", b"bytes")}, "data": {name: text}}
            refused = await guarded_api.http.post("/process", headers=headers, **form)  # type: ignore[arg-type]
            assert refused.status_code == 400, (name, refused.text)
