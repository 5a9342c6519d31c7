"""The Python client over lines that break, against the real API: nothing is done twice, lost, or sent again without need."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from broken_line import BrokenLine, broken_line
from every_endpoint import World
from factories import COMPLETED, progress

from streamforge.client import FileChanged, InvalidRequest, NotFound, StreamEvent, StreamForgeClient
from streamforge.contracts.job import JobStatus
from streamforge.storage import layout

pytestmark = pytest.mark.asyncio(loop_scope="module")

MEBIBYTE = 2**20
FILM_BYTES = 12 * MEBIBYTE


@pytest_asyncio.fixture(loop_scope="module")
async def line(world: World) -> AsyncIterator[BrokenLine]:
    async with broken_line(world.api.address) as line:
        yield line


@pytest_asyncio.fixture(loop_scope="module")
async def client(world: World, line: BrokenLine) -> AsyncIterator[StreamForgeClient]:
    async with StreamForgeClient(line.url, api_key=world.key) as client:
        yield client


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing of it is like anything else of it."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + os.urandom(FILM_BYTES))
    return path


def original(world: World, job_id: UUID) -> bytes:
    return (world.api.settings.data_dir / "storage" / layout.original(job_id)).read_bytes()


async def test_an_upload_goes_on_where_the_line_broke(
    world: World, line: BrokenLine, client: StreamForgeClient, film: Path, tmp_path: Path
) -> None:
    told: list[int] = []
    line.break_after(sent=8 * MEBIBYTE)
    job_id = await client.upload(film, memory=tmp_path, on_progress=lambda sent, _: told.append(sent))
    assert original(world, job_id) == film.read_bytes()
    assert line.breaks == 1
    assert line.counted["sent"] < FILM_BYTES + 6 * MEBIBYTE, "what had arrived was not sent again"
    assert told[-1] == film.stat().st_size
    assert list(tmp_path.iterdir()) == [], "nothing is remembered of what is over"


KILLED = """
import os, signal, sys
from pathlib import Path
from streamforge.client import SyncStreamForgeClient

def until_half(sent, size):
    if sent > size // 2:
        os.kill(os.getpid(), signal.SIGKILL)

with SyncStreamForgeClient(sys.argv[1], api_key=os.environ["KEY"]) as client:
    client.upload(Path(sys.argv[2]), memory=Path(sys.argv[3]), on_progress=until_half, key="killed")
"""


async def test_an_upload_goes_on_where_its_process_was_killed(
    world: World, line: BrokenLine, client: StreamForgeClient, film: Path, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", KILLED, line.url, str(film), str(tmp_path)]
    process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "KEY": world.key})
    assert await process.wait() == -signal.SIGKILL
    [begun] = (await client.find(key="killed")).jobs
    sent_before = line.counted["sent"]
    other_fields = await client.upload(film, memory=tmp_path, key="another")
    assert other_fields != begun.id, "what was asked for otherwise is another upload"
    all_of_it = line.counted["sent"] - sent_before
    job_id = await client.upload(film, memory=tmp_path, key="killed")
    assert job_id == begun.id
    assert original(world, job_id) == film.read_bytes()
    assert line.counted["sent"] - sent_before - all_of_it < FILM_BYTES * 3 / 4


async def test_an_upload_that_was_ended_meanwhile_begins_anew(
    world: World, client: StreamForgeClient, film: Path, tmp_path: Path
) -> None:
    def interrupt(sent: int, size: int) -> None:
        if sent > size // 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        # As Ctrl-C does, which no part of the client may take for an error of the line.
        await client.upload(film, memory=tmp_path, key="ended", on_progress=interrupt)
    [begun] = (await client.find(key="ended")).jobs
    await client.cancel(begun.id)
    job_id = await client.upload(film, memory=tmp_path, key="ended")
    assert job_id != begun.id
    assert original(world, job_id) == film.read_bytes()


async def test_an_upload_whose_answer_is_lost_is_begun_once(
    line: BrokenLine, client: StreamForgeClient, film: Path, tmp_path: Path
) -> None:
    line.break_after(received=0)
    job_id = await client.upload(film, memory=tmp_path, key="begun once")
    assert line.breaks == 1
    assert [job.id for job in (await client.find(key="begun once")).jobs] == [job_id]


async def test_a_file_that_is_written_to_while_it_is_sent_is_an_error(
    client: StreamForgeClient, film: Path, tmp_path: Path
) -> None:
    growing = tmp_path / "growing.mp4"
    growing.write_bytes(film.read_bytes())

    def grow(sent: int, _size: int) -> None:
        if sent > MEBIBYTE:
            growing.write_bytes(b"shorter")

    with pytest.raises(FileChanged, match="written to"):
        await client.upload(growing, memory=tmp_path / "memory", on_progress=grow)


async def test_an_upload_that_is_refused_says_why(client: StreamForgeClient, film: Path, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="priority") as refused:
        await client.upload(film, memory=tmp_path, priority="9")
    assert refused.value.code == "request.invalid_field"
    assert refused.value.request_id


@pytest.mark.parametrize("lost", [{"received": 0}, {"sent": 4 * MEBIBYTE}], ids=["answer", "half of the film"])
async def test_a_video_is_accepted_once_though_the_line_broke(
    line: BrokenLine, client: StreamForgeClient, film: Path, lost: dict[str, int]
) -> None:
    key = f"once, {lost}"
    line.break_after(**lost)
    job_id = await client.submit(film, key=key)
    assert line.breaks == 1
    assert [job.id for job in (await client.find(key=key)).jobs] == [job_id]


async def test_what_makes_another_job_makes_one_though_its_answer_was_lost(
    world: World, line: BrokenLine, client: StreamForgeClient, film: Path
) -> None:
    first = await client.submit(film, key="made of")
    line.break_after(received=0)
    made = await client.reprocess(first, priority=1)
    assert {job.id for job in (await client.find(key="made of")).jobs} == {first, made}


@pytest.mark.parametrize("by", ["events", "websocket"])
async def test_a_watch_goes_on_where_the_line_broke(
    world: World, line: BrokenLine, client: StreamForgeClient, by: str
) -> None:
    job_id = await world.accepted()
    watched = client.watch(job_id) if by == "events" else client.watch_by_websocket(job_id=job_id)
    seen: list[StreamEvent] = []
    async with asyncio.timeout(60):
        async for event in watched:
            seen.append(event)
            match len(seen):
                case 1:
                    await world.events.append(job_id, progress(20, "heard"))
                case 2:
                    line.break_after(received=0)
                    await world.events.append(job_id, progress(30, "lost on its way"))
                    await world.events.append(job_id, COMPLETED)
    assert line.breaks == 1
    numbers = [int(event.id) for event in seen if event.event == "progress" and event.id is not None]
    assert numbers == [2, 3, 4]
    assert [event.event for event in seen if event.event != "progress"] == ["status", "status", "done"]


async def test_a_file_is_there_when_it_is_whole(
    world: World, line: BrokenLine, client: StreamForgeClient, tmp_path: Path
) -> None:
    job_id = await world.completed()
    line.break_after(received=0)
    await client.download(job_id, "master.m3u8", tmp_path / "master.m3u8")
    assert line.breaks == 1
    with pytest.raises(NotFound):
        await client.download(job_id, "other.m3u8", tmp_path / "other.m3u8")
    assert [path.name for path in tmp_path.iterdir()] == ["master.m3u8"]


async def test_a_job_that_is_followed_may_be_cancelled_meanwhile(world: World, client: StreamForgeClient) -> None:
    job_id = await world.accepted()
    async for event in client.watch(job_id):
        if event.event == "status" and event.id == "1":
            await client.cancel(job_id)
    assert (await client.job(job_id)).status is JobStatus.CANCELLED
