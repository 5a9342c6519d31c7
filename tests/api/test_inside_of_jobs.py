"""`/jobs/<id>/chunks` and `/jobs/<id>/logs`."""

import json
from pathlib import Path
from uuid import UUID

from factories import FAILED, accepted, run_sql
from serving import Api, assert_problem

from streamforge.db.chunks import ChunkBegun, ChunkDone, Chunks
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog


def begun(job_id: UUID, chunk: int, *, attempt: int = 1, worker: str = "7@here") -> ChunkBegun:
    return ChunkBegun(
        job_id=job_id, chunk=chunk, start=4.0 * chunk, end=4.0 * chunk + 4, renditions=["480p"], attempt=attempt,
        worker=worker,
    )  # fmt: skip


DONE = ChunkDone(frames=100, size_bytes=5000, vmaf={"480p": 91.5}, segments={"480p": ["0.m4s"]})


async def test_each_chunk_says_how_far_it_is_who_works_on_it_and_what_it_came_to(
    api: Api, rows: Jobs, events: EventLog, database: Database
) -> None:
    chunks, job_id = Chunks(database), await accepted(rows)
    await chunks.plan(job_id, [(0, 4), (4, 8), (8, None)])
    await chunks.begin(begun(job_id, 0))
    await chunks.end(begun(job_id, 0), DONE)
    await chunks.begin(begun(job_id, 1))
    await chunks.begin(begun(job_id, 1, attempt=2, worker="8@there"))
    page = (await api.http.get(f"/jobs/{job_id}/chunks")).raise_for_status().json()
    assert [(each["index"], each["start"], each["end"], each["state"]) for each in page["chunks"]] == [
        (0, 0.0, 4.0, "done"), (1, 4.0, 8.0, "running"), (2, 8.0, None, "waiting"),
    ]  # fmt: skip
    [done], [running] = page["chunks"][0]["parts"], page["chunks"][1]["parts"]
    assert (done["frames"], done["bytes"], done["vmaf"]) == (100, 5000, {"480p": 91.5})
    assert done["segments"] == {"480p": [f"/media/{job_id}/480p/0.m4s"]}
    assert done["seconds"] >= 0
    assert (running["attempts"], running["worker"], running["seconds"]) == (2, "8@there", None)
    first = (await api.http.get(f"/jobs/{job_id}/chunks?limit=2")).json()
    assert (len(first["chunks"]), first["next"]) == (2, 2)
    rest = (await api.http.get(f"/jobs/{job_id}/chunks?limit=2&after=2")).json()
    assert ([each["index"] for each in rest["chunks"]], rest["next"]) == ([2], None)
    none = (await api.http.get(f"/jobs/{job_id}/chunks?limit=500&after={2**31 - 1}")).json()
    assert none["chunks"] == []
    await events.append(job_id, FAILED)
    page = (await api.http.get(f"/jobs/{job_id}/chunks")).json()
    assert page["chunks"][1]["state"] == "stopped"


async def test_another_plan_takes_the_place_of_the_first(
    api: Api, rows: Jobs, database: Database, database_dsn: str
) -> None:
    chunks, job_id = Chunks(database), await accepted(rows)
    await chunks.plan(job_id, [(0, 4), (4, 8), (8, None)])
    await chunks.begin(begun(job_id, 1))
    await chunks.plan(job_id, [(0, None)])
    page = (await api.http.get(f"/jobs/{job_id}/chunks")).json()
    assert [(each["index"], each["end"], each["parts"]) for each in page["chunks"]] == [(0, None, [])]
    await run_sql(database_dsn, "DELETE FROM jobs")
    await chunks.begin(begun(job_id, 0))
    assert await run_sql(database_dsn, "SELECT FROM job_chunks") == []


async def test_addresses_of_segments_are_signed_where_the_stream_is(api: Api, rows: Jobs, database: Database) -> None:
    chunks, job_id = Chunks(database), await accepted(rows, playback="signed")
    await chunks.begin(begun(job_id, 0))
    await chunks.end(begun(job_id, 0), DONE)
    for ask in (api.http.get, lambda path: api.http.post(f"{path}/refresh")):
        page = (await ask(f"/jobs/{job_id}/chunks")).raise_for_status().json()
        [address] = page["chunks"][0]["parts"][0]["segments"]["480p"]
        assert page["expires_at"] is not None
        assert address.startswith(f"/media/{job_id}/~1-")
        # Signed for this very folder: what is missing is only the file.
        assert_problem(await api.http.get(address), 404, "media.not_found")
        assert_problem(await api.http.get(address.replace("~1-", "~1-9")), 403, "playback.refused")


async def test_the_logs_of_a_job_are_its_lines_of_all_processes_in_order(api: Api, rows: Jobs) -> None:
    job_id, other = await accepted(rows), await accepted(rows)
    folder = Path(api.settings.data_dir) / "logs"
    folder.mkdir(parents=True, exist_ok=True)

    def say(process: str, second: int, event: str, level: str = "info", job: UUID = job_id) -> str:
        fields = {"timestamp": f"2026-11-28T10:00:{second:02}.000000Z", "level": level, "process": process,
                  "event": event, "job_id": str(job), "path": "/secret"}  # fmt: skip
        return json.dumps(fields) + "\n"

    (folder / "api-9.jsonl").write_text(say("api", 1, "accepted") + say("api", 3, "asked", "debug"))
    (folder / "worker-9.jsonl").write_text(say("worker", 2, "encoding", "warning") + say("worker", 4, "x", job=other))

    async def told(query: str = "") -> list[str]:
        page = (await api.http.get(f"/jobs/{job_id}/logs{query}")).raise_for_status().json()
        return [line["event"] for line in page["lines"] if line["timestamp"].startswith("2026-11-28T10:00")]

    assert await told() == ["accepted", "encoding", "asked"]
    assert await told("?level=info") == ["accepted", "encoding"]
    assert await told("?since=2026-11-28T10:00:02Z") == ["encoding", "asked"]
    assert_problem(await api.http.get(f"/jobs/{job_id}/logs?level=loud"), 400, "request.invalid_field")
