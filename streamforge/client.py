"""A small client for StreamForge's HTTP API: send a video, follow it, cancel it."""

import asyncio
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from uuid import UUID

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from pydantic import BaseModel, ConfigDict

from streamforge.contracts.job import JobStatus, JobView, Stage
from streamforge.errors import Fault, ServiceError, StreamForgeError

DEFAULT_URL = "http://127.0.0.1:8081"
SILENCE_SECONDS = 60.0
"""The server comments at least every 30 s on an idle stream; one that is silent for longer is dead."""
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0


class ServerUnreachable(ServiceError):
    code = "client.unreachable"


class JobNotCompleted(StreamForgeError):
    """The job that was waited for failed or was cancelled."""

    code = "client.job_not_completed"


class RequestRefused(StreamForgeError):
    """The server's own answer that something is wrong: its stable `code`, HTTP `status` and the sentence."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        # Our own errors have these from their class; here the server says them.
        self.code = code  # type: ignore[misc]
        self.fault = Fault.CALLER if status < 500 else Fault.SERVICE  # type: ignore[misc]


class StreamEvent(BaseModel):
    """One frame of a job's event stream. What it carries beyond these fields stays readable as attributes."""

    model_config = ConfigDict(extra="allow")

    event: str
    id: str | None = None
    job_id: UUID | None = None
    status: JobStatus | None = None
    stage: Stage | None = None
    progress: int | None = None
    message: str | None = None


class StreamForgeClient:
    """`async with StreamForgeClient() as client: …`. Errors are RequestRefused and ServerUnreachable."""

    def __init__(self, url: str = DEFAULT_URL, *, give_up_seconds: float = 60) -> None:
        """`give_up_seconds`: for how long `watch` goes on trying to reach a server that does not answer."""
        self._url = url
        self._give_up_seconds = give_up_seconds
        self._http = httpx.AsyncClient(base_url=url, timeout=httpx.Timeout(30, read=SILENCE_SECONDS))

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._http.aclose()

    async def submit(
        self,
        path: Path,
        *,
        key: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
        **fields: str,
    ) -> UUID:
        """Send the video at `path` and return its job id. It is read as it is sent, whatever its size.

        `on_progress` hears of (bytes sent, bytes in all); `fields` are further form fields, such as `webhook_url`.
        """
        form = fields if key is None else {**fields, "key": key}
        with _ReportingFile(path, on_progress) as video:
            # What the server does once it has all the bytes (syncing them to disk) may take its time.
            answer = await self._request(
                "POST", "/process", data=form, files={"video": (path.name, video)}, timeout=httpx.Timeout(30, read=300)
            )
        return UUID(answer.json()["job_id"])

    async def job(self, job_id: UUID) -> JobView:
        return JobView.model_validate_json((await self._request("GET", f"/jobs/{job_id}")).content)

    async def cancel(self, job_id: UUID) -> None:
        await self._request("DELETE", f"/jobs/{job_id}")

    async def follow(self, job_id: UUID, on_event: Callable[[StreamEvent], None]) -> JobView:
        """Watch the job to its end; the completed job. Raises JobNotCompleted, with the job's own error sentence."""
        async for event in self.watch(job_id):
            on_event(event)
        job = await self.job(job_id)
        if job.status is not JobStatus.COMPLETED:
            raise JobNotCompleted(job.error_message or f"The job ended as {job.status}.")
        return job

    async def watch(self, job_id: UUID, *, last_event_id: str | None = None) -> AsyncIterator[StreamEvent]:
        """The job's events until `done`, which comes last. A stream that breaks is resumed after the last event seen:
        none is lost and none comes twice, but every connection begins with a `status`."""
        backoff = FIRST_BACKOFF_SECONDS
        give_up_at = time.monotonic() + self._give_up_seconds
        while True:
            try:
                async with aclosing(self._stream(job_id, last_event_id)) as events:
                    async for event in events:
                        last_event_id = event.id or last_event_id
                        yield event
                        if event.event == "done":
                            return
                        backoff = FIRST_BACKOFF_SECONDS
                        give_up_at = time.monotonic() + self._give_up_seconds
            except (ServerUnreachable, RequestRefused) as error:
                if time.monotonic() > give_up_at or error.fault is Fault.CALLER:
                    raise
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)

    async def _stream(self, job_id: UUID, last_event_id: str | None) -> AsyncGenerator[StreamEvent]:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        try:
            async with aconnect_sse(self._http, "GET", f"/jobs/{job_id}/stream", headers=headers) as source:
                await _refuse_errors(source.response)
                async for frame in source.aiter_sse():
                    # httpx-sse also reports heartbeat comments, as frames without data.
                    if frame.data:
                        yield _event_of(frame)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error

    async def _request(self, method: str, path: str, **options: Any) -> httpx.Response:
        try:
            response = await self._http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self._unreachable(error) from error
        await _refuse_errors(response)
        return response

    def _unreachable(self, error: httpx.TransportError) -> ServerUnreachable:
        return ServerUnreachable(
            f"StreamForge does not answer at {self._url}; is `streamforge up` running?", debug=repr(error)
        )


class _ReportingFile(io.FileIO):
    """Tells how far it has been read, which is how far it has been sent."""

    def __init__(self, path: Path, report: Callable[[int, int], None] | None) -> None:
        super().__init__(path)
        self._report = report
        self._size = path.stat().st_size

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        if self._report is not None:
            self._report(self.tell(), self._size)
        return data


def _event_of(frame: ServerSentEvent) -> StreamEvent:
    return StreamEvent.model_validate({**frame.json(), "event": frame.event, "id": frame.id or None})


async def _refuse_errors(response: httpx.Response) -> None:
    """Raise RequestRefused for a 4xx or 5xx; problem+json says why, anything else came from something in between."""
    if not response.is_error:
        return
    await response.aread()
    try:
        problem = response.json()
        raise RequestRefused(response.status_code, problem["code"], problem["detail"])
    except (ValueError, KeyError, TypeError):
        sentence = f"The server answered {response.status_code} {response.reason_phrase}."
        raise RequestRefused(response.status_code, "http", sentence) from None
