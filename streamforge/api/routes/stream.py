"""`/stream`, `/jobs/<id>/stream`, `/batches/<id>/stream`: events as text/event-stream."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.query_values import Text
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import TEXT, Answer, Content, Header, Operation, describes
from streamforge.api.services import AppState, Request, Services, caller_of, own, own_of, services_of
from streamforge.contracts.batch import BatchView, JobSummary, OwnerStatus
from streamforge.contracts.events import EventData
from streamforge.contracts.ids import parse_batch_id, parse_job_id
from streamforge.errors import (
    BatchNotFound,
    ForeignPage,
    InvalidField,
    JobNotFound,
    MalformedBatchId,
    MalformedJobId,
    ScopeMissing,
    StreamForgeError,
    TooManyStreams,
)
from streamforge.events.frames import Frame
from streamforge.events.sources import Source

CURSORS = (
    Text("last_event_id", "The `id` of the last event that was seen, for who cannot set the header."),
    Text("lastEventId", "The same, in another spelling."),
)
LAST_EVENT_ID = Header("Last-Event-ID", "What EventSource sends when it reconnects: all that was missed follows.")
OWNER = Text("owner", "All jobs of somebody else; for administrators.")

EVENTS: dict[str, Content] = {
    "progress": EventData,
    "playable": EventData,
    "reset": {
        "type": "object",
        "description": "The cursor means nothing here: forget what you have; `status` follows.",
    },
    "done": {"type": "object", "description": "The last frame of a log that has an end; then the server closes."},
}
"""By the name of the event what is in its data. Names that a client does not know are for newer ones."""
FRAME: Content = {
    "type": "object",
    "description": "One frame, by its fields.",
    "properties": {
        "event": TEXT,
        "data": {"type": "string", "contentMediaType": "application/json"},
        "id": {"type": "string", "pattern": r"^\d+$"},
        "retry": {"type": "integer"},
    },
    "required": ["event", "data"],
}
FRAMES_SAY = (
    "Server-sent events. `status` is the first frame of every connection, `progress` follows on each change, `done` is the "
    "last frame of a job or a batch. Every frame of the log has an `id`; who comes back with the last one is sent what "
    "was missed, and nothing twice. A comment comes at least every 30 s. `x-events` has the schema of `data` for each name."
)

KEEP_OUT = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
"""Caches, and the buffers of nginx."""


def _operation(summary: str, status: Content, *errors: type[StreamForgeError], owner: bool = False) -> Operation:
    return Operation(
        tag="events",
        summary=summary,
        says=FRAMES_SAY,
        answers=(
            Answer(200, "Frames, as they come.", {"text/event-stream": FRAME}, ("Cache-Control",)),
            Answer(204, "Everything was seen, and nothing will follow: do not come back."),
        ),
        errors=(InvalidField, TooManyStreams, *errors),
        parameters=(*CURSORS, *((OWNER,) if owner else ())),
        headers=(LAST_EVENT_ID,),
        extensions={"x-events": EVENTS | {"status": status}},
    )


@describes(_operation("Everything, live", OwnerStatus, ForeignPage, ScopeMissing, owner=True))
async def stream_of_everything(request: Request) -> Response:
    """All jobs of the caller on one connection, of which browsers open six to a host; with `owner` those of somebody
    else, for administrators."""
    refuse_foreign_page(request)
    cursor = cursor_of(request)
    return EventStream(services_of(request), everything_of(request), cursor)


def everything_of(connection: HTTPConnection[AppState]) -> Source:
    """Whose events are numbered together: one owner's, an administrator's own, too, unless they name another."""
    return own_of(connection, connection.query_params.get("owner")).everything()


@describes(_operation("The progress of a job, live", JobSummary, MalformedJobId, JobNotFound))
async def stream_of_job(request: Request) -> Response:
    job_id = parse_job_id(request.path_params["job_id"])
    return EventStream(services_of(request), own(request).job(job_id), cursor_of(request))


@describes(_operation("The progress of a batch, live", BatchView, MalformedBatchId, BatchNotFound))
async def stream_of_batch(request: Request) -> Response:
    batch_id = parse_batch_id(request.path_params["batch_id"])
    return EventStream(services_of(request), own(request).batch(batch_id), cursor_of(request))


def cursor_of(connection: HTTPConnection[AppState]) -> str | None:
    """The header is what EventSource sends when it reconnects; it is newer than a
    parameter in the address."""
    query = parameters(connection)
    return connection.headers.get("last-event-id") or query.get("last_event_id") or query.get("lastEventId") or None


class EventStream(Response):
    """A source as server-sent events. How a frame is written is sse-starlette's (see events.frames), but not how it is
    sent: its EventSourceResponse has a generator and four tasks for each client, which cost three times the CPU of the
    broadcaster that writes to all sockets itself (docs/performance.md), and of which nothing was used but the headers."""

    media_type = "text/event-stream"

    def __init__(self, services: Services, source: Source, cursor: str | None) -> None:
        super().__init__(headers=KEEP_OUT)
        del self.headers["Content-Length"]  # Nobody knows.
        self._services = services
        self._source = source
        self._cursor = cursor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "HEAD":
            if not await self._services.streams.has_more(self._source, self._cursor):
                self.status_code = 204
            await super().__call__(scope, receive, send)
            return
        connection = _Connection(self, scope, receive, send)
        caller = caller_of(HTTPConnection(scope))
        with await self._services.limits.admit(scope, caller.owner):
            watched = partial(self._services.standing.watched, caller)
            await self._services.streams.follow(self._source, self._cursor, connection, watched)


class _Connection:
    def __init__(self, response: Response, scope: Scope, receive: Receive, send: Send) -> None:
        self._response = response
        self._scope = scope
        self._receive = receive
        self._send_head = send
        self._send: Callable[[Message], Coroutine[Any, Any, None]] = scope["state"]["send"]
        self._opened = False
        self.abort: Callable[[], None] = scope["state"]["abort"]

    def send(self, frame: Frame) -> Coroutine[Any, Any, None]:
        # Not a coroutine function of its own: it would cost one more call for each frame and client.
        return self._send(frame.http_message)

    async def send_all(self, frames: Sequence[Frame]) -> None:
        body = b"".join(frame.sse for frame in frames)
        await self._send({"type": "http.response.body", "body": body, "more_body": not frames[-1].closes})

    async def open(self) -> None:
        if not self._opened:
            self._opened = True
            headers = self._response.raw_headers
            await self._send_head({"type": "http.response.start", "status": 200, "headers": headers})

    async def nothing_left(self) -> None:
        """204 is the one answer that keeps EventSource from coming back for ever."""
        await Response(status_code=204)(self._scope, self._receive, self._send_head)

    async def closed(self) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
