"""Uploads of several requests, with a worker behind them: a film becomes a stream, what is none is refused at its first MiB."""

import asyncio
from pathlib import Path

from serving import assert_problem
from system import System
from tus import Tus

from streamforge.contracts.job import JobStatus

FILM = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"
LETTER = b"Dear server, this is a letter.\n" * 50_000
"""1.5 MB."""


async def until_failed(system: System, job_id: str) -> dict[str, object]:
    async with asyncio.timeout(60):
        while JobStatus(str((job := await system.api.job(job_id))["status"])) is JobStatus.PENDING:
            await asyncio.sleep(0.05)
    return job


async def test_a_film_in_pieces_becomes_a_stream(system: System) -> None:
    film, tus = FILM.read_bytes(), Tus(system.api)
    url = await tus.created(len(film), filename="film.mp4")
    half = len(film) // 2
    await tus.patch(url, 0, film[:half])
    job_id = (await tus.patch(url, half, film[half:])).headers["x-job-id"]
    frames = await system.api.whole_stream(job_id)
    assert frames[-1].event == "done"
    job = await system.api.job(job_id)
    assert job["status"] == "completed", job
    page = (await system.api.http.get(f"/jobs/{job_id}/events", params={"limit": 1000})).json()["events"]
    told = [(event["data"]["stage"], event["data"]["message"]) for event in page[:4]]
    assert told[:3] == [
        ("uploading", "Upload began"),
        ("uploading", "Received 50 %"),
        ("uploading", "File received"),
    ] or (told[1][1] == "Received 49 %")
    progress = [event["data"]["progress"] for event in page if event["event"] == "progress"]
    assert progress == sorted(progress)


async def test_what_is_no_video_is_refused_between_two_requests(system: System) -> None:
    tus = Tus(system.api)
    url = await tus.created(100 * len(LETTER), filename="film.mp4")
    assert (await tus.patch(url, 0, LETTER)).status_code in {204, 422}
    job = await until_failed(system, url.rpartition("/")[2])
    assert (job["error"]["code"], job["stage"]) == ("input.not_a_video", "failed")  # type: ignore[index]
    refused = await tus.patch(url, len(LETTER), LETTER)
    assert_problem(refused, 410, "upload.gone")
    assert refused.json()["detail"] == job["error_message"]
    assert [name for name in system.api.stored if url.rpartition("/")[2] in name] == []


async def test_and_while_its_bytes_are_coming(system: System) -> None:
    tus = Tus(system.api)
    url = await tus.created(100 * len(LETTER), filename="film.mp4")
    reader, writer = await asyncio.open_connection(*system.api.address)
    writer.write(
        f"PATCH {url} HTTP/1.1\r\nHost: localhost\r\nTus-Resumable: 1.0.0\r\nUpload-Offset: 0\r\n"
        f"Content-Type: application/offset+octet-stream\r\nContent-Length: {100 * len(LETTER)}\r\n\r\n".encode()
    )
    writer.write(LETTER)
    await writer.drain()
    async with asyncio.timeout(60):
        assert (await reader.readline()).startswith(b"HTTP/1.1 422")
    writer.close()
