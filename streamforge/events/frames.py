"""Events as bytes of `text/event-stream`. The wire contract of a stream lives here and in `stream`.

JSON never holds a raw line break and event names are checked by the database, so nothing a caller sent can end a line
early and smuggle a field into the stream.
"""

import json
import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from streamforge.contracts.events import LoggedEvent
from streamforge.contracts.job import Stage
from streamforge.db.jobs import JobState

LAST_STAGES = frozenset({Stage.COMPLETED, Stage.FAILED, Stage.CANCELLED})


@dataclass(frozen=True, slots=True)
class Frame:
    """One logged event, encoded once and shared by every stream that sends it."""

    seq: int
    event: str
    stage: Stage
    data: bytes

    @property
    def is_last(self) -> bool:
        return self.stage in LAST_STAGES

    def may_replace(self, earlier: "Frame") -> bool:
        """Progress may be merged for a client that is slow, latest wins; a change of stage or a named event not."""
        return self.event == earlier.event == "progress" and self.stage == earlier.stage and not self.is_last


def logged(event: LoggedEvent) -> Frame:
    data: dict[str, Any] = {
        "job_id": str(event.job_id),
        "stage": event.stage,
        "progress": event.progress,
        "message": event.message,
        "timestamp": _timestamp(event.created_at),
    }
    details = dict(event.details or {})
    if event.stage is Stage.FAILED and "error" in details:
        data["error"] = details.pop("error")
    if details:
        data["details"] = details
    return Frame(event.seq, event.event, event.stage, _encode(event.event, data, event.seq))


def status(job: JobState, *, as_cursor: bool) -> bytes:
    """The first frame of a connection. `as_cursor` gives it the number of the latest event as its id: a client that
    loses the connection before the first progress then comes back with a cursor and misses nothing; one that comes
    back after the end can be told so. Not for a failed job: its last event, which says why, is still to follow."""
    data = {"job_id": str(job.id), "status": job.status, "stage": job.stage, "progress": job.progress}
    return _encode("status", data, job.event_seq if as_cursor else None)


def reset(job: JobState) -> bytes:
    """Your cursor means nothing here: forget what you have; a fresh `status` follows. The id replaces the cursor."""
    return _encode("reset", {"job_id": str(job.id)}, job.event_seq)


DONE = b"event: done\ndata: {}\n\n"


def come_back() -> bytes:
    """This server cannot go on with the stream; resume it, here or elsewhere. The spread keeps a thousand clients from
    coming back in the same instant."""
    return f"retry: {random.randint(500, 3000)}\n\n".encode()  # noqa: S311 - jitter, not a secret


def _encode(event: str, data: dict[str, Any], seq: int | None) -> bytes:
    body = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    number = "" if seq is None else f"id: {seq}\n"
    return f"{number}event: {event}\ndata: {body}\n\n".encode()


def _timestamp(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
