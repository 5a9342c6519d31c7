"""Uploads that can be resumed, where the disk, the store or the database fails them: an error that says so, or a retry, and
nothing lost that was counted."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bucket_server import BUCKET, Gateway
from factories import run_sql
from serving import Api, assert_problem, serving
from tus import Tus, encoded

from streamforge.settings import InputSettings, LimitsSettings, Settings, StorageSettings

VIDEO = os.urandom(6 * 2**20)
HALF = len(VIDEO) // 2


@pytest.fixture
def roomy(settings: Settings) -> Settings:
    return settings.model_copy(update={"input": InputSettings(min_free_disk_bytes=0)})


@pytest.fixture
async def bucket_api(
    roomy: Settings, bucket_environment: pytest.MonkeyPatch, endpoint: tuple[str, Gateway], tmp_path: Path
) -> AsyncIterator[Api]:
    storage = StorageSettings(url=f"s3://{BUCKET}/{tmp_path.name}")
    async with serving(roomy.model_copy(update={"storage": storage})) as api:
        yield api
    endpoint[1].is_well_again()


async def in_bucket(endpoint: tuple[str, Gateway], api: Api, name: str) -> Any:
    from streamforge.storage import open_storage

    return await open_storage(api.settings).get_bytes(name)


# ── a bucket ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_into_a_bucket(bucket_api: Api, endpoint: tuple[str, Gateway]) -> None:
    tus = Tus(bucket_api)
    url = await tus.created(len(VIDEO), filename="a.mp4")
    await tus.patch(url, 0, VIDEO[:HALF])
    done = await tus.patch(url, HALF, VIDEO[HALF:])
    assert done.status_code == 204, done.text
    assert await in_bucket(endpoint, bucket_api, f"input/{done.headers['x-job-id']}/original") == VIDEO


async def test_a_bucket_that_answers_500_costs_the_request_and_no_byte_that_was_counted(
    bucket_api: Api, endpoint: tuple[str, Gateway]
) -> None:
    tus, gateway = Tus(bucket_api), endpoint[1]
    url = await tus.created(len(VIDEO))
    await tus.patch(url, 0, VIDEO[:HALF])
    gateway.answers_with = (500, "InternalError")
    assert_problem(await tus.patch(url, HALF, VIDEO[HALF:]), 503, "storage.unavailable")
    gateway.is_well_again()
    assert await tus.offset(url) == HALF
    done = await tus.patch(url, HALF, VIDEO[HALF:])
    assert await in_bucket(endpoint, bucket_api, f"input/{done.headers['x-job-id']}/original") == VIDEO


async def test_a_bucket_that_says_nothing_for_a_while_is_waited_for(
    bucket_api: Api, endpoint: tuple[str, Gateway]
) -> None:
    tus, gateway = Tus(bucket_api), endpoint[1]
    url = await tus.created(len(VIDEO))
    gateway.answers_nothing = True
    sending = asyncio.create_task(tus.patch(url, 0, VIDEO))
    await asyncio.wait([sending], timeout=0.5)
    assert not sending.done()
    gateway.is_well_again()
    done = await sending
    assert await in_bucket(endpoint, bucket_api, f"input/{done.headers['x-job-id']}/original") == VIDEO


async def test_a_bucket_that_forgets_a_part_ends_the_upload_and_says_why(
    bucket_api: Api, endpoint: tuple[str, Gateway]
) -> None:
    from streamforge.storage import open_storage

    tus = Tus(bucket_api)
    url = await tus.created(len(VIDEO))
    await tus.patch(url, 0, VIDEO[:HALF])
    job_id = url.rpartition("/")[2]
    await open_storage(bucket_api.settings).delete(f"incoming/{job_id}/")
    assert_problem(await tus.patch(url, HALF, VIDEO[HALF:]), 410, "upload.gone")
    assert (await bucket_api.job(job_id))["error"]["code"] == "storage.corrupted"  # type: ignore[index]


# ── a disk ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_disk_that_fills_up_stops_the_upload_which_goes_on_when_there_is_room(
    roomy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = shutil.disk_usage(roomy.data_dir.parent)
    free = 10_000_000
    monkeypatch.setattr("streamforge.api.resumable.receiving.CHECK_DISK_EVERY", 2**20)
    monkeypatch.setattr("streamforge.disks.shutil.disk_usage", lambda _: usage._replace(free=free))
    limits = InputSettings(min_free_disk_bytes=100)
    async with serving(roomy.model_copy(update={"input": limits})) as api:
        tus = Tus(api)
        url = await tus.created(len(VIDEO))

        async def fills_up() -> AsyncIterator[bytes]:
            nonlocal free
            yield VIDEO[: 2**20]
            while not [path for path in api.settings.data_dir.rglob("part") if path.stat().st_size >= 2**20]:
                await asyncio.sleep(0.01)
            free = 10
            yield VIDEO[2**20 :]

        assert_problem(await tus.patch(url, 0, fills_up()), 507, "storage.disk_full")
        offset = await tus.offset(url)
        assert 2**20 <= offset < len(VIDEO)
        assert_problem(await tus.create(len(VIDEO)), 507, "storage.disk_full")
        free = 10_000_000
        done = await tus.patch(url, offset, VIDEO[offset:])
        assert (
            api.settings.data_dir / "storage" / "input" / done.headers["x-job-id"] / "original"
        ).read_bytes() == VIDEO


# ── nobody comes back ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_sweep_deletes_what_has_expired_and_finishes_what_is_whole(
    roomy: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamforge.api.resumable.uploads.SWEEP_SECONDS", 0.1)
    dsn = str(roomy.database.dsn)
    async with serving(roomy) as api:
        tus = Tus(api)
        left, whole = await tus.created(10), await tus.created(10)
        part = (await tus.create(10, Upload_Concat="partial")).headers["location"]
        for url in (left, whole, part):
            await tus.patch(url, 0, b"12345")
        # As an API leaves it that is killed between the last byte and the job.
        left_id, whole_id = left.rpartition("/")[2], whole.rpartition("/")[2]
        (api.settings.data_dir / "storage" / "incoming" / whole_id / "part").write_bytes(b"1234567890")
        await run_sql(dsn, "UPDATE uploads SET received = 10 WHERE id = $1", whole_id)
        await run_sql(dsn, "UPDATE uploads SET expires_at = now() - interval '1 s'")
        async with asyncio.timeout(20):
            while (await api.job(left_id))["status"] == "pending" or (await tus.head(part)).status_code != 404:
                await asyncio.sleep(0.05)
            while f"input/{whole_id}/original" not in api.stored:
                await asyncio.sleep(0.05)
        assert (await api.job(left_id))["error"]["code"] == "upload.expired"  # type: ignore[index]
        async with asyncio.timeout(20):
            while [name for name in api.stored if "incoming" in name]:
                await asyncio.sleep(0.05)
        assert (await tus.head(whole)).headers["x-job-id"] == whole_id


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_limits_are_those_of_a_form(roomy: Settings) -> None:
    limits = LimitsSettings(unfinished_jobs=2, bytes_per_day=1000)
    async with serving(roomy.model_copy(update={"limits": limits})) as api:
        tus = Tus(api)
        assert_problem(await tus.create(1001), 429, "limits.bytes")
        await tus.created(400)
        part = await tus.create(400, Upload_Concat="partial")
        assert part.status_code == 201
        assert_problem(await tus.create(300), 429, "limits.bytes")
        usage = (await api.http.get("/usage")).json()
        assert (usage["unfinished_jobs"]["used"], usage["bytes_today"]["used"]) == (1, 800)
        later = await tus.created(None)
        assert_problem(await tus.patch(later, 0, b"x" * 201), 429, "limits.bytes")
        assert_problem(await tus.patch(later, 0, b"", Upload_Length="201"), 429, "limits.bytes")
        assert (await tus.patch(later, 0, b"x" * 100)).status_code == 204
        assert_problem(await tus.patch(later, 100, b"x" * 101), 429, "limits.bytes")
        assert (await tus.patch(later, 100, b"x", Upload_Length="200")).status_code == 204
        assert_problem(await tus.create(1, Upload_Metadata=encoded(key="x")), 429, "limits.unfinished_jobs")
