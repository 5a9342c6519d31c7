"""`GET /jobs` with filters: what a job is found by, and what it is not."""

import json
from typing import Any

from factories import COMPLETED, FAILED, PROCESSING, accepted, new_job, progress, run_sql
from serving import Api, assert_problem

from streamforge.contracts.job import Stage
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog


async def found(api: Api, **query: object) -> list[str]:
    """Keys, the newest first."""
    texts = {name: json.dumps(value) if isinstance(value, dict) else str(value) for name, value in query.items()}
    answered = await api.http.get("/jobs", params=texts)
    assert answered.status_code == 200, answered.text
    return [job["key"] for job in answered.json()["jobs"]]


async def test_by_words_of_the_key_in_any_order_and_case(api: Api, rows: Jobs) -> None:
    for key in ("Holiday_2026-07.mov", "trips/holiday 2025.mp4", "Été à Paris.mp4", "旅行.mp4"):
        await accepted(rows, key=key)
    assert await found(api, q="holiday") == ["trips/holiday 2025.mp4", "Holiday_2026-07.mov"]
    assert await found(api, q="MOV 2026 holiday") == ["Holiday_2026-07.mov"]
    assert await found(api, q="été") == ["Été à Paris.mp4"]
    assert await found(api, q="旅行") == ["旅行.mp4"]
    assert await found(api, q="holi") == [], "words are whole"
    assert await found(api, key="trips/holiday 2025.mp4") == ["trips/holiday 2025.mp4"]
    assert await found(api, key="holiday 2025.mp4") == []


async def test_by_what_its_sender_gave_it(api: Api, rows: Jobs) -> None:
    await accepted(rows, key="a", external_id="order-1", metadata={"tenant": "acme", "season": 2, "deep": {"x": 1}})
    await accepted(rows, key="b", external_id="order-2", metadata={"tenant": "acme", "season": "2", "done": True})
    await accepted(rows, key="c", metadata={"tenant": "other", "none": None})
    assert await found(api, external_id="order-1") == ["a"]
    assert await found(api, metadata={"tenant": "acme"}) == ["b", "a"]
    assert await found(api, metadata={"tenant": "acme", "season": 2}) == ["a"], "a number is no text"
    assert await found(api, metadata={"done": True}) == ["b"]
    assert await found(api, metadata={"none": None}) == ["c"]
    assert await found(api, metadata={"tenant": "acme"}, external_id="order-2", q="b") == ["b"]
    assert await found(api, metadata={"tenant": "nobody"}) == []


async def test_by_where_it_is_and_when_it_came(api: Api, rows: Jobs, events: EventLog, database_dsn: str) -> None:
    made = {key: await accepted(rows, key=key) for key in ("waits", "works", "packs", "failed", "done")}
    for key in ("works", "packs"):
        await events.append(made[key], PROCESSING)
    await events.append(made["works"], progress(30))
    await events.append(made["packs"], progress(70, stage=Stage.PACKAGING))
    await events.append(made["failed"], FAILED)
    await events.append(made["done"], COMPLETED)
    await run_sql(database_dsn, "UPDATE jobs SET created_at = '2026-01-01' WHERE key = 'waits'")
    assert await found(api, stage="transcoding") == ["works"]
    assert await found(api, stage="failed") == await found(api, status="failed") == ["failed"]
    assert await found(api, status="processing") == ["packs", "works"]
    assert await found(api, status="completed", stage="packaging") == []
    assert await found(api, until="2026-01-02T00:00:00Z") == ["waits"]
    assert await found(api, since="2026-01-01T00:00:00Z", until="2026-01-01T00:00:00Z") == []
    assert await found(api, since="2026-01-02T00:00:00Z", q="waits") == []
    assert await found(api, until="2026-01-02T00:00:00Z", q="waits") == ["waits"], "found by the time it has now"


async def test_pages_of_what_was_found_cover_all_of_it(api: Api, rows: Jobs) -> None:
    for number in range(5):
        await accepted(rows, key=f"film {number}")
        await accepted(rows, key=f"other {number}")
    seen: list[Any] = []
    query = {"limit": "2", "q": "film"}
    while True:
        page = (await api.http.get("/jobs", params=query)).json()
        seen += [job["key"] for job in page["jobs"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == [f"film {number}" for number in (4, 3, 2, 1, 0)]


async def test_what_belongs_to_somebody_else_is_not_found(api: Api, rows: Jobs) -> None:
    await rows.of("alice").create(new_job(key="film", external_id="1"), progress=5, message="File received")
    for query in ({"q": "film"}, {"key": "film"}, {"external_id": "1"}, {"status": "pending"}, {"stage": "uploading"}):
        assert await found(api, **query, owner="everyone") == []


async def test_a_job_that_is_gone_leaves_no_trace(rows: Jobs, events: EventLog, database_dsn: str) -> None:
    job_id = await accepted(rows, key="a film.mp4", external_id="1", metadata={"tenant": "acme"})
    await events.append(job_id, COMPLETED)
    assert len(await run_sql(database_dsn, "SELECT FROM job_terms")) == 6
    await rows.delete([job_id])
    assert await run_sql(database_dsn, "SELECT FROM job_terms") == []


async def test_filters_that_make_no_sense(api: Api) -> None:
    bad = [
        {"stage": "asleep"}, {"q": ""}, {"q": "- -"}, {"q": "a b c d e f g h i"}, {"metadata": "tenant:acme"},
        {"metadata": "{}"}, {"metadata": "[1]"}, {"metadata": '{"a": {"b": 1}}'}, {"since": "yesterday"},
        {"ids": "x", "q": "a"}, {"external": "1"},
    ]  # fmt: skip
    for query in bad:
        assert_problem(await api.http.get("/jobs", params=query), 400, "request.invalid_field")
