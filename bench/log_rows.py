"""Rows per second into the log."""

import asyncio
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from streamforge.contracts.ids import new_job_id, workflow_id
from streamforge.db.jobs import Jobs, NewJob
from streamforge.db.migrations import apply_migrations
from streamforge.embedded.postgres import EmbeddedPostgres


@contextmanager
def postgres() -> Iterator[str]:
    """A server of our own, as `streamforge up` runs it, with the schema."""
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        dsn = asyncio.run(server.start())
        try:
            asyncio.run(apply_migrations(dsn))
            yield dsn
        finally:
            asyncio.run(server.stop())


async def new_job(jobs: Jobs) -> UUID:
    job_id = new_job_id()
    job = NewJob(
        id=job_id,
        key="bench.mp4",
        workflow_id=workflow_id("bench.mp4", job_id),
        source_object="none",
        size_bytes=1,
        source_sha256="0" * 64,
    )
    await jobs.create(job, progress=5, message="File received")
    return job_id
