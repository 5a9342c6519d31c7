"""Whole jobs whose store is full or gone for a while: whoever watches knows within ten seconds, and so does `/ready`; the
job goes on when it is back."""

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from bucket_server import BUCKET, Gateway
from clips import Clips
from outages import filled, small_disk
from sse import Frame
from system import System
from temporalio.common import RetryPolicy

from streamforge.settings import Settings
from workflows import policies

PROMISED_SECONDS = 10


@pytest.fixture(autouse=True)
def quick_tries(monkeypatch: pytest.MonkeyPatch) -> None:
    often = RetryPolicy(initial_interval=timedelta(milliseconds=100), backoff_coefficient=1)
    monkeypatch.setattr(policies, "RETRIES", often)


async def told(system: System, job_id: str, code: str) -> Frame:
    """The next event of this code."""
    async with (
        asyncio.timeout(PROMISED_SECONDS),
        system.api.stream(job_id, headers={"Last-Event-ID": "0"}) as frames,
    ):
        async for frame in frames:
            if frame.event == "progress" and (frame.data.get("details") or {}).get("code") == code:
                return frame
    raise AssertionError("the job is over")


async def outage_of(system: System, clips: Clips, outage: AbstractContextManager[None], code: str) -> None:
    """The store is away as soon as it has the original, and comes back."""
    job_id = await system.api.post_ok_with(clips.small.read_bytes())
    with outage:
        await told(system, job_id, code)
        ready = await system.api.http.get("/ready", timeout=PROMISED_SECONDS)
        assert ready.status_code == 503
        assert not ready.json()["checks"]["storage"]["ok"]
    await (await system.workflow(job_id)).result()
    assert (await system.api.job(job_id))["status"] == "completed"
    assert (await system.api.http.get("/ready")).status_code == 200


class TestAFolder:
    async def test_that_is_gone(self, system: System, clips: Clips) -> None:
        @contextmanager
        def moved_away() -> Iterator[None]:
            away = system.storage.rename(system.storage.with_name("away"))
            yield
            away.rename(system.storage)

        await outage_of(system, clips, moved_away(), "storage.unavailable")


class TestADisk:
    @pytest.fixture
    def settings(self, settings: Settings, tmp_path: Path) -> Iterator[Settings]:
        """Uploads, scratch and store on one small disk."""
        with small_disk(tmp_path / "disk", "64m") as disk:
            yield settings.model_copy(update={"data_dir": disk / "data"})

    async def test_that_is_full(self, system: System, clips: Clips) -> None:
        await outage_of(system, clips, filled(system.storage.parents[1]), "storage.disk_full")


class TestABucket:
    @pytest.fixture
    def settings(self, settings: Settings, bucket_environment: pytest.MonkeyPatch) -> Settings:
        storage = settings.storage.model_copy(update={"url": f"s3://{BUCKET}/{uuid4().hex}"})
        return settings.model_copy(update={"storage": storage})

    @pytest.mark.parametrize("answer", [None, (507, "XMinioStorageFull")], ids=["that does not answer", "that is full"])
    async def test_that(
        self, system: System, clips: Clips, endpoint: tuple[str, Gateway], answer: tuple[int, str] | None
    ) -> None:
        @contextmanager
        def away() -> Iterator[None]:
            endpoint[1].answers_nothing, endpoint[1].answers_with = answer is None, answer
            try:
                yield
            finally:
                endpoint[1].is_well_again()

        code = "storage.disk_full" if answer else "storage.unavailable"
        await outage_of(system, clips, away(), code)
