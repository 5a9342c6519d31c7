"""The minutes of film that an owner may have processed in a month."""

import pytest
from clips import Clips
from factories import run_sql
from serving import assert_problem
from system import System

from streamforge.settings import LimitsSettings, Settings


@pytest.fixture
def settings(settings: Settings, database_dsn: str) -> Settings:
    return settings.model_copy(update={"limits": LimitsSettings(minutes_per_month=1)})


async def use(system: System, seconds: float) -> None:
    dsn = str(system.api.settings.database.dsn)
    month = "date_trunc('month', now() AT TIME ZONE 'UTC')"
    await run_sql(dsn, f"INSERT INTO months_of_film VALUES ('everyone', {month}, $1)", seconds)


async def minutes(system: System) -> dict[str, float]:
    usage = (await system.api.http.get("/usage")).raise_for_status().json()
    return dict(usage["minutes_this_month"])


async def test_a_film_that_is_too_long_for_the_month_fails_and_a_shorter_one_does_not(
    system: System, clips: Clips
) -> None:
    await use(system, 57.0)
    too_long = await system.process(clips.small)
    error = too_long.job["error"]
    assert (too_long.job["status"], error["code"], error["fault"]) == ("failed", "limits.minutes_exceeded", "caller")
    assert error["message"] == (
        "The film is 0.07 minutes long, and 0.95 of the 1 minutes that you may have processed in a month (UTC) are used up "
        "or being processed."
    )
    assert (await minutes(system))["used"] == 0.95
    short = await system.process(clips.hdr10)
    assert short.job["status"] == "completed"
    left = await minutes(system)
    assert (left["used"], left["limit"], left["left"]) == (0.98, 1, 0.02)
    assert 0 < left["resets_in_seconds"] <= 31 * 86_400


async def test_when_they_are_used_up_nothing_is_taken_until_the_month_ends(system: System) -> None:
    await use(system, 60.0)
    left = await minutes(system)
    refused = await system.api.post()
    assert_problem(refused, 429, "limits.minutes")
    assert 0 <= left["resets_in_seconds"] - int(refused.headers["retry-after"]) < 60
    assert_problem(
        await system.api.http.post("/batches", files=[("video", ("a.mp4", b"bytes"))]), 429, "limits.minutes"
    )
