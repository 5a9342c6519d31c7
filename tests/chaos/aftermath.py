"""What must be true when the dust has settled, asked of the table, the store, Temporal and the disk directly."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from endangered import Installation
from factories import run_sql
from visitors import Visitor

from activities.support.scratch import DOOR
from streamforge.contracts import names
from streamforge.contracts.receipt import RESULT
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect

JOBS = "SELECT id, key, status, error FROM jobs ORDER BY created_at"

ORACLES = {
    "numbers of a job's events have a gap, or end elsewhere than its row says": """
        SELECT j.id, j.event_seq, count(e.seq), min(e.seq), max(e.seq) FROM jobs j LEFT JOIN progress_events e ON e.job_id = j.id
        GROUP BY j.id HAVING count(e.seq) <> j.event_seq OR min(e.seq) <> 1 OR max(e.seq) <> j.event_seq""",
    "numbers of an owner's events have a gap, or end elsewhere than their row says": """
        SELECT o.id, o.event_seq, count(e.id) FROM owners o LEFT JOIN progress_events e ON e.owner = o.id
        GROUP BY o.id HAVING count(e.id) <> o.event_seq OR max(e.owner_seq) <> o.event_seq""",
    "an append is there twice": """
        SELECT token, count(*) FROM progress_events WHERE token IS NOT NULL GROUP BY token HAVING count(*) > 1""",
    "a job ended not exactly once, or something follows its end": """
        SELECT j.id, j.status, count(e.seq), max(e.seq), j.event_seq FROM jobs j LEFT JOIN progress_events e
        ON e.job_id = j.id AND e.stage IN ('completed', 'failed', 'cancelled')
        GROUP BY j.id HAVING count(e.seq) <> 1 OR max(e.seq) <> j.event_seq""",
    "progress went back": """
        SELECT job_id, seq FROM (SELECT job_id, seq, progress, lag(progress) OVER (PARTITION BY job_id ORDER BY seq) AS before
        FROM progress_events) e WHERE progress < before""",
    "time went back in a job's log by more than a second": """
        SELECT job_id, seq FROM (SELECT job_id, seq, created_at, lag(created_at) OVER (PARTITION BY job_id ORDER BY seq) AS before
        FROM progress_events) e WHERE created_at < before - interval '1 second'""",
    "an event belongs to no job": """
        SELECT e.id FROM progress_events e LEFT JOIN jobs j ON j.id = e.job_id WHERE j.id IS NULL""",
    "the start of a job is still owed": "SELECT id FROM jobs WHERE launched_at IS NULL",
}
"""Each finds nothing."""


@dataclass(frozen=True)
class Outcome:
    """How a video ends: `error` is the stable code, `files` the digest of every file of the output."""

    status: str
    error: str | None
    files: Mapping[str, str] = field(default_factory=dict)


async def until_all_are_over(installation: Installation) -> None:
    while await run_sql(installation.up.parts.dsn, "SELECT 1 FROM jobs WHERE status IN ('pending', 'processing')"):
        await asyncio.sleep(0.2)


async def outcomes(installation: Installation) -> list[tuple[str, UUID, Outcome]]:
    """(kind, id, how it ended) of every job in the table, whether its sender ever heard of it or not."""
    rows = await run_sql(installation.up.parts.dsn, JOBS)
    return [
        (row["key"], row["id"], _outcome(installation.store, row["id"], row["status"], row["error"])) for row in rows
    ]


def _outcome(store: Path, job_id: UUID, status: str, error: str | None) -> Outcome:
    code = json.loads(error)["code"] if error else None
    return Outcome(status, code, _digests(store / "output" / str(job_id)))


def _digests(folder: Path) -> dict[str, str]:
    """Without what tells when it happened."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != RESULT]
    return {str(path.relative_to(folder)): sha256(path.read_bytes()).hexdigest() for path in files}


async def contradictions(installation: Installation) -> dict[str, list[str]]:
    """What the table says against itself."""
    found = {name: await run_sql(installation.up.parts.dsn, sql) for name, sql in ORACLES.items()}
    return {name: [str(dict(row)) for row in rows] for name, rows in found.items() if rows}


async def misheard(installation: Installation, visitor: Visitor) -> list[str]:
    """What a visitor was told twice, in disorder, or not at all. Progress that waits for a slow client may give way to
    later progress of the same stage; everything else must arrive."""
    sql = "SELECT seq, event, stage FROM progress_events WHERE job_id = $1 ORDER BY seq"
    logged = await run_sql(installation.up.parts.dsn, sql, visitor.job_id)
    told = [frame.id for frame in visitor.heard if frame.id is not None]
    last_stages = {"completed", "failed", "cancelled"}
    owed = {row["seq"] for row in logged if row["event"] != "progress" or row["stage"] in last_stages}
    wrong = []
    if told != sorted(set(told)):
        wrong.append(f"{visitor.job_id}: twice or in disorder: {told}")
    if missing := owed - set(told):
        wrong.append(f"{visitor.job_id}: never told: {sorted(missing)}")
    if invented := set(told) - {row["seq"] for row in logged}:
        wrong.append(f"{visitor.job_id}: not in the log: {sorted(invented)}")
    return wrong


async def orphans_in_store(installation: Installation) -> list[str]:
    """Files of no job, and records of work that nobody needs any more."""
    known = {str(row["id"]) for row in await run_sql(installation.up.parts.dsn, "SELECT id FROM jobs")}
    names = [path.relative_to(installation.store) for path in installation.store.rglob("*") if path.is_file()]
    in_folders = [name for name in names if len(name.parts) > 1]
    return [str(name) for name in in_folders if name.parts[0] == "work" or name.parts[1] not in known]


async def workflows_still_running(installation: Installation) -> int:
    client = await connect(TemporalSettings(address=installation.up.parts.temporal_address))
    running = await client.count_workflows(f"WorkflowType = '{names.PROCESS_VIDEO}' AND ExecutionStatus = 'Running'")
    return running.count


def left_in_scratch(installation: Installation) -> list[str]:
    """Asked when everything has stopped."""
    folders = [installation.up.data_dir / name for name in ("scratch", "uploads")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    return [str(path.relative_to(installation.up.data_dir)) for path in files if path.name != DOOR]
