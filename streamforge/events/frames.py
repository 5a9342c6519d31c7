"""Events as they travel: as `text/event-stream`, as a JSON object, and in both as the ASGI message that carries them.

Each form is made once and shared by every connection that sends it. JSON never holds a raw line break and event names
are checked by the database, so nothing a caller sent can end a line early and smuggle a field into the stream.
"""

import json
import random
from collections.abc import MutableMapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from sse_starlette.event import ServerSentEvent

from streamforge.contracts.events import LoggedEvent
from streamforge.contracts.job import Stage

LAST_STAGES = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.CANCELLED})

Message = MutableMapping[str, Any]


@dataclass(frozen=True, eq=False)
class Frame:
    """What a connection sends at once."""

    event: str
    data: str
    """JSON."""
    id: int | None = None
    """Its number in the log that is followed; None for what no client can come back to."""
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    merges_as: str | None = None
    """Of two frames that wait for a slow client and merge as the same, the later one does; None: it must arrive."""
    is_last: bool = False
    """Nothing follows in the log."""
    closes: bool = False
    """Nothing follows on the connection."""

    @cached_property
    def sse(self) -> bytes:
        number = None if self.id is None else str(self.id)
        return ServerSentEvent(self.data, event=self.event, id=number, sep="\n").encode()

    @cached_property
    def object(self) -> str:
        """The same in JSON: what `/events` lists and a WebSocket sends."""
        number, moment = json.dumps(self.id), _iso(self.created_at, "microseconds")
        return f'{{"id":{number},"event":"{self.event}","data":{self.data},"created_at":"{moment}"}}'

    @cached_property
    def http_message(self) -> Message:
        return {"type": "http.response.body", "body": self.sse, "more_body": not self.closes}

    @cached_property
    def websocket_message(self) -> Message:
        return {"type": "websocket.send", "text": self.object}


@dataclass(frozen=True, eq=False)
class Control(Frame):
    """Something for the connection rather than for its reader: no event of any log. A WebSocket has means of its own."""

    event: str = ""
    data: str = ""
    comment: str | None = None
    retry: int | None = None
    close_code: int = 1012
    """Of a WebSocket that it closes (RFC 6455 and its registry): the service starts again."""

    @cached_property
    def sse(self) -> bytes:
        return ServerSentEvent(comment=self.comment, retry=self.retry, sep="\n").encode()


HEARTBEAT = Control(comment="heartbeat")


def done() -> Frame:
    return Frame("done", "{}", closes=True)


def reconnect() -> Control:
    """This server cannot go on with the stream; resume it, here or elsewhere. The spread keeps a thousand clients from
    coming back in the same instant."""
    return Control(retry=random.randint(500, 3000), closes=True)  # noqa: S311 - jitter, not a secret


def expelled() -> Control:
    """Who comes back is told why: nobody is kept who may not see any more."""
    return Control(retry=random.randint(500, 3000), closes=True, close_code=1008)  # noqa: S311 - jitter, not a secret


def of_job(event: LoggedEvent) -> Frame:
    """An event of one job's log, which ends with the job."""
    return _logged(event, event.seq, is_last=event.stage in LAST_STAGES)


def of_owner(event: LoggedEvent) -> Frame:
    """An event in the log of all jobs of its owner, which never ends."""
    return _logged(event, event.owner_seq, is_last=False)


def of_batch(event: LoggedEvent) -> Frame:
    """An event in the log of a batch, which ends with the last of its jobs."""
    counters = (event.details or {}).get("batch", {"current": 0, "total": 1})
    return _logged(event, event.owner_seq, is_last=counters["current"] == counters["total"])


def _logged(event: LoggedEvent, number: int, *, is_last: bool) -> Frame:
    may_be_replaced = event.event == "progress" and event.stage not in LAST_STAGES
    return Frame(
        event.event,
        encode(_data(event)),
        id=number,
        created_at=event.created_at,
        merges_as=f"{event.job_id} {event.stage}" if may_be_replaced else None,
        is_last=is_last,
    )


def status(data: dict[str, Any], number: int | None) -> Frame:
    """The first frame of a connection. With a number it is a place to come back to: a client that loses the connection
    before the first progress misses nothing, and one that comes back after the end can be told so."""
    return Frame("status", encode(data), id=number)


def reset(data: dict[str, Any], number: int) -> Frame:
    """Your cursor means nothing here: forget what you have; a fresh `status` follows. The id replaces the cursor."""
    return Frame("reset", encode(data), id=number)


def encode(data: dict[str, Any]) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"))


def _data(event: LoggedEvent) -> dict[str, Any]:
    data: dict[str, Any] = {
        "job_id": str(event.job_id),
        "stage": event.stage,
        "progress": event.progress,
        "message": event.message,
        "timestamp": _iso(event.created_at, "milliseconds"),
    }
    details = dict(event.details or {})
    if event.stage is Stage.FAILED and "error" in details:
        data["error"] = details.pop("error")
    if event.batch_id is not None:
        data["batch_id"] = str(event.batch_id)
    if details:
        data["details"] = details
    return data


def _iso(moment: datetime, precision: str) -> str:
    return moment.astimezone(UTC).isoformat(timespec=precision).replace("+00:00", "Z")
