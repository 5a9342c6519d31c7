"""Whole jobs over a database that refuses: they wait, lose nothing, and end truthfully."""

import itertools
from datetime import timedelta

import pytest
from clips import Clips
from factories import run_sql
from outages import read_only, until_refused
from system import System
from temporalio.common import RetryPolicy

from streamforge import retry
from workflows import policies

TRIES = 6
"""More than a defect of ours gets."""


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        policies, "RETRIES", RetryPolicy(initial_interval=timedelta(milliseconds=20), backoff_coefficient=1)
    )
    monkeypatch.setattr(retry, "backoff", lambda *_: itertools.repeat(0.01))


@pytest.fixture
def dsn(system: System) -> str:
    return str(system.api.settings.database.dsn)


async def refuse(dsn: str, sqlstate: str, times: int, condition: str = "true") -> None:
    """Of the changes of a job that meet the condition, only one in so many is taken. A sequence counts them: it is
    not rolled back."""
    await run_sql(dsn, "CREATE SEQUENCE changes")
    await run_sql(dsn, "GRANT USAGE ON SEQUENCE changes TO PUBLIC")  # Workers have rights on no more than they need.
    await run_sql(
        dsn,
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF nextval('changes') % {times} <> 0 THEN RAISE SQLSTATE '{sqlstate}'; END IF;
            RETURN new;
        END $$""",
    )
    await run_sql(
        dsn,
        f"CREATE TRIGGER refuse BEFORE UPDATE ON jobs FOR EACH ROW WHEN ({condition}) EXECUTE FUNCTION refuse()",
    )


async def test_a_database_that_turns_read_only_under_a_job_is_waited_for(
    system: System, clips: Clips, dsn: str
) -> None:
    job_id = await system.api.post_ok_with(clips.small.read_bytes())
    async with read_only(dsn):
        await until_refused(dsn, 3 * TRIES)
        ready = await system.api.http.get("/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["database"]["message"].endswith("it is read-only.")
        assert (await system.api.job(job_id))["status"] in {"pending", "processing"}
    await (await system.workflow(job_id)).result()
    assert (await system.api.job(job_id))["status"] == "completed"
    assert (await system.api.http.get("/ready")).status_code == 200


async def test_the_end_of_a_job_is_recorded_however_often_the_database_refuses_it(
    system: System, clips: Clips, dsn: str
) -> None:
    """As on a full disk: what is small still fits, and the last event does not."""
    await refuse(dsn, "53100", TRIES, "new.status = 'completed'")
    finished = await system.process(clips.small)
    assert finished.job["status"] == "completed"
    assert (await run_sql(dsn, "SELECT last_value FROM changes"))[0]["last_value"] == TRIES


async def test_a_failure_is_recorded_however_often_the_database_refuses_it(system: System, dsn: str) -> None:
    await refuse(dsn, "40P01", TRIES, "new.status = 'failed'")
    finished = await system.process(b"This is a letter." * 100)
    assert finished.job["error"]["code"] == "input.not_a_video"


async def test_a_database_that_refuses_most_of_what_it_is_told_costs_a_job_nothing_but_time(
    system: System, clips: Clips, dsn: str
) -> None:
    await refuse(dsn, "57014", 7)
    finished = await system.process(clips.small)
    assert finished.job["status"] == "completed"
    assert finished.stages == ["uploading", "transcoding", "validation", "packaging", "storage", "completed"]
    assert finished.progress == sorted(finished.progress)
