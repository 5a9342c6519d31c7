"""Whether what a caller stands on, an API key or a session, still stands.

Rows are remembered for a moment, so that most requests ask no database. Revocations are told to all processes at once
(NOTIFY on `streamforge_callers`); should one not be heard, the row is read again within REMEMBERED_SECONDS. Whoever holds a
stream open is told when what it stands on falls.
"""

import asyncio
import itertools
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import Generic, TypeVar

import structlog

from streamforge.access.caller import KEY, SESSION, Caller
from streamforge.background import Background, Work
from streamforge.db.credentials import Credentials, KeyRow, SessionRow
from streamforge.errors import CredentialInvalid, DatabaseUnavailable

CHANNEL = "streamforge_callers"
REMEMBERED_SECONDS = 5.0
RECHECK_SECONDS = 5.0
"""How often it is asked whether what open streams stand on still stands."""
RECORD_USES_SECONDS = 30.0
MOST_REMEMBERED = 10_000

R = TypeVar("R")

log = structlog.stdlib.get_logger(__name__)


class _Remembered(Generic[R]):
    """Rows by name. What is not there is not remembered: whoever guesses names fills no memory with them."""

    def __init__(self, load: Callable[[Sequence[str]], Awaitable[Mapping[str, R]]]) -> None:
        self._load = load
        self._rows: dict[str, tuple[float, R]] = {}
        self._reading: dict[object, set[str]] = {}
        """By question that is under way: the names of which nothing was heard since it was put."""

    async def get(self, name: str) -> R | None:
        if self._is_fresh(name):
            return self._rows[name][1]
        return (await self._loaded([name])).get(name)

    async def refresh(self, names: Iterable[str]) -> None:
        """All at once: one question, however many there are."""
        if stale := [name for name in names if not self._is_fresh(name)]:
            await self._loaded(stale)

    async def _loaded(self, names: Sequence[str]) -> Mapping[str, R]:
        # Before the question: it may be answered by a row that is revoked a moment later.
        asked_at, question = time.monotonic(), object()
        self._drop(names)
        self._reading[question] = set(names)
        try:
            rows = await self._load(names)
        finally:
            unchanged = self._reading.pop(question)
        self._rows |= {name: (asked_at, row) for name, row in rows.items() if name in unchanged}
        for oldest in list(itertools.islice(self._rows, max(0, len(self._rows) - MOST_REMEMBERED))):
            del self._rows[oldest]
        return rows

    def _is_fresh(self, name: str) -> bool:
        return name in self._rows and time.monotonic() - self._rows[name][0] < REMEMBERED_SECONDS

    def forget(self, name: str) -> None:
        for names in self._reading.values():
            names.discard(name)
        self._drop([name])

    def forget_all(self) -> None:
        for names in self._reading.values():
            names.clear()
        self._rows.clear()

    def _drop(self, names: Iterable[str]) -> None:
        for name in names:
            self._rows.pop(name, None)


class Standing(Background):
    """Give `on_notification` and `on_reconnected` to a Listener, and hold it open with `async with`."""

    def __init__(self, rows: Credentials) -> None:
        self._rows = rows
        self._keys: _Remembered[KeyRow] = _Remembered(rows.keys_named)
        self._sessions: _Remembered[SessionRow] = _Remembered(rows.sessions_named)
        self._uses: dict[str, datetime] = {}
        self._watched: dict[str, dict[object, Callable[[], None]]] = {}
        """By the name of what it stands on: how each stream is ended."""
        self._wake = asyncio.Event()

    def work(self) -> Work:
        return {"standing": self._keep_checking(), "uses of keys": self._keep_recording()}

    async def finish(self) -> None:
        await self._record_uses()

    # ── what is asked ───────────────────────────────────────────────────────────────────────────────────────────────
    async def key(self, prefix: str) -> KeyRow | None:
        return await self._keys.get(prefix)

    async def session(self, session_id: str) -> SessionRow | None:
        return await self._sessions.get(session_id)

    async def require(self, names: Iterable[str]) -> None:
        """Raises CredentialInvalid when one of them stands no more, DatabaseUnavailable."""
        for name in names:
            kind, _, rest = name.partition(":")
            if kind == KEY:
                require_key(await self._keys.get(rest))
            elif kind == SESSION:
                _require_session(await self._sessions.get(rest))

    def used(self, prefix: str) -> None:
        self._uses[prefix] = datetime.now(UTC)

    @contextmanager
    def watched(self, caller: Caller, end: Callable[[], None]) -> Iterator[None]:
        """`end` is called, once, when the caller may go on no longer: it expires, or what it stands on falls."""
        name, timer = object(), _at(caller.expires_at, end)
        for each in caller.stands_on:
            self._watched.setdefault(each, {})[name] = end
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            for each in caller.stands_on:
                self._unwatch(each, name)

    # ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────
    def on_notification(self, payload: str) -> None:
        """`key:PREFIX` or `session:ID`."""
        kind, _, rest = payload.partition(":")
        (self._keys if kind == KEY else self._sessions).forget(rest)
        self._wake.set()

    def on_reconnected(self) -> None:
        """Something may have been revoked unheard."""
        self._keys.forget_all()
        self._sessions.forget_all()
        self._wake.set()

    # ── what goes on beside ─────────────────────────────────────────────────────────────────────────────────────────
    async def _keep_checking(self) -> None:
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._wake.wait(), RECHECK_SECONDS)
            self._wake.clear()
            try:
                await self._check()
            except DatabaseUnavailable:
                pass  # Nobody can say. Streams stand still meanwhile.
            except Exception:
                log.exception("standing could not be checked")

    async def _check(self) -> None:
        names = [name.partition(":") for name in self._watched]
        await self._keys.refresh(rest for kind, _, rest in names if kind == KEY)
        await self._sessions.refresh(rest for kind, _, rest in names if kind == SESSION)
        for name in list(self._watched):
            try:
                await self.require([name])
            except CredentialInvalid:
                for end in self._watched.pop(name, {}).values():
                    end()

    def _unwatch(self, name: str, stream: object) -> None:
        streams = self._watched.get(name, {})
        streams.pop(stream, None)
        if not streams:
            self._watched.pop(name, None)

    async def _keep_recording(self) -> None:
        while True:
            await asyncio.sleep(RECORD_USES_SECONDS)
            await self._record_uses()

    async def _record_uses(self) -> None:
        uses, self._uses = self._uses, {}
        if not uses:
            return
        try:
            await self._rows.record_uses(uses)
        except DatabaseUnavailable:
            self._uses = uses | self._uses
        except Exception:
            log.exception("uses of keys could not be recorded")


def require_key(row: KeyRow | None) -> None:
    """Raises CredentialInvalid when it stands no more."""
    if row is None:
        raise CredentialInvalid("This API key is not known here.")
    if row.revoked_at is not None:
        raise CredentialInvalid("This API key was revoked.")
    if row.expires_at is not None and row.expires_at <= datetime.now(UTC):
        raise CredentialInvalid("This API key has expired.")


def _require_session(row: SessionRow | None) -> None:
    if row is None or row.expires_at <= datetime.now(UTC):
        raise CredentialInvalid("This session is over.")


def _at(moment: datetime | None, end: Callable[[], None]) -> asyncio.TimerHandle | None:
    if moment is None:
        return None
    return asyncio.get_running_loop().call_later((moment - datetime.now(UTC)).total_seconds(), end)
