"""How much a caller may ask for, and what they are told when it is too much. Two APIs of one database count together."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

import httpx
import pytest
from callers import MakeKey
from factories import run_sql
from serving import Api, assert_problem, serving

from streamforge.access.rates import UNSHARED_HITS, Rates
from streamforge.db.counters import Counters
from streamforge.db.pool import Database
from streamforge.settings import LimitsSettings, ServerSettings, Settings

POLICY = re.compile(r'"(\w+)";q=(\d+);w=60')
STANDING = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')
"""Structured fields of draft-ietf-httpapi-ratelimit-headers: quota and window; what remains, and seconds until it begins anew."""


@asynccontextmanager
async def limited(settings: Settings, **limits: int) -> AsyncIterator[Api]:
    async with serving(settings.model_copy(update={"limits": LimitsSettings(**limits)})) as api:
        yield api


def remaining(answer: httpx.Response) -> int:
    policy, standing = (
        POLICY.fullmatch(answer.headers["ratelimit-policy"]),
        STANDING.fullmatch(answer.headers["ratelimit"]),
    )
    assert policy is not None
    assert standing is not None
    assert 1 <= int(standing[3]) <= 60
    assert policy[1] == standing[1]
    return int(standing[2])


def assert_limited(answer: httpx.Response, code: str) -> None:
    assert_problem(answer, 429, code)
    assert int(answer.headers["retry-after"]) > 0


# ── requests ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_key_has_so_many_requests_a_minute_and_hears_how_many_are_left(
    settings: Settings, key_of: MakeKey
) -> None:
    alice, bob = await key_of("alice"), await key_of("bob")
    async with limited(settings, requests_per_minute=5) as api:
        left = [remaining(await api.http.get("/jobs", headers=alice)) for _ in range(5)]
        assert left == [4, 3, 2, 1, 0]
        refused = await api.http.get("/jobs", headers=alice)
        assert_limited(refused, "limits.requests")
        assert remaining(refused) == 0
        assert (await api.http.get("/jobs", headers=bob)).status_code == 200
        # Whatever watches over the service, and players, are not counted.
        assert (await api.http.get("/health", headers=alice)).status_code == 200


@asynccontextmanager
async def two(settings: Settings, **limits: int) -> AsyncIterator[tuple[Api, Api]]:
    async with limited(settings, **limits) as first, limited(settings, **limits) as second:
        yield first, second


async def test_two_apis_of_one_database_count_together(settings: Settings, key_of: MakeKey) -> None:
    alice = await key_of("alice")
    async with two(settings, requests_per_minute=100_000) as (first, second), asyncio.timeout(20):
        for _ in range(30):
            await first.http.get("/session", headers=alice)
        asked = 1
        while remaining(await second.http.get("/session", headers=alice)) != 100_000 - 30 - asked:
            asked += 1  # Until the first has shared what it has counted.


async def test_together_they_let_through_little_more_than_one_would(settings: Settings, key_of: MakeKey) -> None:
    """Each may be behind by what the other has not shared yet."""
    alice = await key_of("alice")
    async with two(settings, requests_per_minute=60) as apis:
        answers = [await api.http.get("/session", headers=alice) for _ in range(60) for api in apis]
    assert [answer.status_code for answer in answers[-2:]] == [429, 429]
    assert 60 <= sum(answer.status_code == 200 for answer in answers) <= 60 + 2 * UNSHARED_HITS


async def test_a_burst_is_counted_once(database: Database, database_dsn: str) -> None:
    """What one request was telling the database was told by those behind it, too: 100 were 4,860."""
    async with Rates(Counters(database)) as rates:
        found = await asyncio.gather(*(rates.hit("requests", "alice", 100_000) for _ in range(10 * UNSHARED_HITS)))
        assert min(rate.left for rate in found) == 100_000 - 10 * UNSHARED_HITS
        while True:
            [row] = await run_sql(database_dsn, "SELECT hits FROM rate_counters")
            assert row["hits"] <= 10 * UNSHARED_HITS
            if row["hits"] == 10 * UNSHARED_HITS:
                break


async def test_who_shows_nothing_is_counted_by_the_address(settings: Settings, key_of: MakeKey) -> None:
    alice = await key_of("alice")
    async with limited(settings, requests_per_minute_without_caller=3) as api:
        for _ in range(3):
            assert (await api.http.get("/jobs")).status_code == 401
        assert_limited(await api.http.get("/jobs"), "limits.requests")
        assert (await api.http.get("/jobs", headers=alice)).status_code == 200


async def test_a_network_of_ipv6_is_one_client(settings: Settings) -> None:
    """Its hosts make up the other half of their addresses: of those there are 2⁶⁴."""
    server = ServerSettings(port=0, trusted_proxies=[ip_network("127.0.0.1")])
    async with limited(settings.model_copy(update={"server": server}), requests_per_minute_without_caller=3) as api:

        async def asked_from(address: str) -> httpx.Response:
            return await api.http.get("/jobs", headers={"X-Forwarded-For": address})

        for address in ("2001:db8::1", "2001:db8::2", "2001:db8:0:0:ffff::1"):
            assert (await asked_from(address)).status_code == 401
        assert_limited(await asked_from("2001:db8::3"), "limits.requests")
        assert (await asked_from("2001:db8:0:1::1")).status_code == 401
        assert (await asked_from("192.0.2.1")).status_code == 401


async def test_credentials_that_are_none_run_out_before_good_ones(settings: Settings, key_of: MakeKey) -> None:
    alice = await key_of("alice")
    guess = {"Authorization": "Bearer sf_nonsense"}
    async with limited(settings, failed_attempts_per_minute=3) as api:
        for _ in range(3):
            assert (await api.http.get("/jobs", headers=guess)).status_code == 401
        assert_limited(await api.http.get("/jobs", headers=guess), "limits.attempts")
        assert (await api.http.get("/jobs", headers=alice)).status_code == 200


async def test_without_callers_nothing_is_counted_unless_it_is_set(settings: Settings) -> None:
    anybody = settings.model_copy(update={"auth": settings.auth.model_copy(update={"required": False})})
    async with limited(anybody) as api:
        assert "ratelimit" not in (await api.http.get("/jobs")).headers
        assert (await api.http.get("/usage")).json()["unfinished_jobs"] == {"used": 0, "limit": None, "left": None}
    async with limited(anybody, requests_per_minute_without_caller=1) as api:
        assert (await api.http.get("/jobs")).status_code == 200
        assert_limited(await api.http.get("/jobs"), "limits.requests")


# ── jobs and bytes ──────────────────────────────────────────────────────────────────────────────────────────────────
async def send(api: Api, headers: dict[str, str], video: bytes = b"some bytes") -> httpx.Response:
    return await api.http.post("/process", files={"video": ("a.mp4", video)}, headers=headers)


async def test_an_owner_has_so_many_jobs_in_hand(settings: Settings, key_of: MakeKey) -> None:
    alice, bob = await key_of("alice"), await key_of("bob")
    async with limited(settings, unfinished_jobs=2) as api:
        for left in (1, 0):
            assert (await send(api, alice)).status_code == 202
            usage = (await api.http.get("/usage", headers=alice)).json()
            assert usage["unfinished_jobs"] == {"used": 2 - left, "limit": 2, "left": left}
        assert_limited(await send(api, alice), "limits.unfinished_jobs")
        assert len(api.stored) == 2
        assert (await send(api, bob)).status_code == 202
        two = [("video", ("a.mp4", b"bytes")), ("video", ("b.mp4", b"bytes"))]
        assert_limited(await api.http.post("/batches", files=two, headers=bob), "limits.unfinished_jobs")
        assert len(api.stored) == 3


async def test_an_owner_sends_so_many_bytes_a_day(settings: Settings, key_of: MakeKey) -> None:
    alice = await key_of("alice")
    async with limited(settings, bytes_per_day=5000) as api:
        assert (await send(api, alice, b"0" * 4000)).status_code == 202
        usage = (await api.http.get("/usage", headers=alice)).json()["bytes_today"]
        assert (usage["used"], usage["left"]) == (4000, 1000)
        assert 0 <= usage["resets_in_seconds"] <= 86_400
        assert_limited(await send(api, alice, b"0" * 4000), "limits.bytes")

        async def chunked() -> AsyncIterator[bytes]:
            """Tells no length: it is known when all of it is here."""
            yield b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
            yield b"0" * 4000 + b"\r\n--b--\r\n"

        form = {"Content-Type": "multipart/form-data; boundary=b"}
        assert_limited(await api.http.post("/process", content=chunked(), headers=alice | form), "limits.bytes")
        assert len(api.stored) == 1


@pytest.mark.parametrize("query", ["x=1", "owner=%20"])
async def test_usage_is_asked_for_as_everything_else_is(guarded_api: Api, key_of: MakeKey, query: str) -> None:
    root = await key_of("root", "admin")
    assert_problem(await guarded_api.http.get(f"/usage?{query}", headers=root), 400, "request.invalid_field")
    of_alice = await guarded_api.http.get("/usage?owner=alice", headers=root)
    assert of_alice.json()["owner"] == "alice"


async def test_an_owner_has_so_many_uploads_under_way(settings: Settings, key_of: MakeKey) -> None:
    """One that comes byte by byte may last for ever."""
    alice, bob = await key_of("alice"), await key_of("bob")
    began, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
        began.set()
        await go_on.wait()
        yield b"some bytes\r\n--b--\r\n"

    async with limited(settings, uploads_at_once=1) as api, asyncio.timeout(20):
        form = {"Content-Type": "multipart/form-data; boundary=b"}
        first = asyncio.create_task(api.http.post("/process", content=slow(), headers=alice | form))
        await began.wait()
        while api.uploads == []:
            await asyncio.sleep(0.01)
        assert_limited(await send(api, alice), "limits.uploads")
        assert (await send(api, bob)).status_code == 202
        go_on.set()
        assert (await first).status_code == 202
        assert (await send(api, alice)).status_code == 202
