"""The Python clients ask a real API for everything that its description says it can do."""

import asyncio
import inspect
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio
from every_endpoint import NOT_YET_COVERED, PLAYLIST, WORKER, World, described, without_a_method

from streamforge.client import NotFound, StreamEvent, StreamForgeClient, SyncStreamForgeClient
from streamforge.contracts.job import JobStatus

in_one_loop = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module")
async def client(world: World) -> AsyncIterator[StreamForgeClient]:
    async with StreamForgeClient(world.api.url, api_key=world.key) as client:
        yield client


@pytest.fixture
def film(tmp_path: Path) -> Path:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"some bytes" * 100)
    return path


@in_one_loop
async def test_every_endpoint_has_a_method_that_asks_for_it(
    world: World, client: StreamForgeClient, film: Path, tmp_path: Path
) -> None:
    await jobs_are_sent(client, film, tmp_path)
    await jobs_are_looked_at(world, client)
    await jobs_are_changed(world, client)
    await streams_are_watched(world, client)
    await streams_are_played(world, client, tmp_path)
    await others_report(client)
    await others_are_told(client)
    await callers_are_known(client)
    await operators_look(client)
    assert without_a_method(world.requests.succeeded) == set(), world.requests.refused


async def jobs_are_sent(client: StreamForgeClient, film: Path, folder: Path) -> None:
    job_id = await client.submit(film, key="one", priority="2")
    assert (await client.job(job_id)).options.priority == 2
    fetched = await client.submit_url("https://1.1.1.1/film.mp4", key="by its address", priority=2)
    assert (await client.job(fetched)).key == "by its address"
    assert len((await client.submit_batch([film, film])).jobs) == 2
    assert "creation" in (await client.upload_limits()).extensions
    by_patch = await client.upload(film, memory=folder / "memory", key="by patch")
    by_post = await client.upload(film, memory=folder / "memory", key="by post", by_post=True)
    assert [job.key for job in await client.jobs([by_patch, by_post])] == ["by patch", "by post"]
    assert (await client.upload_progress(by_patch)).received_bytes == film.stat().st_size
    begun = await client._transport.ask("POST", "/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "10"})
    upload_id = UUID(begun.headers["location"].rpartition("/")[2])
    await client.end_upload(upload_id)
    assert (await client.job(upload_id)).status is JobStatus.CANCELLED


async def jobs_are_looked_at(world: World, client: StreamForgeClient) -> None:
    job_id = await world.accepted(key="a film to be found")
    assert [job.id for job in (await client.find(q="found")).jobs] == [job_id]
    assert [job.id async for job in client.find_all(q="found")] == [job_id]
    assert [event.data["message"] for event in (await client.events(job_id)).events] == ["File received"]
    assert (await client.chunks(job_id)).chunks == (await client.refresh_chunks(job_id)).chunks == []
    assert isinstance(await client.logs(job_id), list)


async def jobs_are_changed(world: World, client: StreamForgeClient) -> None:
    job_id, failed = await world.accepted(), await world.failed()
    assert (await client.pause(job_id)).paused_at is not None
    assert (await client.resume(job_id)).paused_at is None
    assert (await client.change(job_id, metadata={"a": 1})).metadata == {"a": 1}
    assert (await client.retry(failed)).retries == 1
    assert (await client.job(await client.reprocess(failed, priority=1))).priority == 1
    changed = await client.change_many("cancel", ids=[job_id])
    assert [(job.job_id, job.status) for job in changed.results] == [(job_id, 202)]
    assert (await client.cancel(job_id)).id == job_id
    completed = await world.completed()
    await client.purge(completed)
    with pytest.raises(NotFound, match="no such job"):
        await client.job(completed)


async def streams_are_watched(world: World, client: StreamForgeClient) -> None:
    job_id = await world.completed()
    seen: list[StreamEvent] = []
    assert (await client.follow(job_id, seen.append)).status is JobStatus.COMPLETED
    assert seen[-1].event == "done"
    by_websocket = [event.event async for event in client.watch_by_websocket(job_id=job_id, last_event_id="0")]
    assert by_websocket == [event.event async for event in client.watch(job_id, last_event_id="0")]
    async for event in client.watch_everything(owner="everyone"):
        assert event.event == "status"
        break
    sent = await client.submit_batch([Path(__file__)])
    assert (await client.batch(sent.batch_id)).total == 1
    async for event in client.watch_batch(sent.batch_id):
        assert event.event == "status"
        break


async def streams_are_played(world: World, client: StreamForgeClient, folder: Path) -> None:
    job_id, signed = await world.completed(), await world.completed(playback="signed")
    assert await client.media(job_id, "master.m3u8") == PLAYLIST
    await client.download(job_id, "master.m3u8", folder / "master.m3u8")
    assert (folder / "master.m3u8").read_bytes() == PLAYLIST
    key_id, kid = world.key_id(job_id), world.kid(job_id)
    assert len(await client.content_key(job_id, key_id)) == 16
    assert kid in [key.kid for key in await client.license(job_id, [kid])]
    address = (await client.refresh_playback(signed)).license
    assert address is not None
    signature = address.split("/")[3]
    assert len(await client.content_key(signed, world.key_id(signed), signature=signature)) == 16
    assert await client.license(signed, [world.kid(signed)], signature=signature)


async def others_report(client: StreamForgeClient) -> None:
    job_id = (await client.create_external("elsewhere.mp4", external_id="v-17", metadata={"a": 1})).id
    told = await client.report(job_id, video_id="v-17", status="processing", progress=40, stage="transcoding")
    assert (told.outcome, told.status, told.progress) == ("recorded", JobStatus.PROCESSING, 40)
    assert (await client.status_detailed(job_id)).videoId == "v-17"
    assert [status.progress for status in (await client.progress_history(job_id)).events][-1] == 40


async def others_are_told(client: StreamForgeClient) -> None:
    made = await client.create_webhook("https://1.1.1.1/hook", events=["job.completed"])
    assert (await client.change_webhook(made.id, description="CI")).description == "CI"
    assert [each.id for each in await client.webhooks()] == [(await client.webhook(made.id)).id]
    first = (await client.webhook_secret(made.id)).secret
    await client.rotate_webhook_secret(made.id)
    assert (await client.webhook_secret(made.id)).previous == first
    sent = await client.test_webhook(made.id)
    assert [each.id for each in (await client.deliveries(made.id, status="pending")).deliveries] == [sent.id]
    assert (await client.redeliver(made.id, sent.id)).type == "webhook.test"
    await client.delete_webhook(made.id)
    assert await client.webhooks() == []


async def callers_are_known(client: StreamForgeClient) -> None:
    assert (await client.who_am_i()).owner == "root"
    assert "?ticket=" in (await client.ticket("/jobs")).url
    assert (await client.sign_in()).expires_at is not None
    await client.sign_out()


async def operators_look(client: StreamForgeClient) -> None:
    assert (await client.queue())["unfinished"] > 0
    assert [worker.id for worker in await client.workers()] == [WORKER]
    assert (await client.drain(WORKER)).draining
    assert (await client.usage(owner="root"))["owner"] == "root"
    assert (await client.audit(limit=1)).entries
    assert (await client.health())["status"] == "healthy"
    assert "database" in (await client.ready()).checks
    assert "streamforge_" in await client.metrics()
    assert "GET /jobs" in (await client.index())["endpoints"]
    assert "/jobs" in (await client.openapi())["paths"]
    assert "<html" in await client.documentation()


def test_an_endpoint_without_a_method_is_named() -> None:
    assert without_a_method(described() - {"GET /jobs"}) == {"GET /jobs"}
    assert without_a_method(described()) == set()
    assert all(reason for reason in NOT_YET_COVERED.values())


# ── without async ───────────────────────────────────────────────────────────────────────────────────────────────────
def methods(kind: type) -> dict[str, Any]:
    return {name: member for name, member in inspect.getmembers(kind, callable) if not name.startswith("_")}


def test_the_client_that_blocks_has_the_same_methods_with_the_same_parameters() -> None:
    waits, blocks = methods(StreamForgeClient), methods(SyncStreamForgeClient)
    assert blocks.keys() - {"close"} == waits.keys() - {"aclose"}
    for name in waits.keys() - {"aclose"}:
        ours, theirs = inspect.signature(blocks[name]), inspect.signature(waits[name])
        assert ours.parameters.keys() - {"self"} == theirs.parameters.keys() - {"self"}, name


@in_one_loop
async def test_the_client_that_blocks_does_the_same(world: World, film: Path) -> None:
    completed = await world.completed(key="for who waits")

    def work() -> list[str]:
        with SyncStreamForgeClient(world.api.url, api_key=world.key) as client:
            job_id = client.submit(film)
            assert client.pause(job_id).paused_at is not None
            assert [job.id for job in client.find_all(q="waits")] == [completed]
            with pytest.raises(NotFound, match="no such job"):
                client.job(UUID("00000000-0000-4000-8000-000000000000"))
            first = next(iter(client.watch_everything()))
            return [first.event, *(event.event for event in client.watch(completed, last_event_id="0"))]

    assert await asyncio.to_thread(work) == ["status", "status", "progress", "progress", "done"]
