"""The real tus-js-client, as Uppy has it inside: what it does unchanged, this server understands."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from callers import SECRET
from commandline import environment
from conftest import FILM_BYTES, MEBIBYTE, World
from pydantic import SecretStr
from serving import serving
from tus import Tus

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials
from streamforge.db.pool import Database
from streamforge.embedded.ports import free_port
from streamforge.settings import AuthSettings, Settings

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_it_uploads(world: World) -> None:
    upload = world.client.start(world.endpoint, world.film, metadata={"filename": "holiday.mp4", "priority": "1"})
    done = await upload.until("success")
    assert world.has_whole_film(done["jobId"])
    assert done["requests"] == ["POST 201", "PATCH 204"]
    job = await world.api.job(done["jobId"])
    assert (job["key"], job["options"]["priority"]) == ("holiday.mp4", 1)  # type: ignore[index]


async def test_it_pauses_and_goes_on(world: World) -> None:
    upload = world.client.start(world.endpoint, world.film, pause_at=30 * MEBIBYTE)
    paused = await upload.until("paused")
    offset = await Tus(world.api).offset(paused["url"].removeprefix(world.api.url))
    assert 0 < offset < FILM_BYTES
    upload.do("resume")
    first = await upload.until("progress")
    assert first["sent"] >= offset
    assert world.has_whole_film((await upload.until("success"))["jobId"])


async def test_it_uploads_in_parallel(world: World) -> None:
    upload = world.client.start(world.endpoint, world.film, parallelUploads=4, metadata={"filename": "parallel.mp4"})
    done = await upload.until("success")
    assert world.has_whole_film(done["jobId"])
    assert (await world.api.job(done["jobId"]))["key"] == "parallel.mp4"


async def test_it_sends_small_pieces_without_knowing_how_many(world: World) -> None:
    upload = world.client.start(
        world.endpoint, world.film, chunkSize=40 * MEBIBYTE, uploadLengthDeferred=True, uploadDataDuringCreation=True
    )
    assert world.has_whole_film((await upload.until("success"))["jobId"])


async def test_it_uploads_where_only_post_comes_through(world: World) -> None:
    upload = world.client.start(world.endpoint, world.film, overridePatchMethod=True)
    done = await upload.until("success")
    assert done["requests"] == ["POST 201", "POST 204"]


async def test_it_gives_up_and_nothing_is_left(world: World) -> None:
    upload = world.client.start(world.endpoint, world.film)
    await upload.until("progress", lambda told: told["sent"] > MEBIBYTE)
    upload.do("terminate")
    url = (await upload.until("terminated"))["url"]
    job_id = url.rpartition("/")[2]
    assert (await world.api.job(job_id))["status"] == "cancelled"
    assert [name for name in world.api.stored if job_id in name] == []


async def test_what_is_refused_is_told_and_not_tried_again(world: World) -> None:
    upload = world.client.start(world.endpoint, world.film, metadata={"priority": "9"})
    refused = await upload.until("error")
    assert refused["status"] == 400
    assert "request.invalid_field" in refused["body"]
    assert refused["requests"] == ["POST 400"]


async def test_two_of_them_on_one_upload_both_come_to_its_end(world: World) -> None:
    first = world.client.start(world.endpoint, world.film)
    url = (await first.until("url"))["url"]
    second = world.client.start(world.endpoint, world.film, uploadUrl=url)
    jobs = {(await upload.until("success"))["jobId"] for upload in (first, second)}
    assert jobs == {url.rpartition("/")[2]}
    assert world.has_whole_film(jobs.pop())


async def test_it_shows_its_key_where_callers_are_known(world: World) -> None:
    auth = AuthSettings(required=True, secret=SecretStr(SECRET))
    settings = world.settings.model_copy(update={"auth": auth})
    database = await Database.open(str(settings.database.dsn))
    credentials = Credentials(database)
    keys = ApiKeys(credentials, Standing(credentials), InstallationSecret(settings))
    key = await keys.create("alice", [Scope.SUBMIT], None)
    await database.close()
    async with serving(settings) as api:
        stranger = world.client.start(f"{api.url}/uploads", world.film)
        assert (await stranger.until("error"))["status"] == 401
        upload = world.client.start(f"{api.url}/uploads", world.film, headers={"Authorization": f"Bearer {key}"})
        assert world.has_whole_film((await upload.until("success"))["jobId"])


# ── the server dies ─────────────────────────────────────────────────────────────────────────────────────────────────
@asynccontextmanager
async def api_process(settings: Settings, port: int) -> AsyncIterator["subprocess.Popen[bytes]"]:
    environ = environment(
        STREAMFORGE_DATA_DIR=str(settings.data_dir),
        STREAMFORGE_DATABASE__DSN=str(settings.database.dsn),
        STREAMFORGE_TEMPORAL__ADDRESS=settings.temporal.address,
        STREAMFORGE_SERVER__PORT=str(port),
        STREAMFORGE_INPUT__MIN_FREE_DISK_BYTES="0",
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "streamforge", "api"], env=environ, cwd=settings.data_dir, stderr=subprocess.DEVNULL
    )
    try:
        async with asyncio.timeout(60), httpx.AsyncClient() as http:
            while True:
                try:
                    await http.get(f"http://127.0.0.1:{port}/health")
                    break
                except httpx.TransportError:
                    await asyncio.sleep(0.05)
        yield process
    finally:
        process.kill()
        process.wait()


async def test_a_server_that_is_killed_costs_no_more_than_its_unflushed_tail(world: World) -> None:
    port = free_port("127.0.0.1")
    async with api_process(world.settings, port) as process:
        upload = world.client.start(f"http://127.0.0.1:{port}/uploads", world.film)
        url = (await upload.until("url"))["url"].rpartition(":")[2].partition("/")[2]
        killed = await upload.until("progress", lambda told: told["sent"] >= 64 * MEBIBYTE)
        process.send_signal(signal.SIGKILL)
        process.wait()
    kept = await Tus(world.api).offset(f"/{url}")
    if kept < FILM_BYTES:
        # What was on its way, in sockets and in memory, is the rest.
        assert kept >= killed["sent"] - 40 * MEBIBYTE
    async with api_process(world.settings, port):
        assert world.has_whole_film((await upload.until("success"))["jobId"])
