"""`/uploads`: the tus protocol 1.0.0 as its text has it, and what becomes of a video that comes this way."""

import asyncio
import hashlib
import os
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from factories import run_sql
from serving import Api, assert_problem, serving
from tus import OCTETS, VERSION, Tus, encoded

from streamforge.db.uploads import Uploads
from streamforge.embedded.ports import free_port
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings

VIDEO = os.urandom(150_000)


pytestmark = pytest.mark.asyncio(loop_scope="module")
Serve = Callable[[], AbstractAsyncContextManager[Api]]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def serve(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> Serve:
    """Another API on the same database and store, Temporal away."""
    name = f"uploads_{uuid4().hex}"
    await run_sql(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE streamforge_template STRATEGY FILE_COPY")
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("uploads") / "data",
        server=ServerSettings(port=0),
        input=InputSettings(max_size_bytes=200_000, min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=postgres_dsn.rpartition("/")[0] + f"/{name}"),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )
    return lambda: serving(settings)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(serve: Serve) -> AsyncIterator[Api]:
    async with serve() as api:
        yield api


@pytest.fixture
def tus(api: Api) -> Tus:
    return Tus(api)


def stored(api: Api, url: str) -> list[str]:
    """What the store has of one upload."""
    return [name for name in api.stored if id_in(url) in name]


def kept(api: Api, job_id: str) -> bytes:
    return (api.settings.data_dir / "storage" / "input" / job_id / "original").read_bytes()


def id_in(url: str) -> str:
    return url.rpartition("/")[2]


# ── creation, and the bytes ─────────────────────────────────────────────────────────────────────────────────────────
async def test_a_video_comes_in_pieces_and_its_last_byte_starts_the_job(api: Api, tus: Tus) -> None:
    url = await tus.created(len(VIDEO), filename="holiday.mp4")
    assert await tus.offset(url) == 0
    first = await tus.patch(url, 0, VIDEO[:100_000])
    assert (first.status_code, first.headers["upload-offset"]) == (204, "100000")
    assert (await api.job(id_in(url)))["stage"] == "uploading"
    last = await tus.patch(url, 100_000, VIDEO[100_000:])
    assert (last.status_code, last.headers["upload-offset"]) == (204, "150000")
    job_id = last.headers["x-job-id"]
    assert kept(api, job_id) == VIDEO
    assert stored(api, url) == [f"input/{job_id}/original"]


async def test_the_job_is_the_one_that_a_form_would_have_made(api: Api, tus: Tus) -> None:
    fields = {"key": "films/intro.mp4", "priority": "2", "metadata": '{"a": 1}', "external_id": "x", "captions": "de"}
    by_form = await api.post_ok_with(VIDEO, **fields)
    url = await tus.created(len(VIDEO), filename="other.mp4", relativePath="null", filetype="video/mp4", **fields)
    by_tus = (await tus.patch(url, 0, VIDEO)).headers["x-job-id"]
    jobs = [await api.job(job_id) for job_id in (by_form, by_tus)]
    its_own = {"id", "workflow_id", "created_at", "updated_at", "latest_events", "queue_position"}
    form, upload = ({name: value for name, value in job.items() if name not in its_own} for job in jobs)
    assert upload == form
    assert upload["progress"] == 5
    described = await run_sql(
        str(api.settings.database.dsn),
        "SELECT DISTINCT status, size_bytes, source_sha256, priority, options FROM jobs WHERE id = ANY ($1)",
        [by_form, by_tus],
    )
    [(status, size_bytes, sha256, priority, _)] = described
    assert (status, size_bytes, sha256, priority) == ("pending", len(VIDEO), hashlib.sha256(VIDEO).hexdigest(), 2)


async def test_head_says_where_to_go_on_and_afterwards_which_job_it_was(tus: Tus) -> None:
    url = await tus.created(len(VIDEO), filename="holiday.mp4")
    await tus.patch(url, 0, VIDEO[:10])
    head = await tus.head(url)
    assert head.headers["upload-offset"] == "10"
    assert head.headers["upload-length"] == str(len(VIDEO))
    assert head.headers["upload-metadata"] == encoded(filename="holiday.mp4")
    assert head.headers["tus-resumable"] == "1.0.0"
    assert head.headers["cache-control"] == "no-store"
    assert parsedate_to_datetime(head.headers["upload-expires"]) > datetime.now(UTC)
    await tus.patch(url, 10, VIDEO[10:])
    head = await tus.head(url)
    assert head.headers["upload-offset"] == head.headers["upload-length"] == str(len(VIDEO))
    assert head.headers["x-job-id"] == id_in(url)
    assert "upload-expires" not in head.headers


async def test_the_upload_is_followed_in_the_stream_of_its_job(api: Api, tus: Tus) -> None:
    url = await tus.created(1000, filename="a.mp4")
    async with api.stream(id_in(url)) as frames:
        assert (await anext(frames)).data == {
            "job_id": id_in(url), "status": "pending", "stage": "uploading", "progress": 0,
        }  # fmt: skip
        for offset in (0, 400):
            await tus.patch(url, offset, b"x" * 400)
        await tus.patch(url, 800, b"x" * 200)
        told = [(await anext(frames)).data for _ in range(3)]
    assert [(each["progress"], each["message"]) for each in told] == [
        (2, "Received 40 %"), (4, "Received 80 %"), (5, "File received"),
    ]  # fmt: skip
    assert told[0]["details"]["upload"] == {"received_bytes": 400, "size_bytes": 1000}


async def test_the_first_bytes_may_come_with_the_creation(api: Api, tus: Tus) -> None:
    response = await tus.create(len(VIDEO), VIDEO[:70_000], **OCTETS)
    assert (response.status_code, response.headers["upload-offset"]) == (201, "70000")
    whole = await tus.create(len(VIDEO), VIDEO, **OCTETS)
    assert whole.status_code == 201
    assert kept(api, whole.headers["x-job-id"]) == VIDEO


async def test_the_length_may_be_told_later(api: Api, tus: Tus) -> None:
    url = await tus.created(None)
    assert (await tus.head(url)).headers["upload-defer-length"] == "1"
    await tus.patch(url, 0, VIDEO[:100])
    await tus.patch(url, 100, VIDEO[100:200])
    assert (await tus.patch(url, 200, b"", Upload_Length="150")).status_code == 400
    done = await tus.patch(url, 200, VIDEO[200:], Upload_Length=str(len(VIDEO)))
    assert kept(api, done.headers["x-job-id"]) == VIDEO


async def test_a_length_that_is_told_without_bytes_counts(api: Api, tus: Tus) -> None:
    """As a client does that finds its source at its end."""
    url = await tus.created(None)
    assert (await tus.patch(url, 0, b"", Upload_Length="10")).status_code == 204
    assert (await tus.head(url)).headers["upload-length"] == "10"
    await tus.patch(url, 0, VIDEO[:10])
    assert kept(api, id_in(url)) == VIDEO[:10]
    at_its_end = await tus.created(None)
    await tus.patch(at_its_end, 0, VIDEO[:10])
    await tus.patch(at_its_end, 10, b"", Upload_Length="10")
    head = await tus.head(at_its_end)
    assert (head.headers["upload-length"], head.headers["upload-offset"]) == ("10", "10")
    assert kept(api, id_in(at_its_end)) == VIDEO[:10]
    of_nothing = await tus.patch(await tus.created(None), 0, b"", Upload_Length="0")
    assert_problem(of_nothing, 400, "input.empty")


async def test_what_came_before_a_connection_broke_is_kept(api: Api, tus: Tus) -> None:
    url = await tus.created(len(VIDEO))

    async def breaks() -> AsyncIterator[bytes]:
        yield VIDEO[:90_000]
        while await tus.offset(url) < 90_000:
            pass
        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await tus.patch(url, 0, breaks(), Content_Length=str(len(VIDEO)))
    assert await tus.offset(url) == 90_000
    done = await tus.patch(url, 90_000, VIDEO[90_000:])
    assert kept(api, done.headers["x-job-id"]) == VIDEO


async def test_another_api_goes_on_and_a_third_one_knows_the_job(api: Api, serve: Serve, tus: Tus) -> None:
    url = await tus.created(len(VIDEO))
    await tus.patch(url, 0, VIDEO[:60_000])
    async with serve() as second, serve() as third:
        assert await Tus(second).offset(url) == 60_000
        await Tus(second).patch(url, 60_000, VIDEO[60_000:120_000])
        done = await tus.patch(url, 120_000, VIDEO[120_000:])
        assert (await Tus(third).head(url)).headers["x-job-id"] == done.headers["x-job-id"]
    assert kept(api, id_in(url)) == VIDEO


# ── who may write, and what is refused ──────────────────────────────────────────────────────────────────────────────
async def test_options_say_what_there_is(api: Api) -> None:
    response = await api.http.options("/uploads")
    assert response.status_code == 204
    assert response.headers["tus-version"] == "1.0.0"
    assert set(response.headers["tus-extension"].split(",")) == {
        "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination",
        "concatenation",
    }  # fmt: skip
    assert response.headers["tus-max-size"] == "200000"
    assert set(response.headers["tus-checksum-algorithm"].split(",")) == {"sha1", "sha256"}


async def test_another_version_is_refused_and_nothing_done(api: Api, tus: Tus) -> None:
    for version in ({}, {"Tus-Resumable": "0.2.2"}):
        response = await api.http.post("/uploads", headers={"Upload-Length": "5", **version})
        assert_problem(response, 412, "upload.unsupported_version")
        assert response.headers["tus-version"] == "1.0.0"
    url = await tus.created(5)
    assert (await api.http.head(url)).status_code == 412


async def test_an_offset_that_is_not_where_the_upload_is_is_refused(tus: Tus) -> None:
    url = await tus.created(100)
    await tus.patch(url, 0, b"x" * 50)
    for offset in (0, 49, 51):
        assert_problem(await tus.patch(url, offset, b"y"), 409, "upload.offset_mismatch")
    assert await tus.offset(url) == 50


async def test_bytes_of_another_type_are_refused(api: Api, tus: Tus) -> None:
    url = await tus.created(100)
    response = await tus.ask("PATCH", url, b"x", Content_Type="video/mp4", Upload_Offset="0")
    assert_problem(response, 415, "upload.content_type")
    before = (await api.http.get("/jobs")).json()["jobs"]
    begun = await tus.create(10, b"0123456789", Content_Type="video/mp4")
    assert_problem(begun, 415, "upload.content_type")
    assert (await api.http.get("/jobs")).json()["jobs"] == before, "of an upload whose address nobody was told"


async def test_a_length_that_lies_is_found_out(api: Api, tus: Tus) -> None:
    url = await tus.created(100)
    assert_problem(await tus.patch(url, 0, b"x" * 101), 413, "upload.longer_than_said")

    async def chunked() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield b"x" * 50
            await asyncio.sleep(0)

    assert_problem(await tus.patch(url, 0, chunked()), 413, "upload.longer_than_said")
    assert (await api.job(id_in(url)))["progress"] < 10
    assert await tus.offset(url) <= 100


async def test_what_is_too_large_is_refused_before_it_is_sent(tus: Tus) -> None:
    assert_problem(await tus.create(200_001), 413, "input.too_large")
    url = await tus.created(None)
    assert_problem(await tus.patch(url, 0, b"", Upload_Length="200001"), 413, "input.too_large")
    assert_problem(await tus.patch(url, 0, b"x" * 200_001), 413, "input.too_large")


async def test_an_empty_video_is_none(tus: Tus) -> None:
    assert_problem(await tus.create(0), 400, "input.empty")


MALFORMED = (
    {}, {"Upload-Length": "-1"}, {"Upload-Length": "1e3"}, {"Upload-Length": "٣"}, {"Upload-Defer-Length": "2"},
    {"Upload-Length": "5", "Upload-Defer-Length": "1"}, {"Upload-Length": "5", "Upload-Metadata": "name !"},
    {"Upload-Length": "5", "Upload-Metadata": "name YQ==,name YQ=="}, {"Upload-Length": "5", "Upload-Concat": "whole"},
    {"Upload-Length": "5", "Upload-Metadata": "name AA=="}, {"Upload-Length": "5", "Upload-Checksum": "md5 YQ=="},
)  # fmt: skip


async def test_headers_that_say_nothing_sensible_are_refused(api: Api) -> None:
    for headers in MALFORMED:
        sent = {name: value.encode() for name, value in headers.items()}
        response = await api.http.post("/uploads", headers={**{k: v.encode() for k, v in VERSION.items()}, **sent})
        assert_problem(response, 400, "upload.invalid_header")


async def test_metadata_is_checked_as_a_form_is(tus: Tus) -> None:
    for wrong, code in ({"priority": "9"}, "request.invalid_field"), ({"key": "../x"}, "request.invalid_key"):
        response = await tus.create(5, Upload_Metadata=encoded(**wrong))
        assert_problem(response, 400, code)


async def test_what_is_not_there_is_404(tus: Tus) -> None:
    for url in (f"/uploads/{uuid4()}", "/uploads/42"):
        assert (await tus.head(url)).status_code == 404
        assert_problem(await tus.patch(url, 0, b"x"), 404, "upload.not_found")


# ── checksum ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
async def test_bytes_that_are_not_those_of_the_checksum_do_not_count(api: Api, tus: Tus, algorithm: str) -> None:
    def checksum(data: bytes) -> str:
        return f"{algorithm} {b64encode(hashlib.new(algorithm, data).digest()).decode()}"

    url = await tus.created(len(VIDEO))
    await tus.patch(url, 0, VIDEO[:1000], Upload_Checksum=checksum(VIDEO[:1000]))
    wrong = await tus.patch(url, 1000, b"?" * 5000, Upload_Checksum=checksum(VIDEO[1000:6000]))
    assert_problem(wrong, 460, "upload.checksum_mismatch")
    assert await tus.offset(url) == 1000
    done = await tus.patch(url, 1000, VIDEO[1000:], Upload_Checksum=checksum(VIDEO[1000:]))
    assert kept(api, done.headers["x-job-id"]) == VIDEO


# ── termination, expiration ─────────────────────────────────────────────────────────────────────────────────────────
async def test_an_upload_that_is_ended_is_gone_with_its_bytes_and_its_job_cancelled(api: Api, tus: Tus) -> None:
    url = await tus.created(len(VIDEO))
    await tus.patch(url, 0, VIDEO[:1000])
    assert (await tus.ask("DELETE", url)).status_code == 204
    assert (await tus.head(url)).status_code == 410
    assert_problem(await tus.patch(url, 1000, b"x"), 410, "upload.gone")
    assert (await api.job(id_in(url)))["status"] == "cancelled"
    assert stored(api, url) == []


async def test_a_job_that_is_cancelled_takes_its_upload_along(api: Api, tus: Tus) -> None:
    url = await tus.created(len(VIDEO))
    await tus.patch(url, 0, VIDEO[:1000])
    assert (await api.http.delete(f"/jobs/{id_in(url)}")).json()["status"] == "cancelled"
    assert_problem(await tus.patch(url, 1000, VIDEO[1000:]), 410, "upload.gone")
    assert stored(api, url) == []


async def test_a_complete_upload_is_not_ended(tus: Tus) -> None:
    url = await tus.created(5)
    await tus.patch(url, 0, b"12345")
    assert_problem(await tus.ask("DELETE", url), 409, "upload.complete")


async def test_one_that_was_not_continued_expires(api: Api, tus: Tus) -> None:
    url = await tus.created(100)
    await tus.patch(url, 0, b"x" * 50)
    await run_sql(
        str(api.settings.database.dsn),
        "UPDATE uploads SET expires_at = now() - interval '1 s' WHERE id = $1",
        id_in(url),
    )
    assert_problem(await tus.patch(url, 50, b"x"), 410, "upload.expired")
    assert (await tus.head(url)).status_code == 410


# ── concatenation ───────────────────────────────────────────────────────────────────────────────────────────────────
async def test_parts_become_one_video_and_one_job(api: Api, tus: Tus) -> None:
    pieces = [VIDEO[:50_000], VIDEO[50_000:120_000], VIDEO[120_000:]]
    parts = []
    for piece in pieces:
        created = await tus.create(len(piece), Upload_Concat="partial")
        parts.append(created.headers["location"])
        assert "x-job-id" not in created.headers
    unfinished = await tus.ask("POST", "/uploads", Upload_Concat=f"final;{' '.join(parts)}")
    assert_problem(unfinished, 409, "upload.unfinished")
    for url, piece in zip(parts, pieces, strict=True):
        await tus.patch(url, 0, piece)
    assert (await tus.head(parts[0])).headers["upload-concat"] == "partial"
    for url in parts:
        assert (await api.http.get(f"/jobs/{id_in(url)}")).status_code == 404
    addresses = f"{parts[0]} {api.url}{parts[1]} {parts[2]}"
    whole = await tus.ask("POST", "/uploads", Upload_Concat=f"final;{addresses}", Upload_Metadata=encoded(key="a.mp4"))
    assert whole.status_code == 201
    assert kept(api, whole.headers["x-job-id"]) == VIDEO
    assert (await api.job(whole.headers["x-job-id"]))["key"] == "a.mp4"
    assert [name for url in (*parts, whole.headers["location"]) for name in stored(api, url)] == [
        f"input/{whole.headers['x-job-id']}/original"
    ]
    final = whole.headers["location"]
    head = await tus.head(final)
    assert (head.headers["upload-length"], head.headers["upload-concat"]) == ("150000", f"final;{' '.join(parts)}")
    assert head.headers["upload-offset"] == head.headers["upload-length"]
    assert_problem(await tus.patch(final, len(VIDEO), b""), 403, "upload.is_final")


async def test_parts_that_two_put_together_at_once_are_one_video(api: Api, tus: Tus) -> None:
    parts = [(await tus.create(50_000, Upload_Concat="partial")).headers["location"] for _ in range(3)]
    for number, url in enumerate(parts):
        await tus.patch(url, 0, VIDEO[number * 50_000 : (number + 1) * 50_000])
    told = {"Upload_Concat": f"final;{' '.join(parts)}"}
    answers = await asyncio.gather(*(tus.ask("POST", "/uploads", **told) for _ in range(4)))
    [made] = [answer for answer in answers if answer.status_code == 201]
    assert {answer.status_code for answer in answers if answer is not made} <= {404, 423}
    assert kept(api, made.headers["x-job-id"]) == VIDEO


async def test_where_only_post_can_be_sent_the_method_is_a_header(tus: Tus) -> None:
    url = await tus.created(10)
    sent = await tus.ask("POST", url, b"12345", **OCTETS, Upload_Offset="0", X_HTTP_Method_Override="PATCH")
    assert (sent.status_code, sent.headers["upload-offset"]) == (204, "5")
    assert (await tus.ask("POST", url, X_HTTP_Method_Override="DELETE")).status_code == 204
    later = await tus.created(None)
    await tus.ask(
        "POST", later, b"12345", **OCTETS, Upload_Offset="0", Upload_Length="5", X_HTTP_Method_Override="PATCH"
    )
    assert (await tus.head(later)).headers["upload-length"] == "5"


async def test_two_creations_of_one_name_are_the_same_only_with_the_same_headers(tus: Tus) -> None:
    first = await tus.create(10, Idempotency_Key="one", Upload_Metadata=encoded(key="a"))
    again = await tus.create(10, Idempotency_Key="one", Upload_Metadata=encoded(key="a"))
    assert again.headers["location"] == first.headers["location"]
    for other in (
        await tus.create(11, Idempotency_Key="one", Upload_Metadata=encoded(key="a")),
        await tus.create(10, Idempotency_Key="one", Upload_Metadata=encoded(key="b")),
    ):
        assert_problem(other, 422, "request.idempotency_key_reused")


async def test_a_creation_that_a_killed_process_did_not_answer_is_one_upload(api: Api, tus: Tus) -> None:
    """It had written the row, or the first bytes, and died before it could say so."""
    asked = {"Idempotency_Key": "killed", "Upload_Metadata": encoded(key="killed"), **OCTETS}
    first = await tus.create(10, b"12345", **asked)
    dsn = str(api.settings.database.dsn)
    await run_sql(dsn, "UPDATE idempotency_keys SET status = NULL, lease_until = now() WHERE key = 'killed'")
    again = await tus.create(10, b"12345", **asked)
    assert (again.status_code, again.headers["location"]) == (201, first.headers["location"])
    assert again.headers["upload-offset"] == "5"
    await tus.patch(first.headers["location"], 5, b"67890")
    assert kept(api, id_in(first.headers["location"])) == b"1234567890"
    assert len(await run_sql(dsn, "SELECT FROM jobs WHERE key = 'killed'")) == 1


async def test_parts_that_a_killed_process_had_put_together_are_one_video(api: Api, tus: Tus) -> None:
    part = (await tus.create(3, b"abc", Upload_Concat="partial", **OCTETS)).headers["location"]
    asked = {"Idempotency_Key": "final", "Upload_Concat": f"final;{part}", "Upload_Metadata": encoded(key="final")}
    first = await tus.ask("POST", "/uploads", **asked)
    assert first.status_code == 201
    dsn = str(api.settings.database.dsn)
    await run_sql(dsn, "UPDATE idempotency_keys SET status = NULL, lease_until = now() WHERE key = 'final'")
    again = await tus.ask("POST", "/uploads", **asked)
    assert (again.status_code, again.headers["x-job-id"]) == (201, first.headers["x-job-id"])
    assert len(await run_sql(dsn, "SELECT FROM jobs WHERE key = 'final'")) == 1


# ── two who write ───────────────────────────────────────────────────────────────────────────────────────────────────
class Slow:
    """A sender whose bytes come when a test says so."""

    def __init__(self) -> None:
        self.pieces = asyncio.Queue[bytes | None]()

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._all()

    async def _all(self) -> AsyncIterator[bytes]:
        while (piece := await self.pieces.get()) is not None:
            yield piece


@pytest.mark.parametrize("elsewhere", [False, True], ids=["same API", "another API"])
async def test_a_silent_sender_makes_way_and_what_it_sent_counts(
    api: Api, serve: Serve, tus: Tus, elsewhere: bool
) -> None:
    url, silent = await tus.created(len(VIDEO)), Slow()
    async with serve() if elsewhere else nullcontext(api) as other:
        second = Tus(other)
        first = asyncio.create_task(tus.patch(url, 0, silent))
        silent.pieces.put_nowait(VIDEO[:80_000])
        while await second.offset(url) < 80_000:
            pass
        done = await second.patch(url, 80_000, VIDEO[80_000:])
        assert done.status_code == 204, done.text
        silent.pieces.put_nowait(None)
        assert_problem(await first, 423, "upload.locked")
    assert kept(api, done.headers["x-job-id"]) == VIDEO


async def test_whoever_only_watches_stops_no_sender(api: Api, tus: Tus) -> None:
    """However slow it is: a page asks every second."""
    url, slow = await tus.created(20), Slow()
    sending = asyncio.create_task(tus.patch(url, 0, slow))
    slow.pieces.put_nowait(VIDEO[:10])
    await asyncio.sleep(0.6)  # Silent for longer than one who must make way.
    assert (await api.http.get(url)).json()["received_bytes"] == 0
    slow.pieces.put_nowait(VIDEO[10:20])
    slow.pieces.put_nowait(None)
    assert (await sending).status_code == 204
    assert kept(api, id_in(url)) == VIDEO[:20]


async def test_a_sender_whose_bytes_are_coming_is_left_alone(api: Api, tus: Tus) -> None:
    url, busy = await tus.created(len(VIDEO)), Slow()
    first = asyncio.create_task(tus.patch(url, 0, busy))
    second: asyncio.Task[object] | None = None
    for start in range(0, 100_000, 1000):
        busy.pieces.put_nowait(VIDEO[start : start + 1000])
        if start == 10_000:
            second = asyncio.create_task(tus.patch(url, 0, VIDEO))
        if second is not None and second.done():
            break
        await asyncio.sleep(0.05)
    assert second is not None
    response = await second
    assert_problem(response, 423, "upload.locked")  # type: ignore[arg-type]
    busy.pieces.put_nowait(None)
    assert (await first).status_code == 204
    assert await tus.offset(url) == start + 1000


async def test_overlapping_requests_write_each_byte_once(api: Api, tus: Tus) -> None:
    url = await tus.created(len(VIDEO))
    answers = await asyncio.gather(*(tus.patch(url, 0, VIDEO) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers)[:1] == [204]
    assert {answer.status_code for answer in answers} <= {204, 409, 423}
    assert [answer.status_code for answer in answers].count(204) == 1
    assert kept(api, id_in(url)) == VIDEO


@pytest.mark.parametrize("status", ["processing", "completed"])
async def test_who_has_all_bytes_second_leaves_the_job_and_its_video_alone(
    api: Api, tus: Tus, monkeypatch: pytest.MonkeyPatch, status: str
) -> None:
    """The lock of an upload can be lost with its connection; then another API finishes it, and its job begins."""
    described = Uploads.describe_original

    async def another_is_first(uploads: Uploads, job_id: UUID, size_bytes: int, digest: str) -> None:
        await described(uploads, job_id, size_bytes, digest)
        began = "UPDATE jobs SET status = $2, launched_at = now() WHERE id = $1"
        await run_sql(str(api.settings.database.dsn), began, job_id, status)

    monkeypatch.setattr(Uploads, "describe_original", another_is_first)
    url = await tus.created(len(VIDEO))
    response = await tus.patch(url, 0, VIDEO)
    assert response.status_code == 204
    job_id = response.headers["x-job-id"]
    assert (await api.job(job_id))["status"] == status
    assert kept(api, job_id) == VIDEO


async def test_whoever_ends_it_need_not_wait_for_the_sender(api: Api, tus: Tus) -> None:
    url, busy = await tus.created(len(VIDEO)), Slow()
    first = asyncio.create_task(tus.patch(url, 0, busy))
    busy.pieces.put_nowait(VIDEO[:1000])
    await asyncio.sleep(0)
    assert (await tus.ask("DELETE", url)).status_code == 204
    busy.pieces.put_nowait(None)
    assert (await first).status_code in {410, 423}
    assert (await api.job(id_in(url)))["status"] == "cancelled"
    assert stored(api, url) == []
