"""A video is fetched from where it is: whole and exact, or with an error that says what is wrong there."""

import asyncio
import hashlib
import json
import os
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from bucket_server import BUCKET, Gateway
from factories import new_job, run_sql
from temporalio.testing import ActivityEnvironment
from video_server import Trouble, VideoServer, having

from activities.fetch import FetchActivities
from activities.support import fetching
from activities.support.scratch import Scratch
from streamforge.contracts.pipeline import FetchInput, StoredSource
from streamforge.contracts.source_url import SourceUrl
from streamforge.db.fetches import Fetches
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.errors import (
    AddressRefused,
    BytesBeyondQuota,
    DiskFull,
    EmptyUpload,
    FetchInterrupted,
    NotAVideo,
    SourceBrokeOff,
    SourceForbidden,
    SourceIsAPage,
    SourceNotAllowed,
    SourceNotFound,
    SourceStalled,
    SourceUnavailable,
    SourceUnreachable,
    SourceUnusable,
    StreamForgeError,
    TooManyRedirects,
    UploadTooLarge,
)
from streamforge.events.log import EventLog
from streamforge.fetching.http import HttpSource
from streamforge.media.worker.children import MediaChildren
from streamforge.outbound.addresses import Outbound
from streamforge.settings import Settings
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage

VIDEO = os.urandom(1_500_000)
"""Too short to be looked at before it is whole."""
FILM = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"
LETTER = b"Dear server, this is a letter.\n" * 100_000


@dataclass
class Fetcher:
    """A worker's part that fetches, with a real store and a real database."""

    activities: FetchActivities
    store: LocalStorage
    jobs: Jobs
    dsn: str

    async def job(self, url: str) -> UUID:
        job = new_job(key="holiday.mp4").model_copy(update={"size_bytes": 0, "source_sha256": ""})
        await self.jobs.of(EVERYONE).create_fetched(job, url, SourceUrl(url).shown, "Waiting to be downloaded")
        return job.id

    async def fetch(self, job_id: UUID) -> StoredSource:
        original = StoredSource(job_id=job_id, source_object=layout.original(job_id), size_bytes=0, sha256="")
        return await ActivityEnvironment().run(self.activities.fetch_source, FetchInput(original=original))

    async def fetch_from(self, url: str) -> StoredSource:
        return await self.fetch(await self.job(url))

    async def messages(self, job_id: UUID) -> list[str]:
        rows = await run_sql(self.dsn, "SELECT message FROM progress_events WHERE job_id = $1 ORDER BY seq", job_id)
        return [row["message"] for row in rows]

    async def told(self, job_id: UUID, message: str) -> Sequence[Any]:
        """Rows of the log."""
        return await run_sql(
            self.dsn,
            "SELECT stage, progress, details FROM progress_events WHERE job_id = $1 AND message = $2",
            job_id,
            message,
        )

    async def until_received(self, least: int) -> int:
        """How many bytes are safe then, of the one job that there is."""
        async with asyncio.timeout(60):
            while (received := (await run_sql(self.dsn, "SELECT received FROM fetches"))[0]["received"]) < least:
                await asyncio.sleep(0.02)
        return int(received)

    def original(self, job_id: UUID) -> bytes:
        return (self.store.root / layout.original(job_id)).read_bytes()

    def incoming(self, job_id: UUID) -> list[Path]:
        return [path for path in (self.store.root / layout.incoming_folder(job_id)).rglob("*") if path.is_file()]

    def set(self, section: str, **values: object) -> None:
        settings = self.activities.settings
        changed = type(getattr(settings, section)).model_validate(getattr(settings, section).model_dump() | values)
        self.activities.settings = settings.model_copy(update={section: changed})


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": tmp_path,
            "input": {"min_free_disk_bytes": 0},
            "outbound": {"allowed_networks": [ip_network("127.0.0.0/8")]},
        }
    )


@pytest.fixture
def fetcher(
    settings: Settings,
    database: Database,
    database_dsn: str,
    jobs: Jobs,
    events: EventLog,
    children: MediaChildren,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Fetcher]:
    """It pauses for moments only, and notes how far it is all the time."""
    monkeypatch.setattr(fetching, "FIRST_PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(fetching, "LONGEST_PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(fetching, "WRITE_BYTES", {True: 100_000, False: 100_000})
    monkeypatch.setattr(fetching, "RECORD_BYTES", 100_000)
    store, scratch = LocalStorage(tmp_path / "store"), Scratch(tmp_path / "scratch")
    activities = FetchActivities(store, events, jobs, Fetches(database), children, scratch, settings)
    yield Fetcher(activities, store, jobs, database_dsn)
    scratch.close()


@pytest.fixture
async def server() -> AsyncIterator[VideoServer]:
    async with having(VIDEO) as server:
        yield server


# ── whole and exact ─────────────────────────────────────────────────────────────────────────────────────────────────
async def test_what_is_fetched_is_as_if_it_had_been_sent(fetcher: Fetcher, server: VideoServer) -> None:
    job_id = await fetcher.job(server.url)
    fetched = await fetcher.fetch(job_id)
    assert (fetched.size_bytes, fetched.sha256) == (len(VIDEO), hashlib.sha256(VIDEO).hexdigest())
    assert fetcher.original(job_id) == VIDEO
    assert fetcher.incoming(job_id) == []
    job = await fetcher.jobs.of(EVERYONE).get(job_id)
    assert job is not None
    assert (job.size_bytes, job.source_sha256, job.status) == (len(VIDEO), fetched.sha256, "processing")
    told = await fetcher.messages(job_id)
    assert told[:2] == ["Waiting to be downloaded", "Downloading from 127.0.0.1"]
    assert told[-1] == "File received"
    assert job.progress == 5


async def test_how_far_it_is_is_told_while_it_comes(fetcher: Fetcher, server: VideoServer) -> None:
    server.troubles.append(Trouble(hang_after=750_000))
    job_id = await fetcher.job(server.url)
    fetching_it = asyncio.create_task(fetcher.fetch(job_id))
    async with asyncio.timeout(60):  # Of what comes in one moment only the last is told.
        while True:
            received = await fetcher.until_received(600_000)
            if told := await fetcher.told(job_id, f"Downloaded {100 * received // len(VIDEO)} %"):
                break
            await asyncio.sleep(0.02)
    details = json.loads(told[0]["details"])
    assert details == {"downloading": {"received_bytes": received, "size_bytes": len(VIDEO)}}
    assert (told[0]["stage"], told[0]["progress"]) == ("uploading", 5 * received // len(VIDEO))
    fetching_it.cancel()
    await asyncio.wait([fetching_it])


async def test_what_breaks_off_goes_on_where_it_was(fetcher: Fetcher, server: VideoServer) -> None:
    server.troubles.extend([Trouble(cut_after=500_000), Trouble(cut_after=300_000)])
    job_id = await fetcher.job(server.url)
    await fetcher.fetch(job_id)
    assert fetcher.original(job_id) == VIDEO
    assert server.ranges_asked == [None, "bytes=500000-", "bytes=800000-"]
    assert [request.get("if-range") for request in server.requests] == [None, '"one"', '"one"']
    assert server.sent_bytes == len(VIDEO), "no byte was fetched twice"


async def test_a_worker_that_is_killed_leaves_what_came_to_the_next(fetcher: Fetcher, server: VideoServer) -> None:
    """That the row and the bytes are all the next one has: nothing is done in the end of the first."""
    server.troubles.append(Trouble(hang_after=750_000))
    job_id = await fetcher.job(server.url)
    first = asyncio.create_task(fetcher.fetch(job_id))
    await fetcher.until_received(600_000)
    first.cancel()
    await asyncio.wait([first])
    received = await fetcher.until_received(600_000)
    fetched = await fetcher.fetch(job_id)
    assert server.ranges_asked == [None, f"bytes={received}-"]
    assert fetcher.original(job_id) == VIDEO
    assert fetched.sha256 == hashlib.sha256(VIDEO).hexdigest()
    assert await fetcher.fetch(job_id) == fetched, "an attempt after the last asks nobody"
    assert len(server.requests) == 2


async def test_a_source_that_changed_begins_again(fetcher: Fetcher, server: VideoServer) -> None:
    server.troubles.append(Trouble(cut_after=500_000))
    job_id = await fetcher.job(server.url)
    fetching_it = asyncio.create_task(fetcher.fetch(job_id))
    await server.until_asked(1)
    server.content, server.etag = VIDEO[::-1], '"two"'
    fetched = await fetching_it
    assert fetcher.original(job_id) == VIDEO[::-1]
    assert fetched.sha256 == hashlib.sha256(VIDEO[::-1]).hexdigest()
    assert "The source has changed, or cannot go on; downloading it from its beginning" in await fetcher.messages(
        job_id
    )


@pytest.mark.parametrize("how", [{"etag": None}, {"ranges": False}], ids=["names no version", "knows no ranges"])
async def test_a_source_that_cannot_go_on_begins_again(fetcher: Fetcher, how: dict[str, object]) -> None:
    async with having(VIDEO, **how) as server:
        server.troubles.append(Trouble(cut_after=500_000))
        job_id = await fetcher.job(server.url)
        await fetcher.fetch(job_id)
        assert fetcher.original(job_id) == VIDEO


async def test_a_source_that_does_not_say_how_long_it_is(fetcher: Fetcher) -> None:
    film = FILM.read_bytes()
    async with having(film, tells_length=False) as server:
        job_id = await fetcher.job(server.url)
        await fetcher.fetch(job_id)
        assert fetcher.original(job_id) == film


async def test_bytes_that_have_vanished_from_the_store_are_fetched_again(fetcher: Fetcher, server: VideoServer) -> None:
    server.troubles.append(Trouble(cut_after=500_000))
    server.troubles.append(Trouble(status=503))
    job_id = await fetcher.job(server.url)
    fetching_it = asyncio.create_task(fetcher.fetch(job_id))
    await server.until_asked(2)
    await fetcher.store.delete(layout.incoming_folder(job_id))
    await fetching_it
    assert fetcher.original(job_id) == VIDEO


# ── in trouble ──────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_source_that_is_busy_is_asked_again_when_it_says(
    fetcher: Fetcher, server: VideoServer, status: int
) -> None:
    server.troubles.append(Trouble(status=status, headers={"Retry-After": "1"}))
    job_id = await fetcher.job(server.url)
    began = asyncio.get_running_loop().time()
    await fetcher.fetch(job_id)
    assert asyncio.get_running_loop().time() - began >= 1
    assert fetcher.original(job_id) == VIDEO
    told = [message for message in await fetcher.messages(job_id) if message.startswith("Waiting to try again")]
    assert told == [f"Waiting to try again: 127.0.0.1 answers with HTTP status {status} for now."]


Case = tuple[Trouble, dict[str, object], type[StreamForgeError]]

WRONG: dict[str, Case] = {
    "nothing there": (Trouble(status=404), {}, SourceNotFound),
    "gone": (Trouble(status=410), {}, SourceNotFound),
    "who are you": (Trouble(status=401), {}, SourceForbidden),
    "not for you": (Trouble(status=403), {}, SourceForbidden),
    "another answer": (Trouble(status=204), {}, SourceUnusable),
    "compressed": (Trouble(headers={"Content-Encoding": "gzip"}), {}, SourceUnusable),
    "a part nobody asked for": (
        Trouble(status=206, headers={"Content-Range": "bytes 5-9/10"}),
        {},
        SourceUnusable,
    ),
    "a page": (Trouble(), {"content_type": "text/html; charset=utf-8"}, SourceIsAPage),
    "to itself without end": (Trouble(status=302, headers={"Location": "/films/holiday.mp4"}), {}, TooManyRedirects),
    "to a file": (Trouble(status=302, headers={"Location": "file:///etc/passwd"}), {}, SourceUnusable),
    "to nowhere": (Trouble(status=302), {}, SourceUnusable),
    "to a private address": (Trouble(status=302, headers={"Location": "http://10.0.0.1/"}), {}, AddressRefused),
    "to metadata of a cloud": (
        Trouble(status=307, headers={"Location": "http://169.254.169.254/"}),
        {},
        AddressRefused,
    ),
    "empty": (Trouble(), {"content": b""}, EmptyUpload),
    "no video": (Trouble(), {"content": LETTER}, NotAVideo),
    "too large": (Trouble(), {"content": bytes(3_000_001)}, UploadTooLarge),
    "too large, unsaid": (Trouble(), {"content": b"\0" * 3_500_000, "tells_length": False}, UploadTooLarge),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
async def test_what_no_other_try_will_make_better_fails_at_once(
    fetcher: Fetcher, case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    always, how, expected = case
    fetcher.set("input", max_size_bytes=3_200_000 if expected is not UploadTooLarge else 3_000_000)
    if expected is UploadTooLarge:
        monkeypatch.setattr(fetching, "BEGINNING_BYTES", 10**9)  # Zeros are no video, either.
    async with having(**{"content": VIDEO, "always": always, **how}) as server:  # type: ignore[arg-type]
        job_id = await fetcher.job(server.url)
        with pytest.raises(expected) as raised:
            await fetcher.fetch(job_id)
        assert type(raised.value) is expected
        assert raised.value.fault == "caller"
        assert fetcher.incoming(job_id) == []
        assert len(server.requests) <= 11


@pytest.mark.parametrize(
    ("always", "expected"),
    [
        (Trouble(status=503), SourceUnavailable),
        (Trouble(cut_after=500_000), SourceBrokeOff),
        (Trouble(hang_after=500_000), SourceStalled),
    ],
    ids=["busy", "breaks off at the same byte", "sends nothing"],
)
async def test_a_source_that_fails_for_too_long_is_given_up(
    fetcher: Fetcher, always: Trouble, expected: type[FetchInterrupted]
) -> None:
    silence = 0.3 if expected is SourceStalled else 60
    fetcher.set("source_urls", retry_for_seconds=0.3, silence_seconds=silence)
    async with having(VIDEO, ranges=False, always=always) as server:
        job_id = await fetcher.job(server.url)
        with pytest.raises(expected) as raised:
            await fetcher.fetch(job_id)
    assert (raised.value.fault, raised.value.retryable, raised.value.max_attempts) == ("caller", True, 1)
    assert len(server.requests) > 1
    assert fetcher.incoming(job_id) == []


async def test_nobody_listens(fetcher: Fetcher) -> None:
    fetcher.set("source_urls", retry_for_seconds=0.05)
    async with having(VIDEO) as server:
        url = server.url
    with pytest.raises(SourceUnreachable):
        await fetcher.fetch_from(url)


async def test_after_it_was_given_up_it_can_be_fetched_again(fetcher: Fetcher, server: VideoServer) -> None:
    server.troubles.extend([Trouble(cut_after=500_000), Trouble(status=404)])
    job_id = await fetcher.job(server.url)
    with pytest.raises(SourceNotFound):
        await fetcher.fetch(job_id)
    await fetcher.fetch(job_id)
    assert fetcher.original(job_id) == VIDEO
    usage = await fetcher.jobs.of(EVERYONE).usage()
    assert usage.bytes_today == 500_000 + len(VIDEO), "what came in vain has come all the same"


# ── limits ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("tells_length", [True, False])
async def test_an_owners_day_has_room_for_so_much(fetcher: Fetcher, tells_length: bool) -> None:
    fetcher.set("limits", bytes_per_day=500_000)
    async with having(VIDEO, tells_length=tells_length) as server:
        job_id = await fetcher.job(server.url)
        with pytest.raises(BytesBeyondQuota):
            await fetcher.fetch(job_id)
    assert fetcher.incoming(job_id) == []


async def test_a_disk_without_room_is_not_filled(fetcher: Fetcher, server: VideoServer) -> None:
    fetcher.set("input", min_free_disk_bytes=10**18)
    with pytest.raises(DiskFull):
        await fetcher.fetch_from(server.url)


async def test_our_own_networks_are_closed_unless_an_operator_opens_them(fetcher: Fetcher, server: VideoServer) -> None:
    fetcher.set("outbound", allowed_networks=[])
    for url in (server.url, server.url.replace("127.0.0.1", "localhost")):
        with pytest.raises(AddressRefused):
            await fetcher.fetch_from(url)
    assert server.requests == []


async def test_a_name_that_leads_elsewhere_a_moment_later_is_not_followed(server: VideoServer) -> None:
    """DNS rebinding: whoever has the name answers with an address of ours when it is asked again."""
    answers = ["127.0.0.1", "10.0.0.1"]

    async def resolve(host: str, port: int) -> list[str]:
        return [answers.pop(0)]

    url = SourceUrl(server.url.replace("127.0.0.1", "films.example.org"))
    source = HttpSource(url, Outbound([ip_network("127.0.0.0/8")], resolve), silence_seconds=20)
    async with source.open(0, None) as opened:
        assert [piece async for piece in opened.pieces]
    with pytest.raises(AddressRefused):
        async with source.open(1000, opened.validator):
            pass
    assert len(server.requests) == 1


async def test_a_password_goes_to_whom_it_is_meant_for_and_no_further(fetcher: Fetcher, server: VideoServer) -> None:
    async with having(VIDEO) as elsewhere:
        server.troubles.append(Trouble(status=302, headers={"Location": "/moved.mp4"}))
        server.troubles.append(Trouble(status=302, headers={"Location": elsewhere.url}))
        job_id = await fetcher.job(server.url.replace("http://", "http://alice:pa%40ss@") + "?signature=secret")
        await fetcher.fetch(job_id)
        assert [request["authorization"] for request in server.requests] == ["Basic YWxpY2U6cGFAc3M="] * 2
        assert "authorization" not in elsewhere.requests[0]
    stored = await run_sql(fetcher.dsn, "SELECT jobs::text || events::text AS all FROM jobs, progress_events AS events")
    assert not any(secret in row["all"] for row in stored for secret in ("pa%40ss", "pa@ss", "secret"))
    assert (await run_sql(fetcher.dsn, "SELECT url FROM fetches"))[0]["url"] is None


# ── buckets ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
async def bucket(
    fetcher: Fetcher, endpoint: tuple[str, Gateway], bucket_environment: pytest.MonkeyPatch
) -> AsyncIterator[Gateway]:
    from streamforge.storage.bucket import BucketStorage

    store = BucketStorage.from_url(f"s3://{BUCKET}/films")
    await store.put_bytes("a film.mp4", VIDEO)
    fetcher.set("source_urls", buckets=[f"s3://{BUCKET}/films"])
    yield endpoint[1]
    endpoint[1].is_well_again()


async def test_a_video_comes_out_of_a_bucket(fetcher: Fetcher, bucket: Gateway) -> None:
    job_id = await fetcher.job(f"s3://{BUCKET}/films/a film.mp4")
    fetched = await fetcher.fetch(job_id)
    assert fetcher.original(job_id) == VIDEO
    assert fetched.sha256 == hashlib.sha256(VIDEO).hexdigest()


async def test_a_bucket_that_breaks_off_goes_on_where_it_was(fetcher: Fetcher, bucket: Gateway) -> None:
    bucket.cut_bodies_after = 600_000
    job_id = await fetcher.job(f"s3://{BUCKET}/films/a film.mp4")
    await fetcher.fetch(job_id)
    assert fetcher.original(job_id) == VIDEO


@pytest.mark.parametrize("key", ["films/none.mp4"])
async def test_an_object_that_is_not_there(fetcher: Fetcher, bucket: Gateway, key: str) -> None:
    with pytest.raises(SourceNotFound):
        await fetcher.fetch_from(f"s3://{BUCKET}/{key}")


async def test_only_buckets_that_an_operator_has_named_are_read(fetcher: Fetcher, bucket: Gateway) -> None:
    """Our credentials open our own store, too."""
    for url in (f"s3://{BUCKET}/input/original", f"s3://{BUCKET}/films-of-others/a.mp4", "gs://films/a.mp4"):
        with pytest.raises(SourceNotAllowed):
            await fetcher.fetch_from(url)
