"""A small client for StreamForge's HTTP API: send videos, follow them, cancel them."""

import asyncio
import io
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import ExitStack, aclosing
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote
from uuid import UUID

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from pydantic import BaseModel, ConfigDict, field_validator

from streamforge.contracts.batch import BatchStatus, BatchView
from streamforge.contracts.chunks import ChunkPage
from streamforge.contracts.job import JobStatus, Playback, Stage
from streamforge.contracts.job_view import JobView
from streamforge.contracts.worker_view import WorkerView
from streamforge.errors import Fault, ServiceError, StreamForgeError

DEFAULT_URL = "http://127.0.0.1:8081"
SILENCE_SECONDS = 60.0
"""The server comments at least every 30 s on an idle stream; one that is silent for longer is dead."""
UPLOAD_TIMEOUT = httpx.Timeout(30, read=300)
"""What the server does once it has all the bytes (syncing them to disk) may take its time."""
MAX_IDS_PER_REQUEST = 100
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


class TooManyRequests(RequestRefused):
    """429: the same again after `retry_after` seconds."""

    def __init__(self, status: int, code: str, message: str, retry_after: float) -> None:
        super().__init__(status, code, message)
        self.retry_after = retry_after


class SubmittedBatch(BaseModel):
    """What became of several videos: a job each, or why not."""

    class Job(BaseModel):
        job_id: UUID
        key: str

    class Rejected(BaseModel):
        key: str
        code: str
        message: str

    batch_id: UUID
    jobs: list[Job]
    rejected: list[Rejected]


class FoundJobs(BaseModel):
    """A page; `next_cursor` is None on the last."""

    jobs: list[JobView]
    next_cursor: str | None


class StreamEvent(BaseModel):
    """One frame of an event stream. What it carries beyond these fields stays readable as attributes."""

    model_config = ConfigDict(extra="allow")

    event: str
    id: str | None = None
    job_id: UUID | None = None
    status: JobStatus | BatchStatus | None = None
    stage: Stage | None = None
    progress: int | None = None
    message: str | None = None

    @field_validator("status", mode="before")
    @classmethod
    def only_a_batch_is_partial(cls, value: object) -> object:
        """All else can be the status of a job, also a word of a later version."""
        return BatchStatus.PARTIAL if value == BatchStatus.PARTIAL else value


class StreamForgeClient:
    """`async with StreamForgeClient() as client: …`. Errors are RequestRefused and ServerUnreachable."""

    def __init__(self, url: str = DEFAULT_URL, *, api_key: str | None = None, give_up_seconds: float = 60) -> None:
        """`api_key`: an API key, or an access token. `give_up_seconds`: for how long `watch` goes on trying to reach a
        server that does not answer."""
        self._url = url
        self._give_up_seconds = give_up_seconds
        headers = {"Authorization": f"Bearer {api_key}"} if api_key is not None else None
        # Redirects are not followed: the key is for this server.
        self._http = httpx.AsyncClient(
            base_url=url, headers=headers, timeout=httpx.Timeout(30, read=SILENCE_SECONDS), follow_redirects=False
        )

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
        with _ReportingFile(path, _Upload([path], on_progress)) as video:
            answer = await self._request(
                "POST", "/process", data=form, files={"video": (path.name, video)}, timeout=UPLOAD_TIMEOUT
            )
        return UUID(answer.json()["job_id"])

    async def job(self, job_id: UUID) -> JobView:
        return JobView.model_validate_json((await self._request("GET", f"/jobs/{job_id}")).content)

    async def refresh_playback(self, job_id: UUID) -> Playback:
        """Where the job's stream is found now: of a signed one, addresses that are valid for the whole time again."""
        answer = await self._request("POST", f"/jobs/{job_id}/playback/refresh")
        return Playback.model_validate_json(answer.content)

    async def cancel(self, job_id: UUID) -> None:
        await self._request("DELETE", f"/jobs/{job_id}")

    async def purge(self, job_id: UUID) -> None:
        """Remove the job with its media: at once when it is over, else as soon as it is cancelled."""
        await self._request("DELETE", f"/jobs/{job_id}", params={"purge": "true"})

    async def change(self, job_id: UUID, **changes: Any) -> JobView:
        """Of `priority`, `metadata`, `retain_until` (ISO 8601), `legal_hold`; None takes away."""
        return await self._job("PATCH", f"/jobs/{job_id}", json=changes)

    async def pause(self, job_id: UUID) -> JobView:
        return await self._job("POST", f"/jobs/{job_id}/pause")

    async def resume(self, job_id: UUID) -> JobView:
        return await self._job("POST", f"/jobs/{job_id}/resume")

    async def retry(self, job_id: UUID, *, first: Stage | None = None) -> JobView:
        """Begin a failed job again: from `first` on all is done again, else only what is missing."""
        body = {} if first is None else {"from": first}
        return await self._job("POST", f"/jobs/{job_id}/retry", json=body)

    async def reprocess(self, job_id: UUID, **options: Any) -> UUID:
        """Make another job of the same video, with other options; its id."""
        answer = await self._request("POST", f"/jobs/{job_id}/reprocess", json=options, timeout=UPLOAD_TIMEOUT)
        return UUID(answer.json()["job_id"])

    async def find(self, *, cursor: str | None = None, limit: int = 20, **filters: str) -> FoundJobs:
        """A page of jobs, the newest first. `filters` are the parameters of `GET /jobs`."""
        params = {"limit": str(limit), **filters} | ({} if cursor is None else {"cursor": cursor})
        return FoundJobs.model_validate_json((await self._request("GET", "/jobs", params=params)).content)

    async def chunks(self, job_id: UUID, *, after: int = 0, limit: int = 100) -> ChunkPage:
        params = {"after": str(after), "limit": str(limit)}
        return ChunkPage.model_validate_json(
            (await self._request("GET", f"/jobs/{job_id}/chunks", params=params)).content
        )

    async def logs(self, job_id: UUID, **filters: str) -> list[dict[str, Any]]:
        """What was said of it on the machine of the API; `filters` are the parameters of `GET /jobs/<id>/logs`."""
        lines: list[dict[str, Any]] = (await self._request("GET", f"/jobs/{job_id}/logs", params=filters)).json()[
            "lines"
        ]
        return lines

    async def queue(self) -> dict[str, Any]:
        """How much there is to do, as `GET /queue/stats` says it."""
        return dict((await self._request("GET", "/queue/stats")).json())

    async def workers(self) -> list[WorkerView]:
        answer = await self._request("GET", "/workers")
        return [WorkerView.model_validate(worker) for worker in answer.json()["workers"]]

    async def drain(self, worker: str) -> WorkerView:
        """Have a worker stop."""
        answer = await self._request("POST", f"/workers/{quote(worker, safe='@')}/drain")
        return WorkerView.model_validate_json(answer.content)

    async def _job(self, method: str, path: str, **options: Any) -> JobView:
        return JobView.model_validate_json((await self._request(method, path, **options)).content)

    async def jobs(self, ids: Sequence[UUID]) -> list[JobView]:
        """These jobs, in this order; unknown ones are left out."""
        found: list[JobView] = []
        for some in (ids[begin : begin + MAX_IDS_PER_REQUEST] for begin in range(0, len(ids), MAX_IDS_PER_REQUEST)):
            answer = await self._request("GET", "/jobs", params={"ids": ",".join(map(str, some))})
            found += [JobView.model_validate(job) for job in answer.json()["jobs"]]
        return found

    async def submit_batch(
        self, paths: Sequence[Path], *, on_progress: Callable[[int, int], None] | None = None, **fields: str
    ) -> SubmittedBatch:
        """Send several videos as one. One that the server cannot take does not take the others with it: see `rejected`."""
        upload = _Upload(paths, on_progress)
        with ExitStack() as files:
            videos = [("video", (path.name, files.enter_context(_ReportingFile(path, upload)))) for path in paths]
            answer = await self._request("POST", "/batches", data=fields, files=videos, timeout=UPLOAD_TIMEOUT)
        return SubmittedBatch.model_validate_json(answer.content)

    async def batch(self, batch_id: UUID) -> BatchView:
        return BatchView.model_validate_json((await self._request("GET", f"/batches/{batch_id}")).content)

    async def follow(self, job_id: UUID, on_event: Callable[[StreamEvent], None]) -> JobView:
        """Watch the job to its end; the completed job. Raises JobNotCompleted, with the job's own error sentence."""
        async for event in self.watch(job_id):
            on_event(event)
        job = await self.job(job_id)
        if job.status is not JobStatus.COMPLETED:
            raise JobNotCompleted(job.error_message or f"The job ended as {job.status}.")
        return job

    def watch(self, job_id: UUID, *, last_event_id: str | None = None) -> AsyncIterator[StreamEvent]:
        """The job's events until `done`, which comes last. A stream that breaks is resumed after the last event seen:
        none is lost and none comes twice, but every connection begins with a `status`."""
        return self._watch(f"/jobs/{job_id}/stream", last_event_id)

    def watch_batch(self, batch_id: UUID, *, last_event_id: str | None = None) -> AsyncIterator[StreamEvent]:
        """The same for all jobs of a batch."""
        return self._watch(f"/batches/{batch_id}/stream", last_event_id)

    def watch_everything(self, *, last_event_id: str | None = None) -> AsyncIterator[StreamEvent]:
        """The same for all jobs there are and will be, without end, on one connection."""
        return self._watch("/stream", last_event_id)

    async def _watch(self, path: str, last_event_id: str | None) -> AsyncIterator[StreamEvent]:
        patience = _Patience(self._give_up_seconds)
        while True:
            try:
                async with aclosing(self._stream(path, last_event_id, patience)) as events:
                    async for event in events:
                        last_event_id = event.id or last_event_id
                        yield event
                        if event.event == "done":
                            return
                        patience.renew()
                if patience.nothing_is_left:
                    return
            except (ServerUnreachable, RequestRefused) as error:
                if patience.is_over or (error.fault is Fault.CALLER and not isinstance(error, TooManyRequests)):
                    raise
                if isinstance(error, TooManyRequests):
                    patience.hint(error.retry_after)
            await asyncio.sleep(patience.next_delay())

    async def _stream(self, path: str, last_event_id: str | None, patience: "_Patience") -> AsyncGenerator[StreamEvent]:
        headers = {} if last_event_id is None else {"Last-Event-ID": last_event_id}
        try:
            async with aconnect_sse(self._http, "GET", path, headers=headers) as source:
                await _refuse_errors(source.response)
                if source.response.status_code == httpx.codes.NO_CONTENT:
                    patience.nothing_is_left = True
                    return
                async for frame in source.aiter_sse():
                    if frame.retry is not None:
                        patience.hint(frame.retry / 1000)
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


class _Upload:
    """How much of some files has been read, which is how much has been sent."""

    def __init__(self, paths: Sequence[Path], report: Callable[[int, int], None] | None) -> None:
        self._size = sum(path.stat().st_size for path in paths)
        self._sent = 0
        self._report = report

    def read(self, count: int) -> None:
        self._sent += count
        if self._report is not None:
            self._report(self._sent, self._size)


class _ReportingFile(io.FileIO):
    def __init__(self, path: Path, upload: _Upload) -> None:
        super().__init__(path)
        self._upload = upload

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(-1 if size is None else size)
        self._upload.read(len(data))
        return data


class _Patience:
    """When to try again, and when no more: `give_up_seconds` after the last word of the server."""

    def __init__(self, give_up_seconds: float) -> None:
        self.nothing_is_left = False
        self._give_up_seconds = give_up_seconds
        self._hint: float | None = None
        self.renew()

    @property
    def is_over(self) -> bool:
        return time.monotonic() > self._give_up_at

    def renew(self) -> None:
        self._backoff = FIRST_BACKOFF_SECONDS
        self._give_up_at = time.monotonic() + self._give_up_seconds

    def hint(self, seconds: float) -> None:
        """What the server asks for, once."""
        self._hint = min(max(seconds, 0.0), self._give_up_seconds)

    def next_delay(self) -> float:
        if self._hint is not None:
            delay, self._hint = self._hint, None
            return delay
        delay, self._backoff = self._backoff, min(self._backoff * 2, LONGEST_BACKOFF_SECONDS)
        return delay


def _event_of(frame: ServerSentEvent) -> StreamEvent:
    return StreamEvent.model_validate({**frame.json(), "event": frame.event, "id": frame.id or None})


async def _refuse_errors(response: httpx.Response) -> None:
    """Raise RequestRefused for a 4xx or 5xx; problem+json says why, anything else came from something in between."""
    if not response.is_error:
        return
    await response.aread()
    try:
        problem = response.json()
        code, sentence = problem["code"], problem["detail"]
    except (ValueError, KeyError, TypeError):
        code, sentence = "http", f"The server answered {response.status_code} {response.reason_phrase}."
    if response.status_code == httpx.codes.TOO_MANY_REQUESTS:
        raise TooManyRequests(response.status_code, code, sentence, _retry_after(response))
    raise RequestRefused(response.status_code, code, sentence)


def _retry_after(response: httpx.Response) -> float:
    given = response.headers.get("retry-after", "")
    return float(given) if given.isascii() and given.isdigit() else LONGEST_BACKOFF_SECONDS
