"""`/ws/progress`: the events of `/stream`, or with `?job_id=` or `?batch_id=` those of one job or batch, as JSON
texts."""

from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

from starlette.types import Message
from starlette.websockets import WebSocket

from streamforge.api.http.foreign_pages import refuse_foreign_page, refuse_unread_page
from streamforge.api.http.query_values import Text
from streamforge.api.openapi.operation import Answer, Operation, describes
from streamforge.api.routes.stream import CURSORS, EVENTS, LAST_EVENT_ID, OWNER, cursor_of, everything_of
from streamforge.api.services import AppState, caller_of, own, services_of
from streamforge.contracts.batch import BatchView, JobSummary, OwnerStatus
from streamforge.contracts.events import Event
from streamforge.contracts.ids import parse_batch_id, parse_job_id
from streamforge.errors import (
    BatchNotFound,
    ForeignPage,
    InvalidField,
    JobNotFound,
    MalformedBatchId,
    MalformedJobId,
    ScopeMissing,
    TooManyStreams,
)
from streamforge.events.frames import Control, Frame
from streamforge.events.sources import Source

NORMAL_CLOSURE = 1000
UNSUPPORTED_DATA = 1003
"""Of RFC 6455: the end of what was followed, and a binary frame."""


JOB_ID = Text("job_id", "Only this job.", format="uuid")
BATCH_ID = Text("batch_id", "Only this batch.", format="uuid")

PROTOCOL = {
    "subprotocols": [],
    "sends": Event,
    "receives": None,
    "events": EVENTS | {"status": {"anyOf": [JobSummary, BatchView, OwnerStatus]}},
    "closes": {
        "1000": "Everything was told, and nothing follows.",
        "1003": "A client sent bytes; there is nothing that it could say.",
        "1008": "Who looks may not any more.",
        "1012": "This process stops, or cannot reach its database: resume, here or elsewhere.",
    },
}


@describes(
    Operation(
        tag="events",
        summary="The same over a WebSocket; of everything, or of one job or batch",
        says=(
            "A handshake of RFC 6455. Each message is one event as JSON text, in the shape of `GET /jobs/{job_id}/events`. "
            "What a client says is not listened to; the server pings. `x-websocket` has what is sent, and why it is closed."
        ),
        answers=(Answer(101, "Events follow."),),
        errors=(
            InvalidField, MalformedJobId, MalformedBatchId, JobNotFound, BatchNotFound, ForeignPage, TooManyStreams,
            ScopeMissing,
        ),
        parameters=(*CURSORS, OWNER, JOB_ID, BATCH_ID),
        headers=(LAST_EVENT_ID,),
        extensions={"x-websocket": PROTOCOL},
    )
)  # fmt: skip
async def progress(websocket: WebSocket[AppState]) -> None:
    services = services_of(websocket)
    refuse_unread_page(websocket)
    cursor = cursor_of(websocket)
    caller = caller_of(websocket)
    with await services.limits.admit(websocket.scope, caller.owner):
        watched = partial(services.standing.watched, caller)
        await services.streams.follow(_source(websocket), cursor, _Connection(websocket), watched)


def _source(websocket: WebSocket[AppState]) -> Source:
    query = websocket.query_params
    if "job_id" in query:
        return own(websocket).job(parse_job_id(query["job_id"]))
    if "batch_id" in query:
        return own(websocket).batch(parse_batch_id(query["batch_id"]))
    refuse_foreign_page(websocket)
    return everything_of(websocket)


class _Connection:
    def __init__(self, websocket: WebSocket[AppState]) -> None:
        self._websocket = websocket
        self._send: Callable[[Message], Coroutine[Any, Any, None]] = websocket.scope["state"]["send"]
        self._opened = False
        self._ended = False
        self.abort: Callable[[], None] = websocket.scope["state"]["abort"]

    def send(self, frame: Frame) -> Coroutine[Any, Any, None]:
        if frame.event and not frame.closes:
            return self._send(frame.websocket_message)
        return self._send_special(frame)

    async def send_all(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            await self.send(frame)

    async def open(self) -> None:
        if not self._opened:
            self._opened = True
            await self._websocket.accept()

    async def nothing_left(self) -> None:
        await self.open()
        await self._websocket.close(NORMAL_CLOSURE)

    async def closed(self) -> None:
        """What a client says is not listened to; what is no text it cannot mean for us."""
        while (message := await self._websocket.receive())["type"] != "websocket.disconnect":
            if message.get("text") is None and not self._ended:
                await self._close(UNSUPPORTED_DATA)

    async def _send_special(self, frame: Frame) -> None:
        """Heartbeats are pings, which the server sends by itself; the end is a code."""
        if frame.event:
            await self._send(frame.websocket_message)
        if frame.closes:
            await self._close(frame.close_code if isinstance(frame, Control) else NORMAL_CLOSURE)

    async def _close(self, code: int) -> None:
        self._ended = True
        await self._send({"type": "websocket.close", "code": code})
