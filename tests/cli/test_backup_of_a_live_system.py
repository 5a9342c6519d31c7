"""`streamforge backup` while everything runs and a job is encoded; then the machine is gone, and another one goes on."""

import asyncio
import shutil
import signal
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import psutil
import pytest
from command_lines import CommandLines
from commandline import Up, clean_up, processes_of, start, streamforge

from streamforge.client import RequestRefused, StreamEvent, StreamForgeClient
from streamforge.contracts.job import JobStatus
from streamforge.contracts.job_view import JobView
from streamforge.contracts.receipt import RESULT
from streamforge.verification import Listed, verify

VIDEO = Path(__file__).parents[1] / "media" / "bottles-360p-40s.mp4"
QUICK = {
    "STREAMFORGE_TRANSCODE__PRESETS__H264": "ultrafast",
    "STREAMFORGE_TRANSCODE__MAX_CHUNK_SECONDS": "8",
    "STREAMFORGE_VALIDATION__ENABLED": "false",
    "STREAMFORGE_PICTURES__ENABLED": "false",
}
GIVEN = {
    "STREAMFORGE_AUTH__SECRET": "the secret of this installation " + uuid4().hex,
    "STREAMFORGE_KEYS__TOKEN": "the token for its keys " + uuid4().hex,
}
PROGRAMS = {"postgres", "temporal", "pg_dump"}


@pytest.fixture
def machines(tmp_path: Path) -> Iterator[list[Up]]:
    started: list[Up] = []
    yield started
    for each in started:
        clean_up(each.data_dir, each)


async def submit_and_hold_while_it_encodes(up: Up, client: StreamForgeClient, video: Path) -> UUID:
    """Its encoders stand still from then on."""
    job_id = await client.submit(video)
    async for event in client.watch(job_id):
        if (event.progress or 0) > 10:
            for encoder in psutil.Process(up.pid_of("worker")).children(recursive=True):
                encoder.suspend()
            return job_id
    raise AssertionError("the job ended before it was seen to encode")


async def completed(client: StreamForgeClient, job_id: UUID, seen: list[StreamEvent]) -> JobView:
    async with asyncio.timeout(180):
        job = await client.follow(job_id, seen.append)
    assert job.status is JobStatus.COMPLETED
    return job


def encoded(data_dir: Path, job_id: UUID) -> dict[str, str]:
    """The sha256 of all that viewers get."""
    receipt = (data_dir / "storage" / "output" / str(job_id) / RESULT).read_bytes()
    return {name: file.sha256 for name, file in Listed.model_validate_json(receipt).files.items()}


@pytest.fixture
def command_lines() -> Iterator[CommandLines]:
    with CommandLines() as lines:
        yield lines


def secrets_of(up: Up) -> set[str]:
    """All that it was given, or has made for itself."""
    made = [path.read_text() for path in up.data_dir.iterdir() if path.is_file() and "secret" in path.name]
    password = urlsplit(up.parts.dsn).password
    assert password
    return {*GIVEN.values(), password, *(secret.strip() for secret in made)}


@pytest.mark.timeout(600)
async def test_a_job_in_flight_goes_on_where_its_backup_is_restored(
    machines: list[Up], tmp_path: Path, command_lines: CommandLines
) -> None:
    lost = start(tmp_path / "d\u00e4ta #1?x=%20", **QUICK, **GIVEN)
    machines.append(lost)
    async with StreamForgeClient(lost.parts.api_url) as client:
        calm = await client.submit(VIDEO)
        await completed(client, calm, [])
        wanted = encoded(lost.data_dir, calm)
        in_flight = await submit_and_hold_while_it_encodes(lost, client, VIDEO)
        backup = await asyncio.to_thread(
            streamforge, "backup", str(tmp_path / "backup"), "--data-dir", str(lost.data_dir), cwd=tmp_path
        )
        assert backup.returncode == 0, backup.stderr
        assert "with 1 unfinished jobs." in backup.stdout
        late = await client.submit(VIDEO)
        secrets = secrets_of(lost)
    await lose(lost)
    shutil.rmtree(lost.data_dir)

    place = tmp_path / "another machine"
    restored = await asyncio.to_thread(
        streamforge, "restore", str(tmp_path / "backup"), "--data-dir", str(place), cwd=tmp_path
    )
    assert restored.returncode == 0, restored.stderr
    assert "1 unfinished jobs go on where they were when it is started." in restored.stdout
    everything = [*(tmp_path / "backup").rglob("*"), *place.rglob("*")]
    assert [path for path in everything if not path.is_symlink() and stat.S_IMODE(path.stat().st_mode) & 0o077] == []

    again = start(place, **QUICK, **GIVEN)
    machines.append(again)
    async with StreamForgeClient(again.parts.api_url) as client:
        await completed(client, in_flight, [])
        numbers = await numbers_of(again.parts.api_url, in_flight)
        assert numbers == list(range(1, len(numbers) + 1)), "an event is lost, or there twice"
        for job_id in (calm, in_flight):
            assert encoded(place, job_id) == wanted
            verified = await verify(str(place / "storage" / "output" / str(job_id)))
            assert (verified.problems, verified.unlisted) == ([], [])
        with pytest.raises(RequestRefused):
            await client.job(late)
    stored = {path.name for folder in ("input", "output", "work") for path in (place / "storage" / folder).iterdir()}
    assert stored == {str(calm), str(in_flight)}, "nothing of the job that came after the backup"
    assert str(late) not in stored
    assert again.stop() == 0
    assert processes_of(place) == []
    assert {program for program in PROGRAMS if command_lines.has_run(program)} == PROGRAMS
    told = [line for line in command_lines.seen if any(secret in line for secret in secrets)]
    assert told == [], "any user of the machine reads these"


async def lose(machine: Up) -> None:
    """As when its power fails: none of its processes has a last word."""
    everything = psutil.Process(machine.process.pid).children(recursive=True)
    machine.stop(signal.SIGKILL)
    for process in everything:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    async with asyncio.timeout(30):
        while processes_of(machine.data_dir):
            await asyncio.sleep(0.05)


async def numbers_of(url: str, job_id: UUID) -> list[int]:
    async with httpx.AsyncClient(base_url=url) as http:
        page = (await http.get(f"/jobs/{job_id}/events", params={"limit": 1000})).json()
    return [event["id"] for event in page["events"]]


def test_without_a_running_up_the_sentence_says_what_to_do(tmp_path: Path) -> None:
    refused = streamforge("backup", "backup", "--data-dir", "data", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("streamforge: No `streamforge up` runs on ")
    assert not (tmp_path / "backup").exists()
