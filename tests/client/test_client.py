"""The Python client against a scripted server: what it sends, what it makes of the answers, how it resumes."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from streamforge.client import (
    Conflict,
    InvalidRequest,
    JobNotCompleted,
    NotAllowed,
    NotAuthenticated,
    NotFound,
    RequestRefused,
    ServerFailed,
    ServerUnreachable,
    StreamForgeClient,
)
from streamforge.contracts.job import JobStatus
from streamforge.embedded.ports import free_port

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
Endpoint = Callable[[Request], Awaitable[Response]]


@asynccontextmanager
async def served(
    endpoint: Endpoint, api_key: str | None = None, retry_seconds: float = 0
) -> AsyncIterator[StreamForgeClient]:
    """A client of a server that answers everything with `endpoint`."""
    app = Starlette(routes=[Route("/{path:path}", endpoint, methods=["GET", "POST", "DELETE"])])
    server = uvicorn.Server(uvicorn.Config(app, port=free_port(), log_level="error", lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0)
    try:
        url = f"http://127.0.0.1:{server.config.port}"
        async with StreamForgeClient(url, api_key=api_key, retry_seconds=retry_seconds, give_up_seconds=5) as client:
            yield client
    finally:
        server.should_exit = True
        await serving


def frame(event: str, data: dict[str, object], number: int | None = None) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {event}\ndata: {json.dumps(data)}\n\n".encode()


STATUS = frame("status", {"job_id": str(JOB), "status": "processing", "stage": "transcoding", "progress": 10})
DONE = frame("done", {})


def progress(number: int) -> bytes:
    return frame("progress", {"job_id": str(JOB), "stage": "transcoding", "progress": 10 + number}, number)


def stream(*frames: bytes) -> Response:
    async def body() -> AsyncIterator[bytes]:
        for each in frames:
            yield each

    return StreamingResponse(body(), media_type="text/event-stream")


def job_json(status: str, **more: object) -> dict[str, object]:
    at = "2026-01-01T00:00:00Z"
    return {
        "id": str(JOB), "key": "film.mp4", "bucket": "input", "status": status, "stage": "completed",
        "progress": 100, "workflow_id": "w", "created_at": at, "updated_at": at, **more,
    }  # fmt: skip


async def test_submit_sends_the_file_as_video_with_its_fields_and_returns_the_job_id(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(b"bytes of a film" * 10_000)
    sent: dict[str, object] = {}

    async def receive(request: Request) -> Response:
        async with request.form() as form:
            upload = form["video"]
            assert not isinstance(upload, str)
            sent.update(key=form["key"], webhook=form["webhook_url"], name=upload.filename, body=await upload.read())
        return JSONResponse({"job_id": str(JOB), "message": "Video processing started"}, 202)

    async with served(receive) as client:
        job_id = await client.submit(video, key="films/one", webhook_url="https://example.org/hook")

    assert job_id == JOB
    assert sent["key"] == "films/one"
    assert sent["webhook"] == "https://example.org/hook"
    assert sent["name"] == "film.mp4"
    assert sent["body"] == video.read_bytes()


async def test_submit_reports_how_many_bytes_are_sent_while_it_sends_them(tmp_path: Path) -> None:
    video = tmp_path / "film.mp4"
    video.write_bytes(bytes(1_000_000))
    reports: list[tuple[int, int]] = []

    async def receive(request: Request) -> Response:
        await request.body()
        return JSONResponse({"job_id": str(JOB)}, 202)

    async with served(receive) as client:
        await client.submit(video, on_progress=lambda sent, size: reports.append((sent, size)))

    assert reports == sorted(reports)
    assert len(reports) > 5
    assert reports[-1] == (1_000_000, 1_000_000)


async def test_a_problem_becomes_an_exception_with_its_code_and_sentence(tmp_path: Path) -> None:
    async def refuse(request: Request) -> Response:
        problem = {"code": "job.not_found", "detail": "There is no such job.", "status": 404}
        return JSONResponse(problem, 404, media_type="application/problem+json")

    async with served(refuse) as client:
        with pytest.raises(RequestRefused) as refused:
            await client.job(JOB)

    assert refused.value.status == 404
    assert refused.value.code == "job.not_found"
    assert refused.value.message == "There is no such job."


async def test_an_error_page_of_a_proxy_is_an_exception_with_a_sentence_too() -> None:
    async def proxy(request: Request) -> Response:
        return Response("<html>Bad Gateway</html>", 502)

    async with served(proxy) as client:
        with pytest.raises(RequestRefused, match="502 Bad Gateway"):
            await client.cancel(JOB)


async def test_a_server_that_is_not_there_is_one_sentence_that_says_what_to_do() -> None:
    async with StreamForgeClient(f"http://127.0.0.1:{free_port()}", retry_seconds=0, give_up_seconds=0) as client:
        with pytest.raises(ServerUnreachable, match="is `streamforge up` running"):
            await client.job(JOB)
        with pytest.raises(ServerUnreachable):
            [event async for event in client.watch(JOB)]


async def test_watch_yields_typed_events_until_done() -> None:
    async def talk(request: Request) -> Response:
        return stream(STATUS, b": heartbeat\n\n", progress(1), b": heartbeat\n\n", DONE)

    async with served(talk) as client:
        events = [event async for event in client.watch(JOB)]

    assert [event.event for event in events] == ["status", "progress", "done"]
    assert events[0].status is JobStatus.PROCESSING
    assert events[1].id == "1"
    assert events[1].progress == 11


async def test_a_broken_stream_is_resumed_after_the_last_event_seen() -> None:
    cursors: list[str | None] = []

    async def break_once(request: Request) -> Response:
        cursors.append(request.headers.get("last-event-id"))
        return stream(STATUS, progress(1), progress(2)) if len(cursors) == 1 else stream(STATUS, progress(3), DONE)

    async with served(break_once) as client:
        events = [event async for event in client.watch(JOB)]

    assert cursors == [None, "2"]
    assert [event.id for event in events if event.event == "progress"] == ["1", "2", "3"]


async def test_watch_waits_for_a_server_that_restarts_but_not_for_a_job_that_does_not_exist() -> None:
    answers = [Response("starting", 503), stream(STATUS, DONE)]

    async def restart(request: Request) -> Response:
        return answers.pop(0)

    async with served(restart) as client:
        events = [event.event async for event in client.watch(JOB)]
    assert events == ["status", "done"]

    async def unknown(request: Request) -> Response:
        return JSONResponse({"code": "job.not_found", "detail": "There is no such job."}, 404)

    async with served(unknown) as client:
        with pytest.raises(RequestRefused, match="no such job"):
            [event async for event in client.watch(JOB)]


async def test_follow_returns_the_completed_job_and_raises_the_sentence_of_a_failed_one() -> None:
    ends = [job_json("completed"), job_json("failed", error_message="The file is not a video.")]

    async def talk(request: Request) -> Response:
        return stream(STATUS, DONE) if request.url.path.endswith("/stream") else JSONResponse(ends.pop(0))

    async with served(talk) as client:
        seen: list[str] = []
        job = await client.follow(JOB, lambda event: seen.append(event.event))
        assert job.status is JobStatus.COMPLETED
        assert seen == ["status", "done"]
        with pytest.raises(JobNotCompleted, match="not a video"):
            await client.follow(JOB, lambda event: None)


async def test_a_client_that_comes_back_after_the_end_is_through() -> None:
    async def nothing_left(request: Request) -> Response:
        return Response(status_code=204)

    async with served(nothing_left) as client:
        assert [event async for event in client.watch(JOB, last_event_id="9")] == []


async def test_a_server_that_leaves_says_when_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = [stream(STATUS, progress(1), b"retry: 1234\n\n"), stream(STATUS, DONE)]
    waited = naps(monkeypatch)

    async def leave_once(request: Request) -> Response:
        return answers.pop(0)

    async with served(leave_once) as client:
        events = [event.event async for event in client.watch(JOB)]

    assert events == ["status", "progress", "status", "done"]
    assert waited == [1.234]


async def test_one_stream_too_many_is_tried_again_when_the_server_says(monkeypatch: pytest.MonkeyPatch) -> None:
    busy = JSONResponse({"code": "stream.too_many", "detail": "Too many."}, 429, headers={"Retry-After": "3"})
    answers = [busy, stream(STATUS, DONE)]
    waited = naps(monkeypatch)

    async def busy_once(request: Request) -> Response:
        return answers.pop(0)

    async with served(busy_once) as client:
        assert [event.event async for event in client.watch(JOB)] == ["status", "done"]
    assert waited == [3.0]


def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """How long the client means to sleep; it does not."""
    waited: list[float] = []
    sleep = asyncio.sleep

    async def nap(seconds: float) -> None:
        waited.append(seconds)
        await sleep(0)

    monkeypatch.setattr("streamforge.client.patience.asyncio", SimpleNamespace(sleep=nap))
    return waited


async def test_a_stream_that_was_quiet_for_an_hour_is_come_back_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a job that waits in the queue is. What counts is for how long the server does not answer."""
    naps(monkeypatch)
    clock = [0.0]
    monkeypatch.setattr("streamforge.client.patience.time", SimpleNamespace(monotonic=lambda: clock[0]))
    asked = 0

    async def quiet(_request: Request) -> Response:
        nonlocal asked
        asked += 1
        if asked == 2:
            return Response("starting", 503)
        if asked == 3:
            return stream(STATUS, DONE)

        async def an_hour() -> AsyncIterator[bytes]:
            yield STATUS
            clock[0] += 3600
            yield b": heartbeat\n\n"

        return StreamingResponse(an_hour(), media_type="text/event-stream", headers={"Content-Length": "10000"})

    async with served(quiet) as client:
        assert [event.event async for event in client.watch(JOB)] == ["status", "status", "done"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
async def test_a_request_is_sent_again_under_the_same_name(monkeypatch: pytest.MonkeyPatch, status: int) -> None:
    waited, names = naps(monkeypatch), []

    async def busy(request: Request) -> Response:
        names.append(request.headers["idempotency-key"])
        return (
            Response("busy", status, headers={"Retry-After": "3"})
            if len(names) == 1
            else JSONResponse(job_json("pending"))
        )

    async with served(busy, retry_seconds=20) as client:
        await client.pause(JOB)
        await client.pause(JOB)
    assert names[0] == names[1] != names[2]
    assert waited == [3.0 if status == 429 else 0.2]


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, InvalidRequest), (401, NotAuthenticated), (403, NotAllowed), (404, NotFound), (409, Conflict), (410, NotFound),
        (422, InvalidRequest), (423, Conflict), (500, ServerFailed), (507, ServerFailed),
    ],
)  # fmt: skip
async def test_what_another_try_does_not_help_is_an_error_of_its_kind_at_once(
    status: int, kind: type[RequestRefused]
) -> None:
    asked = 0

    async def refuse(_request: Request) -> Response:
        nonlocal asked
        asked += 1
        return JSONResponse({"code": "some.code", "detail": "Why."}, status, headers={"X-Request-ID": "7"})

    async with served(refuse, retry_seconds=20) as client:
        with pytest.raises(kind, match="Why") as refused:
            await client.pause(JOB)
    assert (refused.value.code, refused.value.status, refused.value.request_id) == ("some.code", status, "7")
    assert asked == 1


async def test_several_videos_are_sent_as_one_and_reported_as_one(tmp_path: Path) -> None:
    videos = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for video in videos:
        video.write_bytes(bytes(300_000))
    reports: list[tuple[int, int]] = []
    received: list[object] = []

    async def receive(request: Request) -> Response:
        async with request.form() as form:
            received.extend(each.filename for each in form.getlist("video") if not isinstance(each, str))
            received.append(form["priority"])
        answer = {
            "batch_id": str(JOB),
            "jobs": [{"job_id": str(JOB), "key": "a.mp4"}],
            "rejected": [{"key": "b.mp4", "code": "input.empty", "message": "Empty."}],
        }
        return JSONResponse(answer, 202)

    async with served(receive) as client:
        sent = await client.submit_batch(videos, on_progress=lambda *report: reports.append(report), priority="2")

    assert received == ["a.mp4", "b.mp4", "2"]
    assert sent.batch_id == JOB
    assert [job.key for job in sent.jobs] == ["a.mp4"]
    assert [video.code for video in sent.rejected] == ["input.empty"]
    assert reports == sorted(reports)
    assert reports[-1] == (600_000, 600_000)


async def test_many_jobs_are_asked_for_in_portions() -> None:
    asked: list[int] = []

    async def answer(request: Request) -> Response:
        ids = request.query_params["ids"].split(",")
        asked.append(len(ids))
        return JSONResponse({"jobs": [job_json("completed", id=each) for each in ids], "next_cursor": None})

    ids = [uuid4() for _ in range(250)]
    async with served(answer) as client:
        jobs = await client.jobs(ids)

    assert asked == [100, 100, 50]
    assert [job.id for job in jobs] == ids


@pytest.mark.parametrize(("api_key", "shown"), [("sf_key", "Bearer sf_key"), (None, "")])
async def test_every_request_shows_the_key_and_no_address_does(api_key: str | None, shown: str) -> None:
    seen: list[tuple[str, str]] = []

    async def endpoint(request: Request) -> Response:
        seen.append((request.headers.get("authorization", ""), str(request.url)))
        return stream(STATUS, DONE) if request.url.path.endswith("stream") else Response(status_code=204)

    async with served(endpoint, api_key) as client:
        await client.purge(JOB)
        assert [event.event async for event in client.watch(JOB)] == ["status", "done"]
    assert [header for header, _ in seen] == [shown, shown]
    assert all("sf_key" not in url for _, url in seen)
