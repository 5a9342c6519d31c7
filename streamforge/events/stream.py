"""The sequence of frames that one client sees, whatever it follows and however it is connected.

status  [reset status]  replayed events …  live events …  [done]
"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from streamforge.errors import DatabaseUnavailable
from streamforge.events import frames
from streamforge.events.broadcaster import SNAPSHOT_TIMEOUT_SECONDS, Broadcaster, Channel, ServerLeaving
from streamforge.events.clients import Client, Wire
from streamforge.events.frames import Frame
from streamforge.events.sources import Snapshot, Source
from streamforge.retry import until_available

Watched = Callable[[Callable[[], None]], AbstractContextManager[None]]
"""Calls what it is given when the client may not see any more, while the block lasts."""


class Connection(Wire, Protocol):
    """A wire with a beginning and an end. Nothing is sent before `open`: until then it can be refused by an error."""

    async def open(self) -> None:
        """Say that frames follow. A second time does nothing."""

    async def nothing_left(self) -> None:
        """This client has seen everything there will ever be: tell it not to come back."""

    async def closed(self) -> None:
        """Wait until one side has ended it."""


@dataclass(frozen=True)
class Streams:
    broadcaster: Broadcaster

    async def has_more(self, source: Source, cursor: str | None) -> bool:
        """Whether a client with that cursor would be served anything. Raises JobNotFound, BatchNotFound,
        DatabaseUnavailable."""
        now = await source.snapshot()
        if now is None:
            raise source.not_found()
        return not _has_seen_all(now, cursor)

    async def follow(self, source: Source, cursor: str | None, connection: Connection, watched: Watched) -> None:
        """Serve a client whose last event had the id `cursor` (None: a new client) until it goes, its log ends, or it may
        not see it any more.

        Raises JobNotFound, BatchNotFound. While the database is away, or this process stops, the client is asked to come back:
        EventSource gives up for good when it is answered with an error.
        """
        client = Client(connection)
        with watched(lambda: client.deliver(frames.expelled())):
            await self._serve(source, cursor, connection, client)

    async def _serve(self, source: Source, cursor: str | None, connection: Connection, client: Client) -> None:
        try:
            async with self.broadcaster.subscribe(source, client) as channel:
                now = await until_available(channel.snapshot, give_up_after=SNAPSHOT_TIMEOUT_SECONDS)
                if now is None:
                    raise source.not_found()
                if _has_seen_all(now, cursor):
                    await connection.nothing_left()
                    return
                await connection.open()
                await _tell(client, channel, now, cursor)
                await connection.closed()
        except (ServerLeaving, DatabaseUnavailable):
            await connection.open()
            await client.tell([frames.reconnect()])


def _has_seen_all(now: Snapshot, cursor: str | None) -> bool:
    return now.is_over and now.position(cursor) == now.latest


async def _tell(client: Client, channel: Channel, now: Snapshot, cursor: str | None) -> None:
    """Everything up to the present; from then on it is the broadcaster that sends."""
    position = now.position(cursor)
    seen = now.begins_at if position is None else position
    opening = _opening(now, cursor)
    while seen < now.latest and (page := await channel.after(seen)):
        await client.tell([*opening, *page])
        opening, seen = [], page[-1].id or seen
    if now.is_over:
        opening.append(frames.done())
    if opening:
        await client.tell(opening)
    await client.go_live(seen)


def _opening(now: Snapshot, cursor: str | None) -> list[Frame]:
    if cursor is None:
        # Not a place to come back to where more is to follow at once, such as why a job failed.
        return [frames.status(now.status, now.latest if now.begins_at == now.latest else None)]
    status = frames.status(now.status, None)
    return [status] if now.position(cursor) is not None else [status, frames.reset(now.identity, now.latest), status]
