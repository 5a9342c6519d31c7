"""Event streams that go on where they broke off: none of their events is lost, and none comes twice."""

import json
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from urllib.parse import urlencode
from uuid import UUID

import httpx
from httpx_sse import ServerSentEvent, aconnect_sse
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from streamforge.client.answers import StreamEvent
from streamforge.client.errors import JobNotCompleted, RequestRefused, ServerUnreachable, TooManyRequests, refusal
from streamforge.client.methods import Methods
from streamforge.client.patience import Patience
from streamforge.client.transport import SILENCE_SECONDS, pause, present, refuse_errors
from streamforge.contracts.job import JobStatus
from streamforge.contracts.job_view import JobView
from streamforge.errors import Fault

LAST_EVENT_ID = "Last-Event-ID"
NORMAL_CLOSURE = 1000
MAX_MESSAGE_BYTES = 64 * 1024 * 1024
"""The first `status` of everything names each job that is not over."""


class Connection:
    """One of the connections that a stream is watched by, one after the other."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self.was_open = False
        self.nothing_is_left = False


Open = Callable[[str | None, Connection], AsyncGenerator[StreamEvent]]
"""Takes the last event that was seen."""


class WatchMethods(Methods):
    async def follow(self, job_id: UUID, on_event: Callable[[StreamEvent], None]) -> JobView:
        """Watch the job to its end; the completed job. Raises JobNotCompleted, with the job's own error sentence."""
        async for event in self.watch(job_id):
            on_event(event)
        job = JobView.model_validate_json((await self._ask("GET", f"/jobs/{job_id}")).content)
        if job.status is not JobStatus.COMPLETED:
            raise JobNotCompleted(job.error_message or f"The job ended as {job.status}.")
        return job

    def watch(self, job_id: UUID, *, last_event_id: str | None = None) -> AsyncGenerator[StreamEvent]:
        """The job's events until `done`, which comes last. A stream that breaks is resumed after the last event seen:
        none is lost and none comes twice, but every connection begins with a `status`."""
        return self._watch(self._sse(f"/jobs/{job_id}/stream"), last_event_id)

    def watch_batch(self, batch_id: UUID, *, last_event_id: str | None = None) -> AsyncGenerator[StreamEvent]:
        """The same for all jobs of a batch."""
        return self._watch(self._sse(f"/batches/{batch_id}/stream"), last_event_id)

    def watch_everything(
        self, *, last_event_id: str | None = None, owner: str | None = None
    ) -> AsyncGenerator[StreamEvent]:
        """The same for all jobs there are and will be, without end, on one connection. Administrators may name an owner."""
        query = f"?{urlencode({'owner': owner})}" if owner is not None else ""
        return self._watch(self._sse(f"/stream{query}"), last_event_id)

    def watch_by_websocket(
        self,
        *,
        job_id: UUID | None = None,
        batch_id: UUID | None = None,
        owner: str | None = None,
        last_event_id: str | None = None,
    ) -> AsyncGenerator[StreamEvent]:
        """The same of a job, a batch or everything, where something on the way lets no event streams through."""
        query = urlencode(present(job_id=job_id, batch_id=batch_id, owner=owner))
        return self._watch(self._websocket(f"/ws/progress?{query}"), last_event_id)

    async def _watch(self, open_: Open, last_event_id: str | None) -> AsyncGenerator[StreamEvent]:
        patience = Patience(self._transport.give_up_seconds)
        while True:
            connection = Connection(patience)
            try:
                async with aclosing(open_(last_event_id, connection)) as events:
                    async for event in events:
                        last_event_id = event.id or last_event_id
                        yield event
                        if event.event == "done":
                            return
                if connection.nothing_is_left:
                    return
                patience.renew()
                await patience.wait()
            except (ServerUnreachable, RequestRefused) as error:
                if connection.was_open:
                    # It was quiet, perhaps for hours, and there until now.
                    patience.renew()
                if patience.is_over or (error.fault is Fault.CALLER and not isinstance(error, TooManyRequests)):
                    raise
                await pause(patience, error)

    def _sse(self, path: str) -> Open:
        async def opened(last_event_id: str | None, connection: Connection) -> AsyncGenerator[StreamEvent]:
            headers = {} if last_event_id is None else {LAST_EVENT_ID: last_event_id}
            try:
                async with aconnect_sse(self._transport.http, "GET", path, headers=headers) as source:
                    await refuse_errors(source.response)
                    if source.response.status_code == httpx.codes.NO_CONTENT:
                        connection.nothing_is_left = True
                        return
                    connection.was_open = True
                    async for frame in source.aiter_sse():
                        if frame.retry is not None:
                            connection.patience.hint(frame.retry / 1000)
                        # httpx-sse also reports heartbeat comments, as frames without data.
                        if frame.data:
                            yield _event_of(frame)
            except httpx.TransportError as error:
                raise self._transport.unreachable(error) from error

        return opened

    def _websocket(self, path: str) -> Open:
        async def opened(last_event_id: str | None, connection: Connection) -> AsyncGenerator[StreamEvent]:
            headers = {**self._transport.headers} | ({} if last_event_id is None else {LAST_EVENT_ID: last_event_id})
            url = "ws" + self._transport.url.removeprefix("http") + path
            try:
                async with connect(
                    url, additional_headers=headers, max_size=MAX_MESSAGE_BYTES, ping_timeout=SILENCE_SECONDS
                ) as websocket:
                    connection.was_open = True
                    async for message in websocket:
                        yield _event_in(json.loads(message))
                    connection.nothing_is_left = websocket.close_code == NORMAL_CLOSURE
            except InvalidStatus as refused:
                raise _refused(refused.response) from refused
            except (OSError, InvalidHandshake, ConnectionClosed) as error:
                raise self._transport.unreachable(error) from error

        return opened


def _event_of(frame: ServerSentEvent) -> StreamEvent:
    return StreamEvent.model_validate({**frame.json(), "event": frame.event, "id": frame.id or None})


def _event_in(message: dict[str, object]) -> StreamEvent:
    """A WebSocket tells events as pages of them do."""
    number, data = message["id"], message["data"]
    assert isinstance(data, dict)
    return StreamEvent.model_validate(
        {**data, "event": message["event"], "id": None if number is None else str(number)}
    )


def _refused(answer: Response) -> RequestRefused:
    headers = {name.lower(): value for name, value in answer.headers.raw_items()}
    return refusal(answer.status_code, answer.reason_phrase, _json(answer.body), headers)


def _json(body: bytes | bytearray | None) -> object:
    try:
        return json.loads(body or b"")
    except ValueError:
        return None
