"""The client and the command line change jobs: what `curl` can, they can."""

import asyncio
import json
from datetime import UTC, datetime
from uuid import UUID

import pytest
from click.testing import Result
from factories import COMPLETED, FAILED, accepted
from serving import Api
from typer.testing import CliRunner

from streamforge.cli import app
from streamforge.client import RequestRefused, StreamForgeClient
from streamforge.contracts.worker_view import AboutWorker
from streamforge.db.chunks import ChunkBegun, Chunks
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.db.workers import Beats
from streamforge.events.log import EventLog


async def test_everything_that_can_be_done_with_a_job(
    api: Api, jobs: Jobs, events: EventLog, database: Database
) -> None:
    job_id = UUID(await api.post_ok(key="a film.mp4"))
    other = await accepted(jobs)
    await Chunks(database).begin(
        ChunkBegun(job_id=job_id, chunk=0, start=0, end=None, renditions=["480p"], attempt=1, worker="1@here")
    )
    async with StreamForgeClient(api.url) as client:
        assert (await client.pause(job_id)).paused_at is not None
        assert (await client.resume(job_id)).paused_at is None
        assert (await client.change(job_id, priority=1, metadata={"a": 1})).priority == 1
        assert [job.id for job in (await client.find(q="film")).jobs] == [job_id]
        page = await client.find(limit=1)
        assert [job.id for job in (await client.find(limit=1, cursor=page.next_cursor)).jobs] == [job_id]
        assert (await client.chunks(job_id)).chunks[0].parts[0].worker == "1@here"
        assert isinstance(await client.logs(job_id), list)
        assert (await client.queue())["unfinished"] == 2
        made = await client.reprocess(job_id, priority=2)
        assert (await client.job(made)).priority == 2
        await client.cancel(other)
        await events.append(job_id, COMPLETED)
        with pytest.raises(RequestRefused, match="Only a job that failed"):
            await client.retry(job_id)
        await client.purge(job_id)
        with pytest.raises(RequestRefused, match="no such job"):
            await client.job(job_id)


async def test_the_command_line_does(api: Api, jobs: Jobs, events: EventLog, database: Database) -> None:
    job_id, failed = await accepted(jobs, key="a film.mp4"), await accepted(jobs, key="broken.mp4")
    await events.append(failed, FAILED)
    await Beats(database, "7@here", "here", "0.1.0", datetime.now(UTC)).tell(AboutWorker(cores=4))

    async def run(*arguments: str) -> Result:
        return await asyncio.to_thread(CliRunner().invoke, app, [*arguments, "--url", api.url])

    listed, as_json = await run("jobs", "--status", "failed"), await run("jobs", "--find", "film", "--json")
    workers, drained = await run("workers"), await run("worker", "drain", "7@here")
    refused = await run("retry", str(failed), "--from", "packaging")
    assert str(failed) in listed.stdout
    assert "input.not_a_video: The file is not a video." in listed.stdout
    assert json.loads(as_json.stdout.splitlines()[-1])["id"] == str(job_id)
    assert "7@here  0.1.0  4 cores" in workers.stdout
    assert drained.stdout.endswith("7@here takes no more work; it runs 0 activities.\n")
    assert isinstance(refused.exception, RequestRefused)
    cancelled = await run("cancel", str(job_id))
    assert cancelled.exit_code == 0
    assert (await api.job(job_id))["status"] == "cancelled"
