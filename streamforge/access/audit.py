"""What is written to the audit log, and how often: behind the request, and bounded whoever asks.

The same again within a minute is one row with a count. Of refusals each owner has REFUSALS_PER_WINDOW different ones in that
time, and all whom nobody knows have as many together; what goes beyond is counted in one row for each outcome. So a flood
of requests without a credential, from however many addresses, is about a hundred rows a minute in each API process, and
nobody's flood hides what somebody else is refused. What administrators do is never left out.
"""

import asyncio
from collections import Counter
from collections.abc import Hashable, Sequence
from contextlib import suppress

import structlog

from streamforge.background import Background, Work
from streamforge.db.audit import AuditLog, NewAuditEntry
from streamforge.errors import DatabaseUnavailable

ALLOWED = "allowed"
REFUSALS = {401: "unauthenticated", 403: "forbidden", 404: "not_found", 429: "limited"}
"""What a refusal is called, by its HTTP status. Not found is what is there, and somebody else's."""

WRITE_EVERY_SECONDS = 1.0
WINDOW_SECONDS = 60.0
REFUSALS_PER_WINDOW = 100
MAX_PER_WRITE = 500
MAX_WAITING = 10_000
"""Rows that wait for a database that is away; then the oldest refusals go, and then the oldest of all."""
THE_REST = "*"
"""The action of a row that counts what had none of its own."""

log = structlog.stdlib.get_logger("streamforge.audit")


class Auditor(Background):
    """Tell it from anywhere in the event loop; hold it open with `async with`. What was told is written when that ends."""

    def __init__(
        self, audit_log: AuditLog, *, write_every: float = WRITE_EVERY_SECONDS, window: float = WINDOW_SECONDS
    ) -> None:
        self._log = audit_log
        self._write_every = write_every
        self._window = window
        self._waiting: list[NewAuditEntry] = []
        self._told: set[Hashable] = set()
        self._again: dict[Hashable, NewAuditEntry] = {}
        self._refused: Counter[str | None] = Counter()
        self._window_ends = 0.0

    def work(self) -> Work:
        self._window_ends = asyncio.get_running_loop().time() + self._window
        return {"audit log": self._keep_writing()}

    async def finish(self) -> None:
        self._end_window()
        with suppress(DatabaseUnavailable):
            await self._write()

    def tell(self, entry: NewAuditEntry) -> None:
        key = _key(entry)
        if key in self._told:
            self._count_again(key, entry)
        elif entry.outcome == ALLOWED or self._refused[entry.owner] < REFUSALS_PER_WINDOW:
            self._refused[entry.owner] += entry.outcome != ALLOWED
            self._told.add(key)
            self._waiting.append(entry)
        elif not entry.only_of_others:
            rest = _the_rest(entry)
            self._count_again(_key(rest), rest)

    def _count_again(self, key: Hashable, entry: NewAuditEntry) -> None:
        before = self._again.get(key)
        if before is not None:
            entry = before.model_copy(update={"count": before.count + entry.count, "last_at": entry.last_at})
        self._again[key] = entry

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(self._write_every)
            if asyncio.get_running_loop().time() >= self._window_ends:
                self._end_window()
            try:
                await self._write()
            except DatabaseUnavailable as error:
                self._leave_out_the_oldest()
                log.warning("the audit log waits for the database", reason=error.debug, waiting=len(self._waiting))
            except Exception:
                log.exception("audit log failed")

    def _end_window(self) -> None:
        self._waiting += self._again.values()
        self._again.clear()
        self._told.clear()
        self._refused.clear()
        self._window_ends = asyncio.get_running_loop().time() + self._window

    async def _write(self) -> None:
        """Raises DatabaseUnavailable; then nothing is lost, and it can be called again."""
        while self._waiting:
            some = self._waiting[:MAX_PER_WRITE]
            await self._record(some)
            del self._waiting[: len(some)]

    async def _record(self, entries: Sequence[NewAuditEntry]) -> None:
        """One that cannot be written must not hold up the others for ever; what it said is in the log of the process."""
        try:
            for recorded in await self._log.record(entries):
                # The same for whoever keeps logs where nobody of ours can reach them.
                log.info("audited", **recorded.model_dump(mode="json", exclude_none=True))
        except DatabaseUnavailable:
            raise
        except Exception:
            if len(entries) == 1:
                log.exception("an entry cannot be written", entry=entries[0].model_dump(mode="json"))
                return
            for entry in entries:
                await self._record([entry])

    def _leave_out_the_oldest(self) -> None:
        if (too_many := len(self._waiting) - MAX_WAITING) <= 0:
            return
        refusals = [entry for entry in self._waiting if entry.outcome != ALLOWED]
        gone = {id(entry) for entry in refusals[:too_many]}
        self._waiting = [entry for entry in self._waiting if id(entry) not in gone][-MAX_WAITING:]
        log.error("the audit log lost entries while the database was away", count=too_many)


def _key(entry: NewAuditEntry) -> Hashable:
    return (entry.owner, entry.credential, entry.action, entry.target, entry.outcome, entry.code, entry.address)


def _the_rest(entry: NewAuditEntry) -> NewAuditEntry:
    nothing = {"credential": None, "target": None, "target_owner": None, "job_id": None, "batch_id": None, "code": None}
    return entry.model_copy(update=nothing | {"action": THE_REST, "address": None, "request_id": None})
