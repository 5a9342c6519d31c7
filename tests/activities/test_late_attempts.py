"""What an attempt writes that was taken for dead: nothing that a newer one, or the end, relies upon. The workers themselves
are stopped in tests/pipeline/test_late_workers.py."""

import asyncio
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from bucket_server import BUCKET, Gateway
from factories import PROCESSING, accepted
from sources import stream, track
from temporalio.testing import ActivityEnvironment

from activities import heartbeats, receipts
from activities.fence import FencedStorage
from activities.package import PackageActivities
from activities.publish import PublishActivities
from streamforge.contracts.media import EncodedTracks
from streamforge.contracts.pipeline import EncodedPart, EncodedStream, PackageInput, PublishInput, StoredSource
from streamforge.db.jobs import Jobs
from streamforge.errors import Superseded
from streamforge.events.log import EventLog
from streamforge.storage import Storage, layout
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage

TIMEOUT = timedelta(seconds=10)


def attempt(number: int = 1) -> ActivityEnvironment:
    environment = ActivityEnvironment()
    info = ActivityEnvironment.default_info()
    environment.info = replace(info, attempt=number, heartbeat_timeout=TIMEOUT)
    return environment


class Clock:
    """Of the process, as it finds it when it goes on after a while: its machine was asleep, and Linux does not count that
    as monotonic time."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        return 0.0

    def clock_gettime(self, clock: int) -> float:
        return self.seconds if clock == time.CLOCK_BOOTTIME else 0.0


# ── the fence ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_attempt_that_stood_still_for_too_long_writes_and_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock, store = Clock(), LocalStorage(tmp_path / "store")
    fenced = FencedStorage(store)
    monkeypatch.setattr(heartbeats, "time", clock)

    async def work() -> None:
        async with heartbeats.heartbeats() as checkpoint:
            clock.seconds += TIMEOUT.total_seconds() - 1
            await fenced.put_bytes("in time", b"1")
            clock.seconds += TIMEOUT.total_seconds() + 1
            checkpoint.beat()  # It does beat again. Nobody listens.
            with pytest.raises(Superseded):
                await fenced.put_bytes("late", b"1")
            with pytest.raises(Superseded):
                await asyncio.create_task(fenced.put_file("late", tmp_path / "file"))
            with pytest.raises(Superseded):
                await fenced.delete("in time/")
            assert await fenced.get_bytes("in time") == b"1"

    await attempt().run(work)
    assert [info.name async for info in store.walk("")] == ["in time"]
    await fenced.put_bytes("no activity", b"1")


async def test_a_put_is_over_before_its_activity_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A thread writes on when its activity was cancelled: into a folder that has been removed meanwhile."""
    began, may_end = threading.Event(), threading.Event()
    store = LocalStorage(tmp_path)

    def slow(*_: object) -> None:
        began.set()
        may_end.wait()
        (tmp_path / "written").touch()

    monkeypatch.setattr(store, "_put_bytes", slow)
    putting = asyncio.create_task(FencedStorage(store).put_bytes("written", b"1"))
    await asyncio.to_thread(began.wait)
    putting.cancel()
    asyncio.get_running_loop().call_soon(may_end.set)
    with pytest.raises(asyncio.CancelledError):
        await putting
    assert (tmp_path / "written").exists()


# ── manifests that grow ─────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def gateway(endpoint: tuple[str, Gateway]) -> Iterator[Gateway]:
    yield endpoint[1]
    endpoint[1].before_put = None


@pytest.fixture
async def job(jobs: Jobs, events: EventLog) -> StoredSource:
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    return StoredSource(job_id=job_id, source_object="input/original", size_bytes=1, sha256="0" * 64)


class Film:
    """Two chunks in the store, of one rendition and without sound."""

    def __init__(self, storage: Storage, events: EventLog, original: StoredSource) -> None:
        whole = stream()
        self.storage, self.original = storage, original
        self.source = whole.source.model_copy(update={"audio": []})
        self.plan = whole.plan.model_copy(update={"audio": [], "renditions": whole.plan.renditions[-1:]})
        self.name = self.plan.renditions[0].name
        self.publishing = PublishActivities(storage, events)
        self.packaging = PackageActivities(storage, events)
        self.parts: list[list[EncodedPart]] = []

    async def encode(self, chunk: int) -> None:
        """Four seconds."""
        made = track(self.name, [360_000], [1000], start=chunk * 360_000)
        receipt = layout.receipt(self.original.job_id, f"{receipts.CHUNK}{chunk:05}-{self.name}")
        await receipts.write(self.storage, receipt, EncodedTracks(tracks=[made]))
        self.parts.append([EncodedPart(receipt=receipt, frames=100, size_bytes=1000)])

    async def publish(self, number: int, attempt_number: int = 1) -> None:
        work = PublishInput(
            original=self.original, source=self.source, plan=self.plan, began_at=datetime.now(UTC), number=number
        )
        await attempt(attempt_number).run(self.publishing.publish_playable, work)

    async def package(self) -> None:
        encoded = EncodedStream(chunks=self.parts, audio=[])
        work = PackageInput(original=self.original, source=self.source, plan=self.plan, encoded=encoded)
        await attempt().run(self.packaging.package, work)

    async def final(self) -> dict[str, bytes | None]:
        found = [info.name async for info in self.storage.walk(layout.output_folder(self.original.job_id))]
        return {name: await self.storage.get_bytes(name) for name in found}


async def test_a_put_that_arrives_after_the_end_hits_nothing(
    bucket_environment: pytest.MonkeyPatch, gateway: Gateway, events: EventLog, job: StoredSource
) -> None:
    """The request of a growing playlist was under way to the bucket when its worker stood still: nobody can refuse it."""
    film = Film(BucketStorage.from_url(f"s3://{BUCKET}/{uuid4().hex}"), events, job)
    arrived, may_go_on = threading.Event(), threading.Event()

    async def hold_the_first(name: str) -> None:
        if name.endswith(".m3u8") and not arrived.is_set():
            arrived.set()
            await asyncio.to_thread(may_go_on.wait)

    gateway.before_put = hold_the_first
    await film.encode(0)
    late = asyncio.create_task(film.publish(number=0))
    await asyncio.to_thread(arrived.wait)
    await film.publish(number=0, attempt_number=2)
    await film.encode(1)
    await film.package()
    final = await film.final()
    may_go_on.set()
    await late
    assert await film.final() == final
    playlist = final[layout.output(job.job_id, f"{film.name}/index.m3u8")]
    assert playlist is not None
    assert playlist.endswith(b"360000.m4s\n#EXT-X-ENDLIST\n")


async def test_growing_manifests_are_never_among_the_files_of_the_stream(
    tmp_path: Path, events: EventLog, job: StoredSource
) -> None:
    film = Film(LocalStorage(tmp_path), events, job)
    await film.encode(0)
    await film.publish(number=0)
    assert await film.final() == {}
