"""`GET /jobs` with a million jobs: each filter and pages deep in the list, through the API's own queries under row-level
security. `python -m bench.listing explain` prints the plans."""

import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg

from bench import report
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.job_filter import JobFilter
from streamforge.db.jobs import Jobs
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.embedded.postgres import EmbeddedPostgres

JOBS = 1_000_000
ALICE = "alice"
LIMIT = 20
PAGES = 10
ROUNDS = 5
BAR_MS = 20.0

FILL = """
INSERT INTO jobs (id, owner, key, workflow_id, source_object, size_bytes, source_sha256, options, priority, external_id, metadata,
                  status, stage, progress, event_seq, created_at, launched_at, completed_at, work_began_at)
SELECT gen_random_uuid(), CASE n % 10 WHEN 0 THEN 'bob' ELSE 'alice' END, key, 'w-' || n, 'input', 1, '00', options, 3,
       options ->> 'external_id', options -> 'metadata', status,
       CASE WHEN status IN ('pending', 'processing') THEN (ARRAY['uploading', 'transcoding', 'packaging'])[n % 3 + 1]
            ELSE status END,
       50, 10, timestamptz '2026-01-01' + n * interval '1 second', now(), now(), now()
FROM (
    SELECT n, format('%s/film %s part %s.mp4', (ARRAY['holiday', 'news', 'sport'])[n % 3 + 1], n, n % 7) AS key,
           CASE WHEN n > $1 - 9900 THEN (ARRAY['pending', 'processing'])[n % 2 + 1] WHEN n % 997 = 0 THEN 'failed'
                WHEN n < 500 THEN 'cancelled' ELSE 'completed' END AS status,
           jsonb_build_object('priority', 3, 'external_id', 'order-' || n, 'metadata', jsonb_build_object(
               'tenant', 'tenant-' || n % 1000, 'kind', CASE WHEN n < 1000 THEN 'rare' ELSE 'usual' END)) AS options
    FROM generate_series(1, $1::integer) AS n
) AS films
"""
"""A tenth is somebody else's. Few failed, all who are cancelled came first, and 9,900 are not over."""

TERMS = """
INSERT INTO job_terms
SELECT job_term(terms.kind, content), owner, created_at, id
FROM jobs, LATERAL (
    SELECT 'key', key
    UNION ALL SELECT 'external_id', external_id
    UNION ALL SELECT DISTINCT 'word', word FROM unnest(string_to_array(translate(key, '/.', '  '), ' ')) AS word
    UNION ALL SELECT 'metadata', jsonb_build_object(name, value)::text FROM jsonb_each(metadata) AS pair (name, value)
) AS terms (kind, content)
"""
"""As the trigger has it, and several times as fast for these keys."""

INDEXES = """
SELECT indexname AS name, indexdef AS definition FROM pg_indexes
WHERE tablename = 'jobs' AND indexname NOT IN (SELECT conname FROM pg_constraint)
"""
"""Made anew when all rows are there."""

DEEP = datetime(2026, 1, 6, tzinfo=UTC)

FILTERS: dict[str, JobFilter] = {
    "no filter": JobFilter(),
    "status, usual": JobFilter(status=JobStatus.COMPLETED),
    "status, rare": JobFilter(status=JobStatus.FAILED),
    "status, all of them long ago": JobFilter(status=JobStatus.CANCELLED),
    "stage": JobFilter(stage=Stage.PACKAGING),
    "external_id": JobFilter(external_id="order-4711"),
    "key": JobFilter(key="news/film 400 part 1.mp4"),
    "a word that a third of them have": JobFilter(q="holiday"),
    "a word that one of them has": JobFilter(q="777777"),
    "two words": JobFilter(q="sport 3"),
    "metadata, one in a thousand": JobFilter(metadata={"tenant": "tenant-77"}),
    "metadata, all of them long ago": JobFilter(metadata={"kind": "rare"}),
    "metadata and status": JobFilter(metadata={"tenant": "tenant-77"}, status=JobStatus.COMPLETED),
    "metadata and a time": JobFilter(metadata={"tenant": "tenant-77"}, until=DEEP),
    "a time": JobFilter(until=DEEP),
}


@asynccontextmanager
async def filled(count: int) -> AsyncIterator[str]:
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        postgres = EmbeddedPostgres(Path(folder))
        dsn = await postgres.start()
        try:
            await apply_migrations(dsn)
            connection = await asyncpg.connect(dsn, command_timeout=1200)
            await connection.execute("SET maintenance_work_mem = '512MB'")
            await connection.execute("INSERT INTO owners (id) VALUES ('alice'), ('bob')")
            await connection.execute("ALTER TABLE jobs DISABLE TRIGGER USER")
            indexes = await connection.fetch(INDEXES)
            for index in indexes:
                await connection.execute(f"DROP INDEX {index['name']}")
            await connection.execute(FILL, count)
            await connection.execute("ALTER TABLE job_terms DROP CONSTRAINT job_terms_pkey")
            await connection.execute(TERMS)
            await connection.execute("ALTER TABLE job_terms ADD PRIMARY KEY (term, owner, created_at, job_id)")
            for index in indexes:
                await connection.execute(index["definition"])
            await connection.execute("ALTER TABLE jobs ENABLE TRIGGER USER")
            await connection.execute("VACUUM ANALYZE jobs, job_terms")
            await connection.close()
            yield dsn
        finally:
            await postgres.stop()


async def pages(jobs: Jobs, wanted: JobFilter) -> list[float]:
    """Milliseconds of each of the first pages."""
    took, after = [], None
    for _ in range(PAGES):
        began = time.perf_counter()
        page = await jobs.of(ALICE).newest(LIMIT, wanted, after=after)
        took.append((time.perf_counter() - began) * 1000)
        if len(page) < LIMIT:
            break
        after = (page[-1].created_at, page[-1].id)
    return took


async def measure(dsn: str) -> list[float]:
    database = await Database.open(dsn)
    assert database.is_isolated
    jobs, all_of_them = Jobs(database), []
    try:
        for name, wanted in FILTERS.items():
            took = [each for _ in range(ROUNDS) for each in await pages(jobs, wanted)]
            all_of_them += took
            report.number(f"{name}: p95 of {len(took)} pages", p95(took), "ms", bar=BAR_MS)
    finally:
        await database.close()
    return all_of_them


def p95(took: list[float]) -> float:
    return statistics.quantiles(took, n=20)[-1] if len(took) > 1 else took[0]


async def explain(dsn: str) -> None:
    """What PostgreSQL does inside of find_jobs(), as a caller."""
    connection = await asyncpg.connect(dsn)
    connection.add_log_listener(lambda _, message: print(message.message))
    for setting in (
        "LOAD 'auto_explain'", "SET auto_explain.log_min_duration = 0", "SET auto_explain.log_nested_statements = on",
        "SET auto_explain.log_analyze = on", "SET auto_explain.log_timing = off", "SET client_min_messages = log",
    ):  # fmt: skip
        await connection.execute(setting)
    for name, wanted in FILTERS.items():
        asked = json.dumps(wanted.model_dump(mode="json", exclude_none=True))
        print(f"── {name}")
        async with connection.transaction():
            await connection.execute("SET LOCAL ROLE streamforge_caller; SET LOCAL streamforge.owner = 'alice'")
            found: Any = await connection.fetch("SELECT id FROM find_jobs($1, $2, $3)", ALICE, asked, LIMIT)
        print(f"   {len(found)} rows")
    await connection.close()


async def run() -> None:
    report.machine()
    async with filled(JOBS) as dsn:
        took = await measure(dsn)
        report.number(f"GET /jobs of {JOBS:,} jobs, all filters, p95", p95(took), "ms", bar=BAR_MS)
        if "explain" in sys.argv:
            await explain(dsn)


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
