"""`PATCH` and `DELETE` of a job, pause and resume: what is promised is done, whatever is away meanwhile."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid4

from factories import CANCELLED, COMPLETED, PROCESSING, accepted, run_sql
from leftovers import end_workflows
from serving import Api, assert_problem, serving
from temporalio.client import Client

from streamforge.api.purges import Purges
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.events.log import EventLog
from streamforge.settings import Settings, TemporalSettings
from streamforge.storage import layout, open_storage

JSON = {"Content-Type": "application/json"}


async def patched(api: Api, job_id: object, **change: object) -> dict[str, object]:
    answered = await api.http.patch(f"/jobs/{job_id}", json=change)
    assert answered.status_code == 200, answered.text
    return dict(answered.json())


# ── changing ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_priority_metadata_and_how_long_it_is_kept_can_be_changed(api: Api, rows: Jobs) -> None:
    first, job_id = await accepted(rows), await accepted(rows, metadata={"a": 1}, external_id="x")
    assert (await api.job(job_id))["queue_position"] == 1
    job = await patched(api, job_id, priority=1, metadata={"b": 2})
    assert (job["priority"], job["metadata"], job["external_id"], job["queue_position"]) == (1, {"b": 2}, "x", 0)
    assert (await api.http.get("/jobs", params={"metadata": '{"b": 2}'})).json()["jobs"][0]["id"] == str(job_id)
    assert (await api.http.get("/jobs", params={"metadata": '{"a": 1}'})).json()["jobs"] == []
    until = (datetime.now(UTC) + timedelta(days=30)).replace(microsecond=0)
    job = await patched(api, job_id, retain_until=until.isoformat())
    assert datetime.fromisoformat(str(job["retain_until"])) == until
    job = await patched(api, job_id, retain_until=None, metadata=None)
    assert (job["retain_until"], job["metadata"], job["priority"]) == (None, None, 1)
    assert (await api.job(first))["queue_position"] == 1


async def test_what_makes_no_sense_is_refused_by_its_name(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    for body, word in (
        ({}, "nothing is to change"), ({"priority": 6}, "`priority`"), ({"priority": "1"}, "`priority`"),
        ({"metadata": [1]}, "`metadata`"), ({"retain_until": "2020-01-01T00:00:00Z"}, "future"),
        ({"retain_until": "9999-12-31T00:00:00Z"}, "hundred years"), ({"colour": 1}, "no field `colour`"),
        ({"metadata": {"x": "\u0000"}}, "NUL"),
    ):  # fmt: skip
        refused = await api.http.patch(f"/jobs/{job_id}", json=body)
        assert_problem(refused, 400, "request.invalid_field")
        assert word in refused.json()["detail"]
    assert_problem(await api.http.patch(f"/jobs/{job_id}", content=b"{", headers=JSON), 400, "request.invalid_field")
    assert_problem(await api.http.patch(f"/jobs/{job_id}", content=b" " * 70_000), 400, "request.invalid_field")
    assert_problem(await api.http.patch(f"/jobs/{uuid4()}", json={"priority": 1}), 404, "job.not_found")
    await events.append(job_id, COMPLETED)
    assert_problem(await api.http.patch(f"/jobs/{job_id}", json={"priority": 1}), 409, "job.already_over")
    assert (await patched(api, job_id, metadata={"late": True}))["metadata"] == {"late": True}


# ── removing ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_job_that_is_over_goes_at_once_with_its_media(api: Api, events: EventLog) -> None:
    job_id, other = await api.post_ok(), await api.post_ok()
    await events.append(UUID(job_id), COMPLETED)
    assert_problem(await api.http.delete(f"/jobs/{job_id}"), 409, "job.already_over")
    assert (await api.http.delete(f"/jobs/{job_id}?purge=true")).status_code == 204
    assert_problem(await api.http.get(f"/jobs/{job_id}"), 404, "job.not_found")
    assert api.stored == [layout.original(UUID(other))]


async def test_a_job_that_the_launcher_removes_first_is_gone_for_who_asked_as_well(
    settings: Settings, rows: Jobs, events: EventLog
) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, COMPLETED)
    job = await rows.of(EVERYONE).get(job_id)
    assert job is not None
    purges = Purges(rows, open_storage(settings))
    assert await asyncio.gather(purges.do(job), purges.do(job)) == [True, True]


async def test_a_job_that_waits_is_cancelled_and_goes(api: Api) -> None:
    job_id = await api.post_ok()
    assert (await api.http.delete(f"/jobs/{job_id}?purge=true")).status_code == 204
    assert_problem(await api.http.delete(f"/jobs/{job_id}?purge=true"), 404, "job.not_found")
    assert api.stored == []


async def test_a_job_that_runs_goes_as_soon_as_it_is_over(api: Api, rows: Jobs, events: EventLog) -> None:
    """Temporal is away: nobody can be told yet, and the promise holds."""
    job_id = UUID(await api.post_ok())
    await rows.mark_launched(job_id)
    await events.append(job_id, PROCESSING)
    promised = await api.http.delete(f"/jobs/{job_id}?purge=true")
    assert (promised.status_code, promised.json()["status"]) == (202, "processing")
    assert await events.append(job_id, COMPLETED) is None, "it can only be cancelled now"
    await rows.mark_cancel_told(job_id)
    await events.append(job_id, CANCELLED)
    async with asyncio.timeout(30):
        while (await api.http.get(f"/jobs/{job_id}")).status_code != 404:
            await asyncio.sleep(0.05)
    assert api.stored == []


async def test_under_legal_hold_nothing_goes(api: Api, rows: Jobs, events: EventLog, database_dsn: str) -> None:
    job_id = UUID(await api.post_ok())
    await events.append(job_id, COMPLETED)
    assert (await patched(api, job_id, legal_hold=True))["legal_hold"] is True
    assert_problem(await api.http.delete(f"/jobs/{job_id}?purge=true"), 409, "job.held")
    await run_sql(database_dsn, "UPDATE jobs SET completed_at = now() - interval '10 years'")
    assert await rows.expired(datetime.now(UTC)) == []
    assert await rows.delete([job_id]) == []
    await patched(api, job_id, legal_hold=False)
    assert await rows.expired(datetime.now(UTC)) == [job_id]


async def test_a_job_is_kept_as_long_as_it_was_asked_for(rows: Jobs, events: EventLog, database_dsn: str) -> None:
    longer, shorter, usual = [await accepted(rows) for _ in range(3)]
    for job_id in (longer, shorter, usual):
        await events.append(job_id, COMPLETED)
    await run_sql(database_dsn, "UPDATE jobs SET completed_at = now() - interval '10 days'")
    await run_sql(database_dsn, "UPDATE jobs SET retain_until = now() + interval '1 day' WHERE id = $1", longer)
    await run_sql(database_dsn, "UPDATE jobs SET retain_until = now() - interval '1 s' WHERE id = $1", shorter)
    assert set(await rows.expired(datetime.now(UTC) - timedelta(days=7))) == {shorter, usual}
    assert await rows.expired(datetime.now(UTC) - timedelta(days=20)) == [shorter]


# ── pausing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_paused_job_is_not_started_until_it_is_resumed(api_with_temporal: Api, rows: Jobs) -> None:
    api, job_id = api_with_temporal, await accepted(rows)
    paused = await api.http.post(f"/jobs/{job_id}/pause")
    assert paused.status_code == 202
    since = paused.json()["paused_at"]
    assert since is not None
    assert (await api.http.post(f"/jobs/{job_id}/pause")).json()["paused_at"] == since
    other = await api.post_ok()  # Wakes whoever starts workflows.
    async with asyncio.timeout(20):
        while (row := await rows.of(EVERYONE).get(UUID(other))) is None or row.launched_at is None:
            await asyncio.sleep(0.02)
    row = await rows.of(EVERYONE).get(job_id)
    assert row is not None
    assert row.launched_at is None
    resumed = await api.http.post(f"/jobs/{job_id}/resume")
    assert (resumed.status_code, resumed.json()["paused_at"]) == (202, None)
    async with asyncio.timeout(20):
        while (row := await rows.of(EVERYONE).get(job_id)) is None or row.launched_at is None:
            await asyncio.sleep(0.02)
    assert [event["message"] for event in (await api.job(job_id))["latest_events"]][:2] == [  # type: ignore[attr-defined]
        "It goes on",
        "Paused: what is being worked on comes to its end",
    ]


async def test_a_workflow_is_told_until_it_has_heard(api_with_temporal: Api, rows: Jobs, database_dsn: str) -> None:
    api = api_with_temporal
    job_id = await api.post_ok()
    assert (await api.http.post(f"/jobs/{job_id}/pause")).status_code == 202
    await patched(api, job_id, priority=1)
    async with asyncio.timeout(20):
        while await rows.to_control(10) or not await rows.of(EVERYONE).get(UUID(job_id)):
            await asyncio.sleep(0.02)
    assert (await api.http.post(f"/jobs/{job_id}/resume")).status_code == 202
    async with asyncio.timeout(20):
        while (await run_sql(database_dsn, "SELECT control_told FROM jobs"))[0]["control_told"] != 3:
            await asyncio.sleep(0.02)


async def test_what_is_over_or_about_to_be_is_not_paused(api: Api, rows: Jobs, events: EventLog) -> None:
    over, ending = await accepted(rows), await accepted(rows)
    await events.append(over, COMPLETED)
    await rows.of(EVERYONE).request_cancel(ending)
    for job_id in (over, ending):
        assert_problem(await api.http.post(f"/jobs/{job_id}/pause"), 409, "job.already_over")
        assert_problem(await api.http.post(f"/jobs/{job_id}/resume"), 409, "job.already_over")


# ── many ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_hundreds_of_queued_jobs_survive_a_restart_in_the_middle(
    settings: Settings, rows: Jobs, temporal_address: str, database_dsn: str
) -> None:
    """Some are paused, some are to be cancelled, and the API goes while it hands them over: none is lost, none comes twice."""
    with_temporal = settings.model_copy(update={"temporal": TemporalSettings(address=temporal_address)})
    await accepted(rows)
    await run_sql(
        database_dsn,
        "INSERT INTO jobs (id, key, workflow_id, source_object, size_bytes, source_sha256, options, paused_at, "
        "cancel_requested_at) SELECT gen_random_uuid(), 'a.mp4', 'many-' || gen_random_uuid(), 'input', 1, '00', options, "
        "CASE n % 10 WHEN 1 THEN now() END, CASE n % 10 WHEN 2 THEN now() END FROM jobs, generate_series(1, 249) AS n",
    )
    counts = "SELECT count(*) FILTER (WHERE launched_at IS NOT NULL) AS launched, "
    counts += "count(*) FILTER (WHERE status = 'cancelled') AS cancelled FROM jobs"

    async def until(launched: int, cancelled: int) -> None:
        async with asyncio.timeout(60):
            while True:
                [found] = await run_sql(database_dsn, counts)
                if found["launched"] >= launched and found["cancelled"] >= cancelled:
                    return
                await asyncio.sleep(0.02)

    async with serving(with_temporal):
        await until(20, 0)
    async with serving(with_temporal) as api:
        await until(200, 25)
        ids = [str(row["id"]) for row in await run_sql(database_dsn, "SELECT id FROM jobs WHERE paused_at IS NOT NULL")]
        early = "SELECT FROM jobs WHERE paused_at IS NOT NULL AND launched_at IS NOT NULL"
        assert await run_sql(database_dsn, early) == []
        answered = (await api.http.post("/jobs/bulk", json={"action": "resume", "ids": ids})).json()["results"]
        assert {each["status"] for each in answered} == {202}
        await until(225, 25)
    await end_workflows(await Client.connect(temporal_address))
