"""An installation with a completed job and one in flight, and where its backups are restored."""

import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from factories import COMPLETED, PROCESSING, accepted, run_sql

from streamforge.backup import making, restoring
from streamforge.backup.folder import Receipt
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog
from streamforge.settings import Settings
from streamforge.storage import layout, open_storage
from streamforge.storage.ownership import claim

Restore = Callable[[Path], Awaitable[restoring.Restored]]

SEGMENT, MANIFEST = b"a segment", b"#EXTM3U"


@dataclass(frozen=True)
class Stocked:
    settings: Settings
    completed: UUID
    unfinished: UUID

    async def backup(self, target: Path, earlier: Path | None = None, *, with_bucket: bool = False) -> Receipt:
        return await making.make(making.plan_of(self.settings, target, earlier, with_bucket, lambda _: None))

    @property
    def objects(self) -> set[str]:
        """What belongs into a backup: all but the mark of whose store it is."""
        return {
            layout.original(self.completed),
            layout.output(self.completed, "360p/0.m4s"),
            layout.output(self.completed, "master.m3u8"),
            layout.output(self.completed, "result.json"),
            layout.original(self.unfinished),
            layout.output(self.unfinished, "360p/0.m4s"),
            layout.work_record(self.unfinished, "chunk-0"),
        }


async def stock(settings: Settings, jobs: Jobs, events: EventLog) -> Stocked:
    made = Stocked(settings, await accepted(jobs, key="done.mp4"), await accepted(jobs, key="under way.mp4"))
    for job_id in (made.completed, made.unfinished):
        await events.append(job_id, PROCESSING)
        await jobs.mark_launched(job_id)
    await events.append(made.completed, COMPLETED)
    store = open_storage(settings)
    await claim(store, await jobs.installation())
    contents = {"360p/0.m4s": SEGMENT, "master.m3u8": MANIFEST}
    for name in made.objects:
        await store.put_bytes(name, contents.get(name.split("/", 2)[2], b"{}"))
    await store.put_bytes(layout.output(made.completed, "result.json"), _result(made.completed, contents))
    return made


def _result(job_id: UUID, contents: dict[str, bytes]) -> bytes:
    files = {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in contents.items()
    }
    return json.dumps({"job_id": str(job_id), "files": files}).encode()


async def rows_of(dsn: str) -> list[tuple[object, ...]]:
    """All that jobs are and have told, but for what a restore changes."""
    jobs = await run_sql(dsn, "SELECT id, key, status, stage, progress, event_seq FROM jobs ORDER BY id")
    events = await run_sql(dsn, "SELECT job_id, seq, owner_seq, event, message FROM progress_events ORDER BY id")
    return [tuple(row) for row in [*jobs, *events]]


def files_of(root: Path) -> dict[str, bytes]:
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}
