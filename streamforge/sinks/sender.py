"""The log of every owner on its way to one sink: in order, at least once, by one process at a time."""

import asyncio
from collections.abc import Sequence

import structlog

from streamforge.background import Background, Work
from streamforge.contracts.events import LoggedEvent
from streamforge.db.locks import Lease
from streamforge.db.pool import Database
from streamforge.db.sinks import Cursors
from streamforge.errors import DatabaseUnavailable, SinkUnavailable
from streamforge.observability import metrics
from streamforge.retry import backoff
from streamforge.sinks.protocol import Sink, message_of

PAGE = 500
LOOK_SECONDS = 5.0
"""How often all owners are asked for what no notification told, and whether the lease is ours still."""
TRY_SECONDS = 2.0
"""How often a process asks for the lease that another one has: so long nothing goes out after that was killed."""

log = structlog.stdlib.get_logger(__name__)


class Sender(Background):
    """Give `on_notification` and `look` to a Listener, and hold it open with `async with`.

    Where a sink stands is a number for each owner: these count in the order of commits, without gaps (see EventLog), which no
    number over all owners does. It is written when the sink has said that it has what comes before. So a process that is
    killed in between sends a page again, and none is left out. Events that were deleted before they could go out are lost.
    """

    def __init__(self, name: str, sink: Sink, database: Database) -> None:
        self._name = name
        self._sink = sink
        self._cursors = Cursors(name, database)
        self._lease = Lease(database.dsn, f"sink {name}")
        self._positions: dict[str, int] = {}
        self._told: set[str] = set()
        self._look = True
        self._wake = asyncio.Event()

    def work(self) -> Work:
        return {f"sink {self._name}": self._run()}

    async def finish(self) -> None:
        await self._lease.close()
        await self._sink.close()

    def on_notification(self, payload: str) -> None:
        """`job_id:seq:owner:owner_seq`, maybe with more behind it."""
        parts = payload.split(":")
        if len(parts) >= 4:
            self._told.add(parts[2])
            self._wake.set()

    def look(self) -> None:
        """Notifications may have been lost."""
        self._look = True
        self._wake.set()

    async def _run(self) -> None:
        delays = backoff()
        while True:
            try:
                if await self._lease.take():
                    await self._send_what_comes()
                await asyncio.sleep(TRY_SECONDS)
                delays = backoff()
            except (DatabaseUnavailable, SinkUnavailable) as error:
                metrics.SINK_FAILURES.labels(self._name).inc()
                log.warning("events wait for their sink", sink=self._name, code=error.code, reason=error.debug)
                await asyncio.sleep(next(delays))
            except Exception:
                metrics.SINK_FAILURES.labels(self._name).inc()
                log.exception("sink failed", sink=self._name)
                await asyncio.sleep(next(delays))

    async def _send_what_comes(self) -> None:
        """Until the lease is another's."""
        await self._cursors.begin()
        self._positions.clear()
        self._look = True
        while await self._lease.take():
            owners = set(await self._cursors.behind()) if self._look else set()
            self._look = False
            owners |= self._told
            self._told = set()
            await self._send(owners)
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            self._look = True
        self._wake.clear()

    async def _send(self, owners: set[str]) -> None:
        """A page of each in turn: one with a long log does not hold up the others."""
        try:
            while owners:
                owners = {owner for owner in owners if await self._send_page(owner)}
        except BaseException:
            self._look = True
            raise

    async def _send_page(self, owner: str) -> bool:
        """Whether there may be more."""
        if owner not in self._positions:
            self._positions[owner] = await self._cursors.position(owner)
        events = await self._cursors.after(owner, self._positions[owner], PAGE)
        if events:
            await self._deliver(owner, events)
        return len(events) == PAGE

    async def _deliver(self, owner: str, events: Sequence[LoggedEvent]) -> None:
        await self._sink.send([message_of(event) for event in events])
        position = events[-1].owner_seq
        await self._cursors.move(owner, position)
        self._positions[owner] = position
        metrics.SINK_EVENTS.labels(self._name).inc(len(events))
