"""One connection's end of the fan-out: frames go straight to its socket, and wait only while that socket is backed up."""

import asyncio
import types
from collections import deque
from collections.abc import Coroutine, Generator, Sequence
from typing import Any, Protocol

import structlog

from streamforge.events.frames import HEARTBEAT, Frame
from streamforge.observability import metrics

MERGE_ABOVE = 32
"""Frames waiting for one client from which on progress is merged."""
DROP_ABOVE = 512
"""Frames waiting that could not be merged: this client will never catch up."""
SEND_TIMEOUT = 30.0
"""Seconds a client may leave its socket full before it is dropped. It can resume."""

log = structlog.stdlib.get_logger(__name__)


class Wire(Protocol):
    """A connection that frames can be sent on: server-sent events, or a WebSocket."""

    def send(self, frame: Frame) -> Coroutine[Any, Any, None]:
        """Done at once while the socket takes it; otherwise when it does."""

    async def send_all(self, frames: Sequence[Frame]) -> None:
        """In as few pieces as the wire can."""

    def abort(self) -> None:
        """Cut the connection, whatever is still in its buffers: a client that reads nothing would hold them for ever."""


class Client:
    """A client is told its story first, by the task of its own request: `tell`. What is delivered meanwhile waits, and
    follows with `go_live`. From then on a delivery is the call of the connection's `send`, and nothing else: no queue,
    no task to wake. Only when the socket does not take it at once, the delivery is finished by a task of its own, behind
    which frames wait: a bounded number, and of progress only the latest. So nobody ever waits for anybody else.
    """

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._waiting: deque[Frame] = deque()
        self._live = False
        self._over = False
        self._seen = 0
        self._catching_up: asyncio.Task[None] | None = None

    async def tell(self, frames: Sequence[Frame]) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._wire.send_all(frames)
        except TimeoutError:
            self._drop("took nothing for too long")
        self._over = self._over or frames[-1].closes

    async def go_live(self, seen: int) -> None:
        """What was delivered beyond event number `seen`, and from then on everything as it comes."""
        self._seen = seen
        await self._send_waiting()

    def deliver(self, frame: Frame) -> None:
        """From the broadcaster. Never waits, never raises."""
        if frame.id is not None and frame.id <= self._seen:
            return  # The story was read from the table, which can be ahead of the broadcaster.
        if self._live:
            self._send_now(frame)
        elif not self._over:
            self._put(frame)

    def heartbeat(self) -> None:
        """A client that has frames waiting needs none."""
        if self._live:
            self._send_now(HEARTBEAT)

    def close(self) -> None:
        """The connection is gone."""
        self._live, self._over = False, True
        self._waiting.clear()
        if self._catching_up is not None:
            self._catching_up.cancel()

    def _send_now(self, frame: Frame) -> None:
        sending = self._wire.send(frame)
        try:
            blocked_on = sending.send(None)
        except StopIteration:
            if frame.closes:
                self._live, self._over = False, True
        except Exception as error:
            log.debug("client went away", reason=repr(error))
            self.close()
        else:
            self._live = False
            rest = _rest(sending, blocked_on)
            self._catching_up = asyncio.create_task(self._catch_up(rest, frame), name="slow client")

    async def _catch_up(self, rest: Coroutine[Any, Any, None], frame: Frame) -> None:
        try:
            await self._finish(rest, frame)
            await self._send_waiting()
        except Exception as error:
            log.debug("client went away", reason=repr(error))
            self.close()

    async def _send_waiting(self) -> None:
        # The end may have been told from the table while the broadcaster delivered it, too.
        while self._waiting and not self._over:
            frame = self._waiting.popleft()
            if frame.id is None or frame.id > self._seen:
                await self._finish(self._wire.send(frame), frame)
        self._live = not self._over

    async def _finish(self, sending: Coroutine[Any, Any, None], frame: Frame) -> None:
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await sending
        except TimeoutError:
            self._drop("took nothing for too long")
        self._over = self._over or frame.closes

    def _put(self, frame: Frame) -> None:
        if len(self._waiting) >= MERGE_ABOVE and frame.merges_as is not None:
            self._forget_earlier(frame)
        if len(self._waiting) >= DROP_ABOVE:
            self._drop("has too much waiting")
        else:
            self._waiting.append(frame)

    def _forget_earlier(self, frame: Frame) -> None:
        """Of progress of the same job in the same stage only the latest is kept, in its own place in the order."""
        for waiting in self._waiting:
            if waiting.merges_as == frame.merges_as:
                self._waiting.remove(waiting)
                return

    def _drop(self, why: str) -> None:
        log.info("client dropped, it can resume", why=why)
        metrics.CLIENTS_DROPPED.inc()
        self._live, self._over = False, True
        self._waiting.clear()
        self._wire.abort()


@types.coroutine
def _rest(begun: Coroutine[Any, Any, None], blocked_on: Any) -> Generator[Any, Any, None]:
    """What is left of a coroutine that was begun by hand, and gave the future `blocked_on` to wait for. The event loop
    must be given that future first; to go on with the coroutine before it is done would be a defect."""
    try:
        yield blocked_on
    except BaseException as cancelled:
        begun.throw(cancelled)
        raise
    yield from begun
