"""`POST /process?dry_run=true` as the API alone sees it; tests/pipeline has the plan itself."""

import os
from datetime import timedelta

import httpx
import pytest
from serving import Api, assert_problem


async def dry_run(api: Api, asked: str = "true") -> httpx.Response:
    files = {"video": ("clip.mp4", os.urandom(1000), "video/mp4")}
    return await api.http.post("/process", params={"dry_run": asked}, files=files)


async def assert_nothing_kept(api: Api) -> None:
    assert api.uploads == []
    assert api.stored == []
    assert (await api.http.get("/jobs")).json()["jobs"] == []


async def test_without_a_worker_it_ends_in_time(api_with_temporal: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamforge.api.routes.process.PLAN_TIMEOUT", timedelta(seconds=1))
    assert_problem(await dry_run(api_with_temporal), 504, "request.timeout")
    await assert_nothing_kept(api_with_temporal)


async def test_without_temporal_it_says_so(api: Api) -> None:
    assert_problem(await dry_run(api), 503, "temporal.unavailable")
    await assert_nothing_kept(api)


async def test_what_is_neither_true_nor_false_is_refused(api: Api) -> None:
    assert_problem(await dry_run(api, "perhaps"), 400, "request.invalid_field")
    await assert_nothing_kept(api)


@pytest.mark.parametrize("asked", ["false", "0", ""])
async def test_false_is_a_job_as_always(api: Api, asked: str) -> None:
    assert (await dry_run(api, asked)).status_code == 202
