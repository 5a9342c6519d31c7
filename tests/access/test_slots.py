"""Streams and uploads at once: two APIs of one database count together, and one that died holds nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import httpx
import pytest
from callers import MakeKey
from factories import run_sql
from serving import Api, assert_problem, serving
from sse import read_frames

from streamforge.access import slots
from streamforge.access.slots import NoSlot, Slots
from streamforge.db.pool import Database
from streamforge.settings import LimitsSettings, Settings

PATIENCE = 20


@asynccontextmanager
async def two(settings: Settings, *, per_client: int = 200, **limits: int) -> AsyncIterator[tuple[Api, Api]]:
    server = settings.server.model_copy(update={"max_streams_per_client": per_client})
    limited = settings.model_copy(update={"limits": LimitsSettings(**limits), "server": server})
    async with serving(limited) as first, serving(limited) as second, asyncio.timeout(2 * PATIENCE):
        yield first, second


@asynccontextmanager
async def stream(api: Api, headers: dict[str, str]) -> AsyncIterator[None]:
    """An open one, that was told something."""
    async with api.http.stream("GET", "/stream", headers=headers) as response:
        assert response.status_code == 200
        frames = read_frames(response)
        await anext(frames)
        yield


async def until_there_is_room(api: Api, headers: dict[str, str]) -> None:
    """An API notices a moment later that a client has gone, and tells the others."""
    while True:
        async with api.http.stream("GET", "/stream", headers=headers) as response:
            if response.status_code == 200:
                return


# ── streams and uploads ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_owner_has_so_many_streams_at_all_apis_together(settings: Settings, key_of: MakeKey) -> None:
    alice, bob = await key_of("alice"), await key_of("bob")
    async with two(settings, streams_at_once=2) as (first, second):
        async with stream(first, alice), stream(second, alice):
            for api in (first, second):
                refused = await api.http.get("/stream", headers=alice)
                assert_problem(refused, 429, "stream.too_many")
                assert refused.json()["detail"].startswith("Your account has 2 streams open;")
                assert int(refused.headers["retry-after"]) > 0
            usage = (await second.http.get("/usage", headers=alice)).json()
            assert usage["streams_at_once"] == {"used": 2, "limit": 2, "left": 0}
            async with stream(second, bob):
                pass
        await until_there_is_room(second, alice)


async def test_an_address_has_so_many_streams_at_all_apis_together(settings: Settings, key_of: MakeKey) -> None:
    """Whoever they are."""
    alice, bob = await key_of("alice"), await key_of("bob")
    async with two(settings, per_client=1) as (first, second):
        async with stream(first, alice):
            refused = await second.http.get("/stream", headers=bob)
            assert_problem(refused, 429, "stream.too_many")
            assert refused.json()["detail"].startswith("Your address has 1 streams open;")
        await until_there_is_room(second, bob)


async def test_websockets_are_streams_too(settings: Settings, key_of: MakeKey) -> None:
    from websockets.asyncio.client import connect

    alice = await key_of("alice")
    async with two(settings, streams_at_once=1) as (first, second):
        address = first.url.replace("http", "ws", 1) + "/ws/progress"
        async with connect(address, additional_headers=alice) as socket:
            await socket.recv()
            assert_problem(await second.http.get("/stream", headers=alice), 429, "stream.too_many")


def slow_form(began: asyncio.Event, go_on: asyncio.Event) -> AsyncIterator[bytes]:
    async def pieces() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\n'
        began.set()
        await go_on.wait()
        yield b"some bytes\r\n--b--\r\n"

    return pieces()


FORM = {"Content-Type": "multipart/form-data; boundary=b"}


async def send(api: Api, headers: dict[str, str]) -> httpx.Response:
    return await api.http.post("/process", files={"video": ("a.mp4", b"some bytes")}, headers=headers)


@pytest.mark.parametrize(
    ("limit", "whose"), [("uploads_at_once", "account"), ("uploads_at_once_per_address", "address")]
)
async def test_so_many_uploads_are_under_way_at_all_apis_together(
    settings: Settings, key_of: MakeKey, limit: str, whose: str
) -> None:
    alice = await key_of("alice")
    began, go_on = asyncio.Event(), asyncio.Event()
    async with two(settings, **{limit: 1}) as (first, second):
        content = slow_form(began, go_on)
        slow = asyncio.create_task(first.http.post("/process", content=content, headers=alice | FORM))
        await began.wait()
        while first.uploads == []:
            await asyncio.sleep(0.01)
        refused = await send(second, alice)
        assert_problem(refused, 429, "limits.uploads")
        assert refused.json()["detail"] == f"Your {whose} has 1 uploads under way; wait for one of them."
        go_on.set()
        assert (await slow).status_code == 202
        while (answer := await send(second, alice)).status_code == 429:
            pass
        assert answer.status_code == 202


# ── what PostgreSQL is told ─────────────────────────────────────────────────────────────────────────────────────────
NAME = "streams/owner/alice"


@asynccontextmanager
async def processes(database: Database, count: int = 2) -> AsyncIterator[list[Slots]]:
    async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE):
        yield [await stack.enter_async_context(Slots(database)) for _ in range(count)]


async def tried(process: Slots, most: int) -> bool:
    try:
        await process.take({NAME: most})
    except NoSlot:
        return False
    return True


async def test_of_many_that_come_at_once_exactly_as_many_as_there_may_be_get_in(database: Database) -> None:
    async with processes(database, 3) as several:
        got = await asyncio.gather(*(tried(process, 7) for _ in range(20) for process in several))
        assert sum(got) == 7
        while await several[0].count(NAME) != 7:
            pass  # Those who were refused take back what they had told.


async def test_a_process_that_is_killed_holds_its_slots_no_longer_than_its_lease(
    database: Database, database_dsn: str
) -> None:
    async with processes(database) as (killed, other):
        assert await tried(killed, 1)
        assert not await tried(other, 1)
        # As if its last word had come a lease ago.
        past = "UPDATE slot_holders SET renewed_at = renewed_at - $1 * interval '1 s' WHERE id = $2"
        await run_sql(database_dsn, past, slots.LEASE_SECONDS, killed._rows._holder)
        assert await tried(other, 1)


async def test_what_was_forgotten_is_told_again(
    database: Database, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a crash of PostgreSQL the tables are empty; and a process that stood still was taken for dead."""
    monkeypatch.setattr(slots, "RENEW_SECONDS", 0.05)
    async with processes(database) as (first, second):
        assert await tried(first, 1)
        await run_sql(database_dsn, "TRUNCATE slot_holders CASCADE")
        while await second.count(NAME) == 0:
            await asyncio.sleep(0.02)
        assert not await tried(second, 1)


async def test_while_the_database_is_away_each_process_counts_alone(database: Database, database_dsn: str) -> None:
    async with processes(database) as (first, second):
        assert await tried(first, 1)
        await run_sql(database_dsn, "ALTER FUNCTION hold_slots RENAME TO gone")
        assert await tried(second, 1)
        assert not await tried(second, 1)
        await run_sql(database_dsn, "ALTER FUNCTION gone RENAME TO hold_slots")
        assert await second.count(NAME) == 2


async def test_one_who_gives_up_while_the_database_is_asked_holds_nothing(database: Database) -> None:
    async with processes(database) as (first, second):
        for pauses in range(12):
            asking = asyncio.create_task(tried(first, 1))
            for _ in range(pauses):
                await asyncio.sleep(0)
            if not asking.cancel() and asking.result():
                first.give_back({NAME: 1})
            await asyncio.wait([asking])
        while not await tried(second, 1):
            pass


async def test_nobody_is_asked_while_a_stream_goes_on(settings: Settings, key_of: MakeKey, database_dsn: str) -> None:
    """Nor where this process knows by itself that there is no room."""
    alice = await key_of("alice")
    async with two(settings, streams_at_once=1) as (first, _), stream(first, alice):
        held = "SELECT xmin::text, held FROM held_slots ORDER BY name"
        before = await run_sql(database_dsn, held)
        for _ in range(5):
            assert (await first.http.get("/stream", headers=alice)).status_code == 429
        assert await run_sql(database_dsn, held) == before


async def test_a_process_that_stops_holds_nothing(database: Database, database_dsn: str) -> None:
    async with processes(database) as several:
        for process in several:
            assert await tried(process, 2)
    assert await run_sql(database_dsn, "SELECT * FROM held_slots") == []
