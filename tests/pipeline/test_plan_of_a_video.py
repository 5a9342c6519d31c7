"""`POST /process?dry_run=true` through the whole system: the plan, and nothing else."""

import httpx
import pytest
from clips import BUNNY, Clips
from factories import run_sql
from serving import assert_problem
from system import System


async def dry_run(system: System, content: bytes, **fields: str) -> httpx.Response:
    files = {"video": ("clip.mp4", content, "video/mp4")}
    return await system.api.http.post("/process", params={"dry_run": "true"}, data=fields, files=files)


async def assert_nothing_kept(system: System, dsn: str) -> None:
    assert system.api.stored == []
    assert system.api.uploads == []
    assert await run_sql(dsn, "SELECT 1 FROM jobs UNION ALL SELECT 1 FROM progress_events") == []


async def test_the_plan_comes_and_nothing_is_kept(system: System, database_dsn: str) -> None:
    response = await dry_run(system, BUNNY.read_bytes())
    assert response.status_code == 200
    plan = response.json()
    assert plan["source"]["video"]["frame_count"] == 132
    assert [rendition["name"] for rendition in plan["renditions"]] == ["720p", "480p", "360p"]
    assert [(track["codec"], track["channels"]) for track in plan["audio"]] == [("aac", 2), ("aac", 6)]
    assert plan["chunks"] == {"count": 1, "first_seconds": 5.28, "longest_seconds": 5.28, "starts": [0.0]}
    assert set(plan["prediction"]) == {"cpu_seconds", "wall_seconds", "output_bytes", "cores", "uncertainty"}
    await assert_nothing_kept(system, database_dsn)


async def test_it_is_the_plan_that_a_job_would_follow(system: System, clips: Clips) -> None:
    plan = (await dry_run(system, clips.small.read_bytes())).json()
    job = (await system.process(clips.small)).job
    for planned, made in zip(plan["renditions"], job["renditions"], strict=True):
        assert {name: made[name] for name in ("name", "width", "height", "codec")}.items() <= planned.items()


async def test_it_is_planned_by_the_profile(system: System, clips: Clips) -> None:
    plan = (await dry_run(system, clips.small.read_bytes(), profile="av1")).json()
    assert {rendition["codec"] for rendition in plan["renditions"]} == {"av1"}


@pytest.mark.parametrize(
    ("clip", "code"),
    [("sound_only", "input.no_video"), ("cut_off", "input.truncated"), ("cut_off_behind_index", "input.truncated")],
)
async def test_a_bad_video_is_refused_with_the_code_its_job_would_fail_with(
    system: System, clips: Clips, database_dsn: str, clip: str, code: str
) -> None:
    assert_problem(await dry_run(system, getattr(clips, clip).read_bytes()), 422, code)
    await assert_nothing_kept(system, database_dsn)


async def test_a_broken_video_that_is_to_be_kept_has_a_plan(system: System, clips: Clips) -> None:
    """Dry runs were told nothing of what was asked for but the profile."""
    plan = await dry_run(system, clips.cut_off_behind_index.read_bytes(), on_damage="keep")
    assert plan.status_code == 200, plan.text
    assert plan.json()["renditions"]


async def test_the_form_is_checked_as_always(system: System, clips: Clips, database_dsn: str) -> None:
    assert_problem(await dry_run(system, clips.small.read_bytes(), priority="urgent"), 400, "request.invalid_field")
    assert_problem(await dry_run(system, b""), 400, "input.empty")
    await assert_nothing_kept(system, database_dsn)
