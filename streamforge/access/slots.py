"""How many streams and uploads go on at once, counted over all APIs of one database.

Each process tells PostgreSQL how many it holds of each name and hears how many others do: once when something begins, and
once, a moment later, when it ends; what comes while the database is asked goes into the next question, all together. Nothing
is asked while a stream goes on. What a process holds is a lease, which ends LEASE_SECONDS after its last word: one that was
killed holds nothing for ever. Where a name is full by what this process holds alone, nobody is asked.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import structlog

from streamforge.background import Background, Work, stop
from streamforge.db.pool import Database
from streamforge.db.slots import HeldSlots
from streamforge.errors import DatabaseUnavailable

LEASE_SECONDS = 20.0
RENEW_SECONDS = 5.0
ANSWER_SECONDS = 5.0
"""So long a client waits at most for a database that does not answer."""

STREAMS, UPLOADS = "streams", "uploads"
OWNER, ADDRESS = "owner", "address"
Limits = Mapping[str, int]
"""By name how many there may be."""

log = structlog.stdlib.get_logger(__name__)


def limits_of(kind: str, owner: str, per_owner: int | None, address: str, per_address: int | None) -> Limits:
    """Of STREAMS or UPLOADS. None: as many as anybody likes."""
    limits = {name_of(kind, OWNER, owner): per_owner, name_of(kind, ADDRESS, address): per_address}
    return {name: most for name, most in limits.items() if most is not None}


def name_of(kind: str, whose: str, who: str) -> str:
    return f"{kind}/{whose}/{who}"


class NoSlot(Exception):
    """As many of a name are held as there may be, `most`. `whose` begins a sentence."""

    def __init__(self, name: str, most: int) -> None:
        super().__init__(name)
        self.most = most
        self.whose = "Your address" if name.split("/")[1] == ADDRESS else "Your account"


class _Asked:
    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.answer: asyncio.Future[str | None] = asyncio.get_running_loop().create_future()
        """The name that is full; None: there is room."""


class Slots(Background):
    def __init__(self, database: Database) -> None:
        self._rows = HeldSlots(database, uuid4())
        self._held: Counter[str] = Counter()
        self._wanted: Counter[str] = Counter()
        """By those that wait for an answer."""
        self._asked: list[_Asked] = []
        self._counting: list[tuple[str, asyncio.Future[int]]] = []
        self._untold: set[str] = set()
        self._telling: asyncio.Task[None] | None = None

    def work(self) -> Work:
        return {"slots": self._keep_telling()}

    async def finish(self) -> None:
        if self._telling is not None:
            await stop(self._telling)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._rows.leave()
        except (DatabaseUnavailable, TimeoutError):
            pass  # The lease ends by itself.

    @asynccontextmanager
    async def slot(self, limits: Limits) -> AsyncIterator[None]:
        """One more of each name while the block runs. Raises NoSlot."""
        await self.take(limits)
        try:
            yield
        finally:
            self.give_back(limits)

    async def take(self, limits: Limits) -> None:
        """One more of each name. Raises NoSlot; then nothing was taken."""
        if not limits:
            return
        if full := next((name for name, most in limits.items() if self._held[name] >= most), None):
            raise NoSlot(full, limits[full])
        asked = _Asked(limits)
        self._wanted.update(limits.keys())
        self._asked.append(asked)
        self._tell(limits)
        try:
            full = await asked.answer
        except asyncio.CancelledError:
            # The answer may have come in the same moment.
            if asked.answer.done() and not asked.answer.cancelled() and asked.answer.result() is None:
                self.give_back(limits)
            raise
        if full is not None:
            raise NoSlot(full, limits[full])

    def give_back(self, names: Collection[str]) -> None:
        for name in names:
            self._held[name] -= 1
        if names:
            self._tell(names)

    async def count(self, name: str) -> int:
        """Of all processes."""
        counted: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._counting.append((name, counted))
        self._tell([name])
        return await counted

    def _tell(self, names: Iterable[str]) -> None:
        self._untold.update(names)
        if self._telling is None or self._telling.done():
            self._telling = asyncio.create_task(self._tell_all(), name="slots are told")

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            if self._telling is None or self._telling.done():
                self._telling = asyncio.create_task(self._tell_all(), name="slots are told")

    async def _tell_all(self) -> None:
        """At least once: that this process lives."""
        while True:
            was_told = await self._tell_once()
            if not self._asked and not self._counting and not (was_told and self._untold):
                return

    async def _tell_once(self) -> bool:
        """Whether the database took it. While it is away this process counts alone."""
        names, self._untold = self._untold, set()
        asked, self._asked = self._asked, []
        counting, self._counting = self._counting, []
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                told = {name: self._held[name] + self._wanted[name] for name in names}
                others, was_known = await self._rows.hold(told, timedelta(seconds=LEASE_SECONDS))
        except Exception as error:
            # Whoever waits must be answered, whatever it is.
            log.warning("streams and uploads are counted by this process alone", reason=repr(error))
            self._untold |= names
            self._answer(asked, counting, {})
            return False
        if not was_known:
            # The first word, or the lease had ended, or the tables are empty since a crash: all of it again.
            self._untold |= {name for name, number in self._held.items() if number} - names
        self._answer(asked, counting, others)
        self._forget(names)
        return True

    def _answer(
        self, asked: list[_Asked], counting: list[tuple[str, asyncio.Future[int]]], others: Mapping[str, int]
    ) -> None:
        for each in asked:
            self._wanted.subtract(each.limits.keys())
            full = next((n for n, most in each.limits.items() if self._held[n] + others.get(n, 0) >= most), None)
            if full is None and not each.answer.done():
                self._held.update(each.limits.keys())
                each.answer.set_result(None)
                continue
            # More was told than is held now.
            self._untold |= each.limits.keys()
            if not each.answer.done():
                each.answer.set_result(full)
        for name, counted in counting:
            if not counted.done():
                counted.set_result(self._held[name] + others.get(name, 0))

    def _forget(self, names: set[str]) -> None:
        for name in names - self._untold:
            if not self._held[name] and not self._wanted[name]:
                del self._held[name], self._wanted[name]
