"""The audit log: what is told, how often, and by whom it can be read."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from factories import run_sql
from structlog.testing import capture_logs

from streamforge.access.audit import ALLOWED, REFUSALS_PER_WINDOW, Auditor
from streamforge.access.caller import Caller
from streamforge.api.http.auditing import MOST_IDS, entries
from streamforge.db.audit import AuditFilter, AuditLog, NewAuditEntry
from streamforge.db.pool import Database
from streamforge.errors import DatabaseUnavailable


@pytest.fixture
def audit_log(database: Database) -> AuditLog:
    return AuditLog(database)


@pytest.fixture
async def auditor(audit_log: AuditLog) -> AsyncIterator[Auditor]:
    """It writes when it ends, and windows are longer than tests."""
    async with Auditor(audit_log, write_every=0.02) as auditor:
        yield auditor


def entry(**fields: Any) -> NewAuditEntry:
    now = datetime.now(UTC)
    some = {
        "owner": None,
        "credential": None,
        "action": "GET /jobs",
        "outcome": "unauthenticated",
        "address": "192.0.2.1",
    }
    return NewAuditEntry.model_validate(some | {"first_at": now, "last_at": now} | fields)


async def recorded(dsn: str) -> list[tuple[Any, ...]]:
    rows = await run_sql(dsn, "SELECT owner, action, outcome, address, count FROM audit_log ORDER BY id")
    return [tuple(row) for row in rows]


async def told_to_one(audit_log: AuditLog, *entries: NewAuditEntry) -> None:
    async with Auditor(audit_log) as auditor:
        for each in entries:
            auditor.tell(each)


async def test_the_same_again_is_one_more_row_with_a_count(audit_log: AuditLog, database_dsn: str) -> None:
    await told_to_one(audit_log, *(entry() for _ in range(1000)))
    assert await recorded(database_dsn) == [
        (None, "GET /jobs", "unauthenticated", "192.0.2.1", 1),
        (None, "GET /jobs", "unauthenticated", "192.0.2.1", 999),
    ]


async def test_the_first_of_a_kind_is_there_before_its_window_ends(auditor: Auditor, database_dsn: str) -> None:
    auditor.tell(entry())
    async with asyncio.timeout(10):
        while not await recorded(database_dsn):
            await asyncio.sleep(0.02)


async def test_a_flood_from_everywhere_is_counted_and_hides_nobody(audit_log: AuditLog, database_dsn: str) -> None:
    """Ten thousand addresses without a credential, and one owner who is refused something among them."""
    flood = [entry(address=f"10.0.{n // 256}.{n % 256}", action=f"GET /{n}") for n in range(10_000)]
    known = entry(owner="alice", credential="key:a", outcome="forbidden")
    await told_to_one(audit_log, *flood[:9000], known, *flood[9000:])
    rows = await recorded(database_dsn)
    assert len(rows) == REFUSALS_PER_WINDOW + 2
    assert ("alice", "GET /jobs", "forbidden", "192.0.2.1", 1) in rows
    assert (None, "*", "unauthenticated", None, 10_000 - REFUSALS_PER_WINDOW) in rows


async def test_what_administrators_do_is_never_left_out(audit_log: AuditLog, database_dsn: str) -> None:
    jobs = [uuid4() for _ in range(1000)]
    deeds = [entry(owner="root", credential="key:r", outcome=ALLOWED, target=f"job:{job}") for job in jobs]
    await told_to_one(audit_log, *deeds)
    assert len(await recorded(database_dsn)) == 1000


async def test_entries_wait_for_a_database_that_is_away(
    audit_log: AuditLog, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    record, away = audit_log.record, True

    async def sometimes(entries: Any) -> Any:
        if away:
            raise DatabaseUnavailable("The database does not answer.")
        return await record(entries)

    monkeypatch.setattr(audit_log, "record", sometimes)
    async with Auditor(audit_log, write_every=0.01) as auditor:
        auditor.tell(entry())
        await asyncio.sleep(0.1)
        assert await recorded(database_dsn) == []
        away = False
    assert len(await recorded(database_dsn)) == 1


async def test_an_entry_that_cannot_be_written_does_not_hold_up_the_others(
    audit_log: AuditLog, database_dsn: str
) -> None:
    await told_to_one(audit_log, entry(), entry(count=0, address="no row has that count"), entry(address="192.0.2.2"))
    assert [row[3] for row in await recorded(database_dsn)] == ["192.0.2.1", "192.0.2.2"]


async def test_what_a_client_sends_is_text_in_it(audit_log: AuditLog, database_dsn: str) -> None:
    """NUL and half surrogates come out of JSON Web Tokens as easily as anything."""
    await told_to_one(audit_log, entry(credential="jwt:a\x00\ud800'; DROP TABLE audit_log; --"))
    [row] = await run_sql(database_dsn, "SELECT credential FROM audit_log")
    assert row[0].endswith("'; DROP TABLE audit_log; --")


async def test_the_log_of_the_process_says_the_same(audit_log: AuditLog) -> None:
    with capture_logs() as said:
        await told_to_one(audit_log, entry(owner="alice", credential="key:a", outcome="forbidden"))
    [line] = [line for line in said if line["event"] == "audited"]
    assert (line["owner"], line["credential"], line["outcome"], line["count"]) == ("alice", "key:a", "forbidden", 1)


async def test_pages_and_filters(audit_log: AuditLog) -> None:
    outcomes = ["forbidden", "limited"] * 3
    await audit_log.record([entry(owner=f"o{n}", outcome=outcome) for n, outcome in enumerate(outcomes)])
    first = await audit_log.newest(4)
    rest = await audit_log.newest(4, before=first[-1].id)
    assert [each.owner for each in first + rest] == ["o5", "o4", "o3", "o2", "o1", "o0"]
    limited = await audit_log.newest(10, wanted=AuditFilter(outcome="limited"))
    assert [each.owner for each in limited] == ["o5", "o3", "o1"]
    assert await audit_log.newest(10, wanted=AuditFilter(owner="o1", outcome="forbidden")) == []
    assert await audit_log.newest(10, wanted=AuditFilter(until=first[-1].first_at.replace(year=2000))) == []


def test_what_a_query_names_is_looked_at_as_far_as_a_list_goes() -> None:
    query = "ids=" + ",".join(str(uuid4()) for _ in range(MOST_IDS + 50))
    alice = Caller("alice", frozenset(), "key:sf_aaaaaaaa")
    scope = {"type": "http", "method": "GET", "query_string": query.encode(), "state": {"caller": alice}}
    assert len(list(entries(scope, 404))) == MOST_IDS
