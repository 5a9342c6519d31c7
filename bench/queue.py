"""What is asked while jobs wait, with ten of them and with ten thousand: a job, its status frame, the counts of the queue, and
what is to be started next."""

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable

import asyncpg

from bench import report
from bench.listing import ALICE, filled
from streamforge.api.launcher import PAGE
from streamforge.api.queue_stats import QueueWatch
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database

JOBS = 30_000
ROUNDS = 200
FEW, MANY = 10, 10_000

WAITING = """
UPDATE jobs SET work_began_at = CASE WHEN n <= $1 THEN NULL ELSE now() END,
                launched_at = CASE WHEN n <= $1 THEN NULL ELSE now() END,
                status = CASE WHEN n <= $1 THEN 'pending' ELSE 'completed' END, completed_at = CASE WHEN n > $1 THEN now() END
FROM (SELECT id AS this, row_number() OVER (ORDER BY created_at DESC) AS n FROM jobs WHERE owner = 'alice') AS numbered
WHERE id = this
"""

Asked = Callable[[], Awaitable[object]]


async def median_ms(asked: Asked) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await asked()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def counted_ms(database: Database, clients: int) -> float:
    """How long each of so many waits who ask at once, when it has to be counted anew."""
    took = []
    for _ in range(ROUNDS // 4):
        watch = QueueWatch(database)
        began = time.perf_counter()
        await asyncio.gather(*(watch.stats(ALICE) for _ in range(clients)))
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


async def measure(dsn: str, waiting: int) -> None:
    connection, database = await asyncpg.connect(dsn), await Database.open(dsn)
    await connection.execute(WAITING, waiting)
    await connection.execute("VACUUM ANALYZE jobs")
    jobs, watch = Jobs(database), QueueWatch(database)
    last = await connection.fetchval(
        "SELECT id FROM jobs WHERE owner = 'alice' AND status = 'pending' ORDER BY created_at DESC LIMIT 1"
    )
    for what, asked in {
        "GET /jobs/<id> of the last": lambda: jobs.of(ALICE).get(last),
        "a status frame of the last": lambda: jobs.of(ALICE).state(last),
        "GET /queue/stats": lambda: watch.stats(ALICE),
        "the next jobs to start": lambda: jobs.unlaunched(PAGE),
    }.items():
        report.number(f"{what}, {waiting:,} wait, median", await median_ms(asked), "ms")
    report.number(
        f"GET /queue/stats when it is counted anew, {waiting:,} wait, 100 ask, median",
        await counted_ms(database, 100),
        "ms",
    )
    await database.close()
    await connection.close()


async def run() -> None:
    report.machine()
    for waiting in (FEW, MANY):
        async with filled(JOBS) as dsn:
            await measure(dsn, waiting)


def main() -> None:
    asyncio.run(run())


if __name__ == "__main__":
    main()
