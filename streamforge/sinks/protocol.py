"""What a sink is. A new one is a class with these two methods, and a line in `opening`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from streamforge.contracts.events import LoggedEvent
from streamforge.events.frames import of_owner


@dataclass(frozen=True)
class Message:
    """One event on its way out. It may go out more than once, under the same `id`."""

    id: str
    """`OWNER:NUMBER`, as its owner's log counts."""
    owner: str
    job_id: UUID
    event: str
    body: bytes
    """JSON, in the shape that events have everywhere: `id`, `event`, `data`, `created_at`."""


class Sink(Protocol):
    async def send(self, messages: Sequence[Message]) -> None:
        """Return when all are safe there. Raises SinkUnavailable: some of them may be there then, and all come again."""

    async def close(self) -> None: ...


def message_of(event: LoggedEvent) -> Message:
    return Message(
        id=f"{event.owner}:{event.owner_seq}",
        owner=event.owner,
        job_id=event.job_id,
        event=event.event,
        body=of_owner(event).object.encode(),
    )
