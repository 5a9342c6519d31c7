"""`Idempotency-Key`: a POST that names itself is done once, however often and wherever it comes."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from uuid import UUID

import httpx
import pytest
from factories import new_job, run_sql
from serving import Api, assert_problem

from streamforge.db.idempotency import Answered, Begun, IdempotencyKeys
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database

KEY = "6b0f9c2e-1"
VIDEO = b"some bytes"


async def sent(api: Api, key: str = KEY, video: bytes = VIDEO, path: str = "/process", **fields: str) -> httpx.Response:
    files = {"video": ("clip.mp4", video, "video/mp4")}
    return await api.http.post(path, files=files, data=fields, headers={"Idempotency-Key": key})


async def count(rows: Jobs) -> int:
    return len(await rows.of(EVERYONE).newest(10))


async def test_the_same_again_is_answered_the_same_and_done_once(api: Api, rows: Jobs) -> None:
    """Forms have another boundary each time."""
    first, again = await sent(api, priority="2"), await sent(api, priority="2")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.headers["content-type"] != "", "httpx makes a new boundary for each request"
    assert again.json() == first.json()
    assert again.headers["location"] == first.headers["location"]
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-request-id"] != first.headers["x-request-id"]
    assert "idempotency-replayed" not in first.headers
    assert await count(rows) == 1
    assert (await sent(api, "another")).json() != first.json()
    assert await count(rows) == 2


async def test_another_request_under_the_same_name_is_refused(api: Api, rows: Jobs) -> None:
    assert (await sent(api)).status_code == 202
    for other in (
        await sent(api, video=b"other bytes"), await sent(api, video=VIDEO * 1000), await sent(api, priority="1"),
        await sent(api, path="/batches"), await sent(api, path="/process?dry_run=false"),
    ):  # fmt: skip
        assert_problem(other, 422, "request.idempotency_key_reused")
    assert await count(rows) == 1


async def test_a_second_one_while_the_first_is_worked_on_is_refused(api: Api, rows: Jobs) -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    async def slowly() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\nsome '
        begun.set()
        await go.wait()
        yield b"bytes\r\n--b--\r\n"

    headers = {"Idempotency-Key": KEY, "Content-Type": "multipart/form-data; boundary=b"}
    first = asyncio.create_task(api.http.post("/process", content=slowly(), headers=headers))
    await begun.wait()
    async with asyncio.timeout(20):
        while not await run_sql(str(api.settings.database.dsn), "SELECT FROM idempotency_keys"):
            await asyncio.sleep(0.02)
    assert_problem(await sent(api), 409, "request.idempotency_in_flight")
    go.set()
    assert (await first).status_code == 202
    go.set()
    again = await api.http.post("/process", content=slowly(), headers=headers)
    assert again.json() == (await first).json()
    assert await count(rows) == 1


async def test_what_did_not_succeed_frees_its_name(api: Api, rows: Jobs) -> None:
    assert_problem(await sent(api, priority="9"), 400, "request.invalid_field")
    assert (await sent(api)).status_code == 202
    assert await count(rows) == 1


async def test_what_a_killed_process_left_is_made_once(api: Api, rows: Jobs, database: Database) -> None:
    """It had written the row, and died before it could say so."""
    keys = IdempotencyKeys(EVERYONE, database)
    begun = await keys.begin(KEY, "POST /process?")
    assert isinstance(begun, Begun)
    job = new_job(id=begun.made_id, source_sha256=sha256(VIDEO).hexdigest())
    await rows.of(EVERYONE).create(job, progress=5, message="File received")
    assert_problem(await sent(api), 409, "request.idempotency_in_flight")
    await run_sql(str(api.settings.database.dsn), "UPDATE idempotency_keys SET lease_until = now()")
    taken_over = await sent(api)
    assert UUID(taken_over.json()["job_id"]) == begun.made_id
    assert await count(rows) == 1


async def sent_as_batch(api: Api, *videos: bytes) -> httpx.Response:
    files = [("video", (f"{number}.mp4", video, "video/mp4")) for number, video in enumerate(videos)]
    return await api.http.post("/batches", files=files, headers={"Idempotency-Key": KEY})


async def test_a_batch_that_a_killed_process_left_is_made_once(api: Api, rows: Jobs) -> None:
    first = await sent_as_batch(api, b"a", b"b", b"c")
    assert first.status_code == 202
    stored = api.stored
    await run_sql(str(api.settings.database.dsn), "UPDATE idempotency_keys SET status = NULL, lease_until = now()")
    again = await sent_as_batch(api, b"a", b"b", b"c")
    assert (again.status_code, again.json()) == (202, first.json())
    assert await count(rows) == 3
    assert api.stored == stored


async def test_a_batch_that_a_killed_process_left_is_not_taken_for_other_videos(api: Api, rows: Jobs) -> None:
    await sent_as_batch(api, b"a", b"b")
    stored = api.stored
    await run_sql(str(api.settings.database.dsn), "UPDATE idempotency_keys SET status = NULL, lease_until = now()")
    assert_problem(await sent_as_batch(api, b"a", b"other"), 422, "request.idempotency_key_reused")
    assert await count(rows) == 2
    assert api.stored == stored


async def test_what_failed_of_us_is_gone_on_with_and_what_was_refused_begins_anew(api: Api, database: Database) -> None:
    """A row may be committed though its connection died before it could say so."""
    begun = await IdempotencyKeys(EVERYONE, database).begin(KEY, "POST /process?")
    assert isinstance(begun, Begun)
    await begun.abandon()
    assert UUID((await sent(api)).json()["job_id"]) == begun.made_id
    refused = await IdempotencyKeys(EVERYONE, database).begin("another", "POST /process?")
    assert isinstance(refused, Begun)
    await refused.release()
    assert UUID((await sent(api, "another")).json()["job_id"]) != refused.made_id


async def test_a_sender_who_goes_leaves_the_id_of_what_it_would_have_made(api: Api, rows: Jobs) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="video"; filename="a.mp4"\r\n\r\nsome '
        raise ConnectionResetError

    headers = {"Idempotency-Key": KEY, "Content-Type": "multipart/form-data; boundary=b"}
    with pytest.raises(ConnectionResetError):
        await api.http.post("/process", content=broken(), headers=headers)
    async with asyncio.timeout(20):
        while (answer := await sent(api)).status_code == 409:
            await asyncio.sleep(0.02)
    assert answer.status_code == 202
    assert await count(rows) == 1


async def test_what_a_killed_process_left_is_not_taken_for_another_video(
    api: Api, rows: Jobs, database: Database
) -> None:
    begun = await IdempotencyKeys(EVERYONE, database).begin(KEY, "POST /process?")
    assert isinstance(begun, Begun)
    await rows.of(EVERYONE).create(new_job(id=begun.made_id), progress=5, message="File received")
    await run_sql(str(api.settings.database.dsn), "UPDATE idempotency_keys SET lease_until = now()")
    assert_problem(await sent(api), 422, "request.idempotency_key_reused")


async def test_a_name_lasts_a_day(api: Api, rows: Jobs) -> None:
    await sent(api)
    await run_sql(
        str(api.settings.database.dsn), "UPDATE idempotency_keys SET created_at = created_at - interval '25 hours'"
    )
    assert (await sent(api, video=b"other bytes")).status_code == 202
    assert await count(rows) == 2


async def test_a_name_is_its_owners(database: Database) -> None:
    for owner in ("alice", "bob"):
        begun = await IdempotencyKeys(owner, database).begin(KEY, "POST /process?")
        assert isinstance(begun, Begun)
    assert isinstance(await IdempotencyKeys("alice", database).begin(KEY, "POST /process?"), Answered)


@pytest.mark.parametrize("key", ["", "x" * 256, "é"])
async def test_what_is_no_name_is_refused(api: Api, key: str) -> None:
    files = {"video": ("clip.mp4", VIDEO, "video/mp4")}
    refused = await api.http.post("/process", files=files, headers=[("Idempotency-Key", key.encode("latin-1"))])
    assert_problem(refused, 400, "request.invalid_field")


async def test_a_change_without_a_body_can_name_itself_too(api: Api) -> None:
    job_id = await api.post_ok()
    headers = {"Idempotency-Key": KEY}
    paused = await api.http.post(f"/jobs/{job_id}/pause", headers=headers)
    assert (await api.http.post(f"/jobs/{job_id}/pause", headers=headers)).json() == paused.json()
    assert_problem(
        await api.http.post(f"/jobs/{job_id}/resume", headers=headers), 422, "request.idempotency_key_reused"
    )
