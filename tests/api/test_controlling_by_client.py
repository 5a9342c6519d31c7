"""The client and the command line change jobs: what `curl` can, they can."""

import asyncio
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
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
    assert str(job_id) in cancelled.stdout
    assert (await api.job(job_id))["status"] == "cancelled"


async def test_the_command_line_tells_programs_what_the_api_says(
    api: Api, jobs: Jobs, events: EventLog, database: Database, tmp_path: Path
) -> None:
    job_id, done = UUID(await api.post_ok(key="a film.mp4")), await accepted(jobs, key="done.mp4")
    await events.append(done, COMPLETED)
    await Beats(database, "7@here", "here", "0.1.0", datetime.now(UTC)).tell(AboutWorker(cores=4))
    film = tmp_path / "film.mp4"
    film.write_bytes(b"some bytes")

    async def told(*arguments: str) -> list[dict[str, Any]]:
        command = [*arguments, "--json", "--url", api.url]
        result = await asyncio.to_thread(
            CliRunner().invoke, app, command, env={"XDG_STATE_HOME": str(tmp_path)}, catch_exceptions=False
        )
        assert result.exit_code == 0, result.output
        # The server, which runs in this process, logs to the same output.
        return [json.loads(line) for line in result.stdout.splitlines() if line.startswith("{")]

    [job] = await told("job", str(job_id))
    assert job["key"] == "a film.mp4"
    assert [each["id"] for each in await told("jobs", "--find", "film")] == [str(job_id)]
    assert (await told("pause", str(job_id)))[0]["paused_at"]
    assert not (await told("resume", str(job_id)))[0]["paused_at"]
    [changed] = await told("change", str(job_id), "--priority", "1", "--metadata", '{"a": 1}', "--legal-hold")
    assert (changed["priority"], changed["metadata"], changed["legal_hold"]) == (1, {"a": 1}, True)
    [changed] = await told("change", str(job_id), "--metadata", "null", "--no-legal-hold")
    assert (changed["metadata"], changed["legal_hold"]) == (None, False)
    [made] = await told("reprocess", str(job_id), "--priority", "2")
    assert (await api.job(made["job_id"]))["priority"] == 2
    assert (await told("queue"))[0]["unfinished"] == 2
    assert (await told("usage"))[0]["owner"] == "everyone"
    assert (await told("workers"))[0]["id"] == "7@here"
    assert (await told("worker", "drain", "7@here"))[0]["draining"]
    (api.settings.data_dir / "logs").mkdir(exist_ok=True)
    line = {"timestamp": "2026-11-28T10:00:00Z", "level": "info", "process": "api", "event": "x", "job_id": str(job_id)}
    (api.settings.data_dir / "logs" / "api-9.jsonl").write_text(json.dumps(line) + "\n")
    assert await told("logs", str(job_id)) == [line]
    assert (await told("cancel", str(job_id)))[0]["status"] == "cancelled"
    assert await told("cancel", str(job_id), "--purge") == [{"job_id": str(job_id), "purged": True}]
    for how in ([], ["--resumable"]):
        [sent] = await told("submit", str(film), *how, "--key", f"sent {how}")
        assert (await api.job(sent["job_id"]))["key"] == f"sent {how}"
    [batch] = await told("submit", str(film), str(film))
    assert len(batch["jobs"]) == 2
    assert [event["event"] for event in await told("watch", str(done))][-1] == "done"


async def test_the_queue_is_shown_to_people_as_lines(api: Api) -> None:
    shown = await asyncio.to_thread(CliRunner().invoke, app, ["queue", "--url", api.url])
    assert re.search(r"^unfinished +0$", shown.stdout, re.MULTILINE)
    assert re.search(r"^seconds_each +–$", shown.stdout, re.MULTILINE)
