"""How often somebody may ask, counted over all APIs of one database.

The windows are those of the library `limits`; its storages are servers that this service does not need otherwise, so there is
one here for PostgreSQL. A request must not cost a write: each process counts for itself and adds what it has counted to the
common counter every SHARE_SECONDS, and at once when a window begins or UNSHARED_HITS are not shared yet. So much may be
let through too much by each API, and no more.
"""

import asyncio
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass

import structlog
from limits import RateLimitItem, RateLimitItemPerMinute
from limits.aio.storage import Storage
from limits.aio.strategies import FixedWindowRateLimiter

from streamforge.background import Background, Work
from streamforge.db.counters import Counters
from streamforge.errors import DatabaseUnavailable

SHARE_SECONDS = 0.5
UNSHARED_HITS = 20
FORGET_SECONDS = 600.0

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Rate:
    """Where somebody stands in a window: `limit` hits in `window` seconds, of which `left` are left for `reset` seconds."""

    name: str
    limit: int
    window: int
    left: int
    reset: int
    is_within: bool


@dataclass
class _Window:
    seconds: float
    ends_at: float
    shared: int = 0
    unshared: int = 0
    is_told: bool = False
    """Just now: what is on its way must not be told twice."""


class SharedStorage(Storage):
    """Of the library's fixed windows."""

    STORAGE_SCHEME = None

    def __init__(self, counters: Counters) -> None:
        super().__init__()
        self._counters = counters
        self._windows: dict[str, _Window] = {}

    @property
    def base_exceptions(self) -> type[Exception]:
        return DatabaseUnavailable

    async def incr(self, key: str, expiry: int, amount: int = 1) -> int:
        window = self._windows.get(key)
        begins = window is None or window.ends_at <= time.time()
        if window is None or begins:
            window = self._windows[key] = _Window(expiry, time.time() + expiry)
        window.unshared += amount
        if begins or window.unshared >= UNSHARED_HITS:
            await self.share([key])
        return window.shared + window.unshared

    async def get(self, key: str) -> int:
        window = self._windows.get(key)
        return 0 if window is None else window.shared + window.unshared

    async def get_expiry(self, key: str) -> float:
        window = self._windows.get(key)
        return time.time() if window is None else window.ends_at

    def standing(self, key: str) -> tuple[int, float]:
        """Hits in the window, and the seconds it still lasts."""
        window = self._windows.get(key)
        if window is None:  # It ended while the database was told of it.
            return 0, 0.0
        return window.shared + window.unshared, window.ends_at - time.time()

    async def share(self, keys: Iterable[str]) -> None:
        """Add what is counted here to the common counters. While the database is away each process counts alone."""
        found = {key: window for key in keys if (window := self._windows.get(key)) is not None}
        told = {key: window for key, window in found.items() if window.unshared and not window.is_told}
        for window in told.values():
            window.is_told = True
        try:
            await self._tell(told)
        finally:
            for window in told.values():
                window.is_told = False

    async def _tell(self, told: Mapping[str, _Window]) -> None:
        if not told:
            return
        hits = {key: (window.unshared, max(0.001, window.ends_at - time.time())) for key, window in told.items()}
        try:
            counted = await self._counters.add(hits)
        except DatabaseUnavailable as error:
            log.warning("requests are counted by this process alone", reason=error.debug)
            return
        for key, window in told.items():
            window.unshared -= hits[key][0]
            window.shared = counted[key].hits
            window.ends_at = time.time() + counted[key].seconds_left

    async def share_all(self) -> None:
        now = time.time()
        for key in [key for key, window in self._windows.items() if window.ends_at <= now]:
            del self._windows[key]
        await self.share(list(self._windows))

    async def check(self) -> bool:
        return True

    async def reset(self) -> int | None:
        count = len(self._windows)
        self._windows.clear()
        return count

    async def clear(self, key: str) -> None:
        self._windows.pop(key, None)


class Rates(Background):
    """While its block runs, counters are shared."""

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self._storage = SharedStorage(counters)
        self._limiter = FixedWindowRateLimiter(self._storage)
        self._items: dict[int, RateLimitItem] = {}

    async def hit(self, name: str, who: str, limit: int) -> Rate:
        """One more, of `limit` a minute."""
        item = self._items.get(limit)
        if item is None:
            item = self._items[limit] = RateLimitItemPerMinute(limit)
        within = await self._limiter.hit(item, name, who)
        hits, reset = self._storage.standing(item.key_for(name, who))
        return Rate(name, limit, item.get_expiry(), max(0, limit - hits), max(1, round(reset)), within)

    def work(self) -> Work:
        return {"counters": self._go_on()}

    async def _go_on(self) -> None:
        forgotten = time.monotonic()
        while True:
            await asyncio.sleep(SHARE_SECONDS)
            await self._storage.share_all()
            if time.monotonic() - forgotten >= FORGET_SECONDS:
                forgotten = time.monotonic()
                with suppress(DatabaseUnavailable):
                    await self._counters.forget()
