"""Sessions: browsers that are signed in, and pages that would like to be."""

import asyncio
from datetime import timedelta
from ipaddress import ip_network

import httpx
import pytest
from callers import MakeKey, prefix_of
from factories import run_sql
from serving import Api, assert_problem, serving
from sse import read_frames
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamforge.db.credentials import Credentials
from streamforge.settings import ServerSettings, Settings

VIDEO = {"video": ("a.mp4", b"some bytes", "video/mp4")}


@pytest.fixture
def own(guarded_api: Api) -> dict[str, str]:
    """What a browser says of a page of ours."""
    return {"Origin": guarded_api.url, "Sec-Fetch-Site": "same-origin"}


@pytest.fixture
async def alice(key_of: MakeKey) -> dict[str, str]:
    return await key_of("alice")


async def signed_in(api: Api, key: dict[str, str]) -> httpx.Response:
    """The client keeps the cookie from then on."""
    answer = await api.http.post("/session", headers=key)
    assert answer.status_code == 201, answer.text
    return answer


async def test_the_cookie_opens_what_the_key_does(guarded_api: Api, alice: dict[str, str], own: dict[str, str]) -> None:
    answer = await signed_in(guarded_api, alice)
    assert answer.json()["owner"] == "alice"
    job = (await guarded_api.http.post("/process", files=VIDEO, headers=own)).raise_for_status().json()["job_id"]
    assert (await guarded_api.http.get(f"/jobs/{job}")).status_code == 200
    async with guarded_api.http.stream("GET", f"/jobs/{job}/stream") as response:
        assert (await anext(read_frames(response))).event == "status"
    told = (await guarded_api.http.get("/session")).json()
    assert (told["owner"], told["credential"]) == ("alice", f"session:key:{prefix_of(alice)}")


async def test_no_script_reads_it_and_no_other_site_sends_it(guarded_api: Api, alice: dict[str, str]) -> None:
    cookie = (await signed_in(guarded_api, alice)).headers["set-cookie"]
    attributes = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert {"httponly", "samesite=strict", "path=/"} <= attributes
    assert "secure" not in attributes, "it came over plain HTTP, and would not be sent back"
    assert any(part.startswith("max-age=43") for part in attributes)
    assert cookie.startswith("streamforge=")


@pytest.mark.parametrize("told", [{"X-Forwarded-Proto": "https"}, {"Origin": "https://films.example"}])
async def test_behind_tls_it_is_sent_over_tls_only(
    settings: Settings, alice: dict[str, str], told: dict[str, str]
) -> None:
    server = ServerSettings(port=0, trusted_proxies=[ip_network("127.0.0.1")], hosts=["films.example"])
    async with serving(settings.model_copy(update={"server": server})) as api:
        cookie = (await api.http.post("/session", headers={**alice, **told})).headers["set-cookie"]
        assert cookie.startswith("__Host-streamforge=")
        assert "; secure" in cookie.lower()
        value = cookie.partition(";")[0]
        assert (await api.http.get("/jobs", headers={"Cookie": f"a=b; {value}"})).status_code == 200


async def test_behind_tls_no_cookie_of_another_name_is_believed(settings: Settings, key_of: MakeKey) -> None:
    """Pages of sibling hosts can set one for us, and sign who looks at them in as themselves: the next upload would be theirs."""
    server = ServerSettings(port=0, trusted_proxies=[ip_network("127.0.0.1")])
    tls, mallory = {"X-Forwarded-Proto": "https"}, await key_of("mallory")
    async with serving(settings.model_copy(update={"server": server})) as api:
        value = (await api.http.post("/session", headers=mallory)).cookies["streamforge"]
        api.http.cookies.clear()
        planted = {"Cookie": f"streamforge={value}"}
        assert (await api.http.get("/session", headers=planted)).json()["owner"] == "mallory"
        assert_problem(await api.http.get("/session", headers={**planted, **tls}), 401, "auth.required")


async def test_cookies_of_other_services_on_the_host_are_in_nobody_s_way(
    guarded_api: Api, alice: dict[str, str]
) -> None:
    await signed_in(guarded_api, alice)
    value = guarded_api.http.cookies["streamforge"]
    for other in ('x={"a": [1, "b"]}', "x", "=", "a b=c", 'x="', "ä=ö"):
        shown = {"Cookie": f"{other}; streamforge={value}".encode()}
        assert (await guarded_api.http.get("/session", headers=shown)).status_code == 200, other


async def test_who_is_not_trusted_says_nothing_of_tls(guarded_api: Api, alice: dict[str, str]) -> None:
    answer = await guarded_api.http.post("/session", headers={**alice, "X-Forwarded-Proto": "https"})
    assert answer.headers["set-cookie"].startswith("streamforge=")


# ── pages of others ─────────────────────────────────────────────────────────────────────────────────────────────────
OTHER_PAGES = [
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "http://sibling.films.example", "Sec-Fetch-Site": "same-site"},
    {"Origin": "https://mine.example", "Sec-Fetch-Site": "cross-site"},
    {"Origin": "https://mine.example"},
    {"Origin": "null"},
    {},
]
"""Also those that `server.cors_origins` names, and what says nothing: the cookie came by itself."""


@pytest.mark.parametrize("page", OTHER_PAGES, ids=str)
async def test_with_the_cookie_only_our_own_pages_change_anything(
    settings: Settings, alice: dict[str, str], page: dict[str, str]
) -> None:
    server = ServerSettings(port=0, cors_origins=["https://mine.example"])
    async with serving(settings.model_copy(update={"server": server})) as api:
        await signed_in(api, alice)
        own = {"Origin": api.url}
        job = (await api.http.post("/process", files=VIDEO, headers=own)).raise_for_status().json()["job_id"]
        for method, path in (
            ("DELETE", f"/jobs/{job}"),
            ("POST", "/process"),
            ("POST", "/tickets"),
            ("DELETE", "/session"),
        ):
            assert_problem(await api.http.request(method, path, headers=page), 403, "request.foreign_page")
        cookie = {"Cookie": "; ".join(f"{name}={value}" for name, value in api.http.cookies.items())}
        with pytest.raises(InvalidStatus) as refused:
            async with connect(f"{api.url.replace('http', 'ws')}/ws/progress", additional_headers={**page, **cookie}):
                pass
        assert refused.value.response.status_code == 403
        assert (await api.http.get(f"/jobs/{job}")).json()["status"] == "pending"
        assert (await api.http.get("/session")).json()["owner"] == "alice"


async def test_a_key_is_meant_whatever_page_shows_it(guarded_api: Api, alice: dict[str, str]) -> None:
    """Programs send no Origin, and have no cookie either."""
    await signed_in(guarded_api, alice)
    assert (await guarded_api.http.post("/process", files=VIDEO, headers=alice)).status_code == 202


async def test_pages_of_others_cannot_read_with_it(guarded_api: Api, alice: dict[str, str]) -> None:
    await signed_in(guarded_api, alice)
    answer = await guarded_api.http.get("/session", headers={"Origin": "https://evil.example"})
    assert "access-control-allow-credentials" not in answer.headers


# ── its end ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_signed_out_the_cookie_is_worth_nothing(
    guarded_api: Api, alice: dict[str, str], own: dict[str, str]
) -> None:
    """Also to whoever has copied it; and what was opened with it ends."""
    await signed_in(guarded_api, alice)
    copied = {"Cookie": "; ".join(f"{name}={value}" for name, value in guarded_api.http.cookies.items())}
    async with guarded_api.http.stream("GET", "/stream") as response, asyncio.timeout(20):
        frames = read_frames(response)
        assert (await anext(frames)).event == "status"
        ended = await guarded_api.http.delete("/session", headers=own)
        assert ended.status_code == 204
        assert [frame.event async for frame in frames] == [""]
    assert dict(guarded_api.http.cookies) == {}
    assert_problem(await guarded_api.http.get("/jobs", headers=copied), 401, "auth.invalid")
    assert (await guarded_api.http.delete("/session", headers={**own, **copied})).status_code == 204


async def test_it_falls_with_the_key_that_made_it(
    guarded_api: Api, alice: dict[str, str], credentials: Credentials
) -> None:
    await signed_in(guarded_api, alice)
    assert (await guarded_api.http.get("/jobs")).status_code == 200
    await credentials.revoke_key(prefix_of(alice))
    async with asyncio.timeout(20):
        while (await guarded_api.http.get("/jobs")).status_code == 200:
            await asyncio.sleep(0.02)


async def test_it_does_not_outlive_the_key_that_made_it(guarded_api: Api, key_of: MakeKey) -> None:
    cookie = (await signed_in(guarded_api, await key_of("alice", lasts=timedelta(minutes=5)))).headers["set-cookie"]
    [age] = [int(part.strip()[8:]) for part in cookie.split(";") if part.strip().lower().startswith("max-age=")]
    assert 290 <= age <= 300


async def test_it_cannot_renew_itself(guarded_api: Api, alice: dict[str, str], own: dict[str, str]) -> None:
    await signed_in(guarded_api, alice)
    assert_problem(await guarded_api.http.post("/session", headers=own), 401, "auth.invalid")


async def test_what_is_over_is_swept(guarded_api: Api, alice: dict[str, str], database_dsn: str) -> None:
    await signed_in(guarded_api, alice)
    await run_sql(database_dsn, "UPDATE sessions SET expires_at = now() - interval '1 s'")
    await signed_in(guarded_api, alice)
    assert len(await run_sql(database_dsn, "SELECT FROM sessions")) == 1


async def test_the_database_holds_no_cookie(guarded_api: Api, alice: dict[str, str], database_dsn: str) -> None:
    await signed_in(guarded_api, alice)
    [cookie] = guarded_api.http.cookies.values()
    [row] = await run_sql(database_dsn, "SELECT sessions::text AS everything FROM sessions")
    assert cookie not in row["everything"]


@pytest.mark.parametrize("cookie", ["streamforge=", "streamforge=x", "streamforge=\xff", "streamforge", ";;=;", "a=b"])
async def test_nonsense_is_no_error_of_ours(guarded_api: Api, cookie: str) -> None:
    answer = await guarded_api.http.get("/jobs", headers={b"Cookie": cookie.encode("latin-1")})
    assert answer.status_code == 401


# ── where nobody has to say who they are ────────────────────────────────────────────────────────────────────────────
async def test_pages_work_the_same_without(settings: Settings) -> None:
    auth = settings.auth.model_copy(update={"required": False})
    async with serving(settings.model_copy(update={"auth": auth})) as api:
        session = await api.http.post("/session")
        assert (session.status_code, session.json()["owner"]) == (200, "everyone")
        assert "set-cookie" not in session.headers
        url = (await api.http.post("/tickets", json={"path": "/jobs?limit=5"})).json()["url"]
        assert (await api.http.get(url)).status_code == 200
