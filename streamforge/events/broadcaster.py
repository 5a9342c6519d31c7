"""One process's fan-out: from the LISTEN connection to any number of streams, each event read and encoded once."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

import structlog

from streamforge.db.jobs import Jobs
from streamforge.db.retry import until_available
from streamforge.events import frames
from streamforge.events.frames import Frame
from streamforge.events.log import EventLog

MERGE_ABOVE = 32
"""Frames waiting for one client from which on progress is merged."""
DROP_ABOVE = 512
"""Frames waiting that could not be merged: this client will never catch up."""
PAGE = 500

log = structlog.stdlib.get_logger(__name__)


class StreamEnded(Exception):
    """Nothing more will come through this subscription."""


class JobGone(StreamEnded):
    """The job was deleted."""


class ServerLeaving(StreamEnded):
    """This process cannot go on with the stream, mostly because it stops; the client should come back."""


class ClientTooSlow(StreamEnded):
    """The client did not take its frames in time."""


class Subscription:
    """One stream's bounded queue. `await next()` gives frames in order and raises StreamEnded when there are no more."""

    def __init__(self) -> None:
        self._waiting: deque[Frame] = deque()
        self._filled = asyncio.Event()
        self._end: StreamEnded | None = None

    def put(self, frame: Frame) -> None:
        if len(self._waiting) >= MERGE_ABOVE and frame.may_replace(self._waiting[-1]):
            self._waiting[-1] = frame
        elif len(self._waiting) >= DROP_ABOVE:
            self._waiting.clear()
            self.end(ClientTooSlow())
        else:
            self._waiting.append(frame)
        self._filled.set()

    def end(self, reason: StreamEnded) -> None:
        self._end = self._end or reason
        self._filled.set()

    async def next(self) -> Frame:
        while not self._waiting:
            if self._end is not None:
                raise self._end
            self._filled.clear()
            await self._filled.wait()
        return self._waiting.popleft()


class _Channel:
    """One job that somebody in this process watches. Reads the log when told that there is more, never otherwise."""

    def __init__(self, job_id: UUID, events: EventLog, jobs: Jobs) -> None:
        self.job_id = job_id
        self.subscriptions: set[Subscription] = set()
        self._events = events
        self._jobs = jobs
        self._told = asyncio.Event()
        self._known_seq = 0
        self._reader: asyncio.Task[None] | None = None
        self._opened = asyncio.Event()

    @property
    def is_dead(self) -> bool:
        return self._reader is not None and self._reader.done()

    def start(self) -> None:
        self._reader = asyncio.create_task(self._read(), name=f"channel {self.job_id}")

    async def opened(self) -> None:
        """Wait until everything after some point of the log is sure to come through the queues, or nothing will."""
        await self._opened.wait()

    def tell(self, seq: int) -> None:
        if seq > self._known_seq:
            self._told.set()

    def look(self) -> None:
        """Notifications may have been lost: look into the table in any case."""
        self._told.set()

    def stop(self) -> None:
        if self._reader is not None:
            self._reader.cancel()

    def end(self, reason: StreamEnded) -> None:
        for subscription in self.subscriptions:
            subscription.end(reason)
        self._opened.set()

    async def _read(self) -> None:
        try:
            await self._open()
            while True:
                await self._told.wait()
                self._told.clear()
                await until_available(self._catch_up)
        except Exception:
            log.exception("channel failed", job_id=str(self.job_id))
            self.end(ServerLeaving())

    async def _open(self) -> None:
        job = await until_available(lambda: self._jobs.state(self.job_id))
        self._known_seq = job.event_seq if job else 0
        self._opened.set()

    async def _catch_up(self) -> None:
        found = await self._events.after(self.job_id, self._known_seq, PAGE)
        if not found and await self._jobs.state(self.job_id) is None:
            self.end(JobGone())
        while found:
            for event in found:
                self._deliver(frames.logged(event))
            found = await self._events.after(self.job_id, self._known_seq, PAGE) if len(found) == PAGE else []

    def _deliver(self, frame: Frame) -> None:
        self._known_seq = frame.seq
        for subscription in self.subscriptions:
            subscription.put(frame)


class Broadcaster:
    """Give `on_notification` and `on_reconnected` to a Listener.

    A stream subscribes first and reads the table second. Its channel was opened before: everything up to the point
    where the channel stood then is in what the stream reads, everything beyond it comes through the queue, and what is
    in both is told apart by its number. So there is no gap and no duplicate, whatever is appended meanwhile.
    """

    def __init__(self, events: EventLog, jobs: Jobs) -> None:
        self._events = events
        self._jobs = jobs
        self._channels: dict[UUID, _Channel] = {}
        self._leaving = False

    @asynccontextmanager
    async def subscribe(self, job_id: UUID) -> AsyncIterator[Subscription]:
        """From here on every event of the job comes through. Raises ServerLeaving when this process stops."""
        if self._leaving:
            raise ServerLeaving
        channel = self._channel(job_id)
        subscription = Subscription()
        channel.subscriptions.add(subscription)
        try:
            await channel.opened()
            yield subscription
        finally:
            channel.subscriptions.discard(subscription)
            if not channel.subscriptions and self._channels.get(job_id) is channel:
                del self._channels[job_id]
                channel.stop()

    def on_notification(self, payload: str) -> None:
        """`job_id:seq`. Other jobs than the watched ones cost a dictionary look-up."""
        job_id, _, seq = payload.partition(":")
        try:
            channel = self._channels.get(UUID(job_id))
            if channel is not None:
                channel.tell(int(seq))
        except ValueError:
            log.warning("notification not understood", payload=payload[:80])

    def on_reconnected(self) -> None:
        for channel in self._channels.values():
            channel.look()

    def leave(self) -> None:
        """End every stream, and refuse new ones: this process stops."""
        self._leaving = True
        for channel in self._channels.values():
            channel.end(ServerLeaving())

    def _channel(self, job_id: UUID) -> _Channel:
        channel = self._channels.get(job_id)
        if channel is None or channel.is_dead:
            channel = self._channels[job_id] = _Channel(job_id, self._events, self._jobs)
            channel.start()
        return channel
