"""`POST /jobs/bulk`: each job is answered as if it had been asked for alone."""

from typing import Any
from uuid import UUID, uuid4

from factories import COMPLETED, FAILED, accepted
from serving import Api, assert_problem

from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog


async def asked(api: Api, action: str, **body: Any) -> dict[str, tuple[int, str | None]]:
    answered = await api.http.post("/jobs/bulk", json={"action": action, **body})
    assert answered.status_code == 200, answered.text
    return {each["job_id"]: (each["status"], each["code"]) for each in answered.json()["results"]}


async def test_each_job_has_its_own_answer(api: Api, rows: Jobs, events: EventLog) -> None:
    waiting, done = str(await accepted(rows)), str(await accepted(rows))
    await events.append(UUID(done), COMPLETED)
    nobodys = str(uuid4())
    ids = [nobodys, done, waiting]
    for action in ("pause", "resume", "cancel"):
        assert await asked(api, action, ids=ids) == {
            nobodys: (404, "job.not_found"), done: (409, "job.already_over"), waiting: (202, None),
        }  # fmt: skip
    assert (await api.job(waiting))["status"] == "cancelled"
    assert await asked(api, "change", ids=ids, change={"metadata": {"a": 1}}) == {
        nobodys: (404, "job.not_found"), done: (200, None), waiting: (200, None),
    }  # fmt: skip
    assert (await asked(api, "retry", ids=[done]))[done] == (409, "job.cannot_be_retried")
    assert await asked(api, "purge", ids=[done, waiting]) == {done: (204, None), waiting: (204, None)}
    assert_problem(await api.http.get(f"/jobs/{done}"), 404, "job.not_found")


async def test_jobs_can_be_named_by_what_finds_them(api: Api, rows: Jobs, events: EventLog) -> None:
    of_acme = {str(await accepted(rows, metadata={"tenant": "acme"})) for _ in range(2)}
    other = await accepted(rows, metadata={"tenant": "other"})
    assert (await asked(api, "cancel", filter={"metadata": {"tenant": "acme"}})).keys() == of_acme
    assert (await api.job(other))["status"] == "pending"
    await events.append(other, FAILED)
    assert await asked(api, "purge", filter={"status": "failed"}) == {str(other): (204, None)}


async def test_others_are_made_of_several_videos(api: Api, events: EventLog) -> None:
    ids = [await api.post_ok(), await api.post_ok()]
    answered = await api.http.post(
        "/jobs/bulk",
        json={"action": "reprocess", "ids": ids, "options": {"profile": "hevc"}},
        headers={"Idempotency-Key": "again"},
    )
    made = [each["made"] for each in answered.json()["results"]]
    assert len({*ids, *made}) == 4
    assert [(await api.job(job_id))["profile"] for job_id in made] == ["hevc", "hevc"]


async def test_what_makes_no_sense_is_refused_before_anything_is_done(api: Api, rows: Jobs) -> None:
    job_id = str(await accepted(rows))
    for body in (
        {}, {"action": "cancel"}, {"action": "cancel", "ids": []}, {"action": "cancel", "ids": ["42"]},
        {"action": "cancel", "ids": [job_id], "filter": {"status": "failed"}}, {"action": "cancel", "filter": {}},
        {"action": "sing", "ids": [job_id]}, {"action": "change", "ids": [job_id]},
        {"action": "cancel", "ids": [job_id], "from": "packaging"}, {"action": "cancel", "ids": [job_id] * 101},
        {"action": "change", "ids": [job_id], "change": {"priority": 9}},
    ):  # fmt: skip
        assert_problem(await api.http.post("/jobs/bulk", json=body), 400, "request.invalid_field")
    assert (await api.job(job_id))["status"] == "pending"


async def test_a_filter_that_cannot_be_kept_as_it_is_finds_nothing_else_in_its_place(api: Api, rows: Jobs) -> None:
    """NaN and Infinity were looked for as null, and text with a NUL as that without it."""
    job_id = await accepted(rows, key="clip.mp4", external_id="x", metadata={"a": None, "b": "x"})
    for unkept in (
        '{"metadata": {"a": NaN}}', '{"metadata": {"a": -Infinity}}', '{"metadata": {"a": 1e400}}',
        r'{"metadata": {"b": "x\u0000"}}', r'{"metadata": {"b\u0000": "x"}}', r'{"key": "clip\u0000.mp4"}',
        r'{"external_id": "x\u0000"}',
    ):  # fmt: skip
        body = f'{{"action": "cancel", "filter": {unkept}}}'
        answered = await api.http.post("/jobs/bulk", content=body, headers={"Content-Type": "application/json"})
        assert_problem(answered, 400, "request.invalid_field")
    assert (await api.job(str(job_id)))["status"] == "pending"
