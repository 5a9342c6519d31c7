"""The database file of an embedded Temporal, copied while its server writes; and whether anybody works on another one."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.service import RPCError

from streamforge.backup.folder import private
from streamforge.contracts import names
from streamforge.embedded.temporal import DATABASE
from streamforge.errors import BackupFailed, RestoreRefused, TemporalUnavailable
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect
from streamforge.temporal.deployments import builds_at_work

FOLDER = "temporal"
LOCK_SECONDS = 60.0
RPC_TIMEOUT = timedelta(seconds=10)
RUNNING_JOBS = f"WorkflowType = '{names.PROCESS_VIDEO}' AND ExecutionStatus = 'Running'"


def database_of(data_dir: Path) -> Path:
    return data_dir / FOLDER / DATABASE


def copy_database(source: Path, target: Path) -> None:
    """As of one moment: SQLite's own backup, in one step, so that its server only waits. Raises BackupFailed."""
    try:
        with (
            closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True, timeout=LOCK_SECONDS)) as reading,
            closing(sqlite3.connect(private(target))) as writing,
        ):
            reading.backup(writing)
            [(said,)] = writing.execute("PRAGMA quick_check(1)").fetchall()
    except sqlite3.Error as error:
        raise BackupFailed(f"Temporal's database could not be copied: {error}.", debug=str(source)) from error
    if said != "ok":
        raise BackupFailed(f"Temporal's database is damaged: {said}.", debug=str(source))


async def end_jobs(settings: TemporalSettings) -> int:
    """Of a cluster that knows other workflows than the backup: none of them may go on, since each takes for done what the
    restored store lacks. How many ran. Raises RestoreRefused while somebody works there, TemporalUnavailable."""
    client = await connect(settings)
    try:
        if await builds_at_work(client):
            raise RestoreRefused(
                f"Workers have asked the Temporal at {settings.address} for work within the last three minutes: stop all "
                "workers and APIs, wait as long, and try again."
            )
        return await _terminate_all(client)
    except RPCError as error:
        raise TemporalUnavailable("Temporal does not answer.", debug=repr(error)) from error


async def _terminate_all(client: Client) -> int:
    running = [each.id async for each in client.list_workflows(RUNNING_JOBS, rpc_timeout=RPC_TIMEOUT)]
    for workflow_id in running:
        handle = client.get_workflow_handle(workflow_id)
        await handle.terminate("its database was restored from a backup", rpc_timeout=RPC_TIMEOUT)
    return len(running)
