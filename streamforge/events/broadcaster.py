"""One process's fan-out: from the LISTEN connection to any number of clients, each event read and encoded once."""

import asyncio
import itertools
import time
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from streamforge.background import Background, Work
from streamforge.errors import DatabaseUnavailable
from streamforge.events import frames
from streamforge.events.clients import Client
from streamforge.events.frames import Frame
from streamforge.events.log import EventLog
from streamforge.events.sources import Snapshot, Source
from streamforge.observability import metrics
from streamforge.retry import until_available

PAGE = 500
RECENT_FRAMES_KEPT = 128
"""Recent frames of a source that somebody follows: who comes back soon is served from memory."""
CHANNELS_PER_LOOP_TURN = 256
"""Clients that are served before anything else of this process gets its turn."""
SNAPSHOT_TIMEOUT_SECONDS = 20.0
"""Seconds that a client waits for a database that is away before it is asked to come back."""
CATCH_UP_SECONDS = 2.0
"""How often each source that is followed is asked for what no notification told."""

log = structlog.stdlib.get_logger(__name__)


class ServerLeaving(Exception):
    """This process stops; the client should come back, here or elsewhere."""


class Channel:
    """One source that somebody in this process follows. Reads its log when told that there is more."""

    def __init__(self, source: Source) -> None:
        self.clients: set[Client] = set()
        self._source = source
        self._lag = metrics.EVENT_LAG.labels(source.key.partition(":")[0])
        self._told = asyncio.Event()
        self._known = 0
        self._recent: list[Frame] = []
        self._recent_begins = 0
        """`_recent` holds all there is from beyond this number up to `_known`."""
        self._filling = asyncio.Lock()
        self._snapshots = _Shared(source.snapshot)
        self._opened = asyncio.Event()
        self._reader = asyncio.create_task(self._read(), name=f"channel {source.key}")

    @property
    def is_dead(self) -> bool:
        return self._reader.done()

    def tell(self, number: int) -> None:
        if number > self._known:
            self._told.set()

    def look(self) -> None:
        """Notifications may have been lost: look into the table in any case."""
        self._told.set()

    def stop(self) -> None:
        self._reader.cancel()

    def end(self, last: Callable[[], Frame]) -> None:
        for client in self.clients:
            client.deliver(last())
        self._opened.set()

    async def snapshot(self) -> Snapshot | None:
        """As it is now or later; who asks at the same time gets the same. None when the source is gone."""
        return await self._snapshots.get()

    async def opened(self) -> None:
        """Wait until everything beyond some point of the log is sure to be delivered, or nothing will be."""
        try:
            async with asyncio.timeout(SNAPSHOT_TIMEOUT_SECONDS):
                await self._opened.wait()
        except TimeoutError as error:
            raise DatabaseUnavailable("The database does not answer.") from error

    async def after(self, number: int) -> Sequence[Frame]:
        """What follows in the log, a page of it at most: from memory, as far as that goes."""
        async with self._filling:
            if self._known - RECENT_FRAMES_KEPT <= number < self._recent_begins:
                await self._keep_more(number)
        if not self._recent_begins <= number < self._known:
            return await self._source.after(number, PAGE)
        return self._recent[bisect_right(self._recent, number, key=_number) :]

    async def _keep_more(self, number: int) -> None:
        begins = self._recent_begins
        older = [frame for frame in await self._source.after(number, PAGE) if _number(frame) <= begins]
        if begins == self._recent_begins and len(older) < PAGE:
            self._recent[:0] = older
            self._recent_begins = number

    async def _read(self) -> None:
        try:
            await self._open()
            while True:
                await self._told.wait()
                self._told.clear()
                await until_available(self._catch_up)
        except Exception:
            log.exception("channel failed", source=self._source.key)
            self.end(frames.reconnect)

    async def _open(self) -> None:
        snapshot = await until_available(self.snapshot)
        self._known = self._recent_begins = snapshot.latest if snapshot else 0
        self._opened.set()

    async def _catch_up(self) -> None:
        found = await self._source.after(self._known, PAGE)
        if not found and await self._source.snapshot() is None:
            self.end(frames.done)
        while found:
            for frame in found:
                await self._deliver(frame)
            found = await self._source.after(self._known, PAGE) if len(found) == PAGE else []

    async def _deliver(self, frame: Frame) -> None:
        self._known = _number(frame)
        self._remember(frame)
        await _each(self.clients, lambda client: client.deliver(frame))
        metrics.EVENTS_DELIVERED.inc(len(self.clients))
        self._lag.observe(max(0.0, time.time() - frame.created_at.timestamp()))
        if frame.is_last:
            done = frames.done()
            await _each(self.clients, lambda client: client.deliver(done))

    def _remember(self, frame: Frame) -> None:
        self._recent.append(frame)
        if len(self._recent) > 2 * RECENT_FRAMES_KEPT:
            self._recent_begins = _number(self._recent[RECENT_FRAMES_KEPT - 1])
            del self._recent[:RECENT_FRAMES_KEPT]


class Broadcaster(Background):
    """Give `on_notification` and `on_reconnected` to a Listener, and hold it open with `async with`.

    A client subscribes first and reads the table second. Its channel was opened before: everything up to the point
    where the channel stood then is in what the client reads, everything beyond it is delivered, and what is in both is
    told apart by its number. So there is no gap and no duplicate, whatever is appended meanwhile.
    """

    def __init__(self, events: EventLog, heartbeat_seconds: float) -> None:
        self._events = events
        self._heartbeat_seconds = heartbeat_seconds
        self._channels: dict[str, dict[str, Channel]] = {}
        """By what notifications call them, and as whom they are read."""
        self._leaving = False

    def work(self) -> Work:
        return {
            "heartbeats": _every(self._heartbeat_seconds, self._beat),
            "catch up": _every(CATCH_UP_SECONDS, self._look),
        }

    @asynccontextmanager
    async def subscribe(self, source: Source, client: Client) -> AsyncIterator[Channel]:
        """From here on every event of the source is delivered. Raises ServerLeaving when this process stops."""
        if self._leaving:
            raise ServerLeaving
        channel = self._channel(source)
        channel.clients.add(client)
        try:
            await channel.opened()
            yield channel
        finally:
            channel.clients.discard(client)
            client.close()
            if not channel.clients:
                channel.stop()
                self._forget(source, channel)

    def on_notification(self, payload: str) -> None:
        """`job_id:seq`, mostly with `:owner:owner_seq` and maybe `:batch_id`. What nobody follows costs a look-up."""
        job_id, seq, owner, owner_seq, batch_id = (payload.split(":") + [""] * 4)[:5]
        self._tell(f"job:{job_id}", seq)
        self._tell(f"owner:{owner}", owner_seq)
        self._tell(f"batch:{batch_id}", owner_seq)

    def on_reconnected(self) -> None:
        for _, channel in self._all():
            channel.look()

    def leave(self) -> None:
        """End every stream, and refuse new ones: this process stops."""
        self._leaving = True
        for _, channel in self._all():
            channel.end(frames.reconnect)

    def _tell(self, key: str, number: str) -> None:
        channels = self._channels.get(key)
        if channels is not None and number.isdigit():
            for channel in channels.values():
                channel.tell(int(number))

    async def _beat(self) -> None:
        for _, channel in self._all():
            await _each(channel.clients, Client.heartbeat)

    async def _look(self) -> None:
        """One question for all that is followed. What it does not answer for looks into the table itself: batches have no
        number of their own, and what is gone should end its streams."""
        followed: dict[str, list[str]] = {"job": [], "owner": [], "batch": []}
        for key in self._channels:
            kind, _, name = key.partition(":")
            followed[kind].append(name)
        try:
            numbers = await self._events.latest_numbers(map(UUID, followed["job"]), followed["owner"])
        except DatabaseUnavailable:
            return
        for key, channel in self._all():
            if key in numbers:
                channel.tell(numbers[key])
            else:
                channel.look()

    def _channel(self, source: Source) -> Channel:
        """Shared by those who follow the same as the same reader: what one of them is shown is there for all of them. It
        reads with the rights of that reader, so that PostgreSQL itself would stop what belongs to somebody else."""
        channels = self._channels.setdefault(source.key, {})
        channel = channels.get(source.reader)
        if channel is None or channel.is_dead:
            channel = channels[source.reader] = Channel(source)
        return channel

    def _forget(self, source: Source, channel: Channel) -> None:
        channels = self._channels.get(source.key, {})
        if channels.get(source.reader) is channel:
            del channels[source.reader]
        if not channels:
            self._channels.pop(source.key, None)

    def _all(self) -> list[tuple[str, Channel]]:
        return [(key, channel) for key, channels in self._channels.items() for channel in channels.values()]


class _Shared:
    """A question that many ask at the same time, asked once for all: for everybody who came before it was asked."""

    def __init__(self, ask: Callable[[], Awaitable[Snapshot | None]]) -> None:
        self._ask = ask
        self._turn = asyncio.Lock()
        self._next: asyncio.Task[Snapshot | None] | None = None

    async def get(self) -> Snapshot | None:
        if self._next is None:
            self._next = asyncio.create_task(self._ask_in_turn())
        return await asyncio.shield(self._next)

    async def _ask_in_turn(self) -> Snapshot | None:
        async with self._turn:
            self._next = None
            return await self._ask()


def _number(frame: Frame) -> int:
    assert frame.id is not None, "events of a log are numbered"
    return frame.id


async def _each(clients: Iterable[Client], do: Callable[[Client], None]) -> None:
    """In slices: others are served between them, and sockets are written to."""
    everybody = iter(list(clients))
    while some := list(itertools.islice(everybody, CHANNELS_PER_LOOP_TURN)):
        for client in some:
            do(client)
        await asyncio.sleep(0)


async def _every(seconds: float, do: Callable[[], Awaitable[None]]) -> None:
    while True:
        await asyncio.sleep(seconds)
        try:
            await do()
        except Exception:
            log.exception("broadcaster failed")
