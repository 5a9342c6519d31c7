"""The rows of `workers`."""

from datetime import datetime, timedelta

from streamforge.contracts.worker_view import AboutWorker, WorkerView
from streamforge.db.pool import Database, Restricted, Row

GONE_AFTER = timedelta(seconds=30)
"""Without a word: a killed worker cannot say that it goes."""


class Beats:
    """What a worker tells. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database, identity: str, host: str, version: str, started_at: datetime) -> None:
        self._database = database
        self._fixed = (identity, host, version)
        self._started_at = started_at

    async def tell(self, about: AboutWorker) -> bool:
        """Whether it is to stop."""
        row = await self._database.fetch_one("beat", *self._fixed, about.model_dump(mode="json"), self._started_at)
        return row is not None and bool(row["is_to_drain"])

    async def say_goodbye(self) -> None:
        await self._database.fetch("forget_worker", self._fixed[0])


class Workers:
    """What administrators see. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database: Restricted = database.as_admin()

    async def all(self) -> list[WorkerView]:
        return [_view(row) for row in await self._database.look("workers", GONE_AFTER)]

    async def drain(self, identity: str) -> WorkerView | None:
        """Ask it to stop. None when it is not there."""
        row = await self._database.fetch_one("drain_worker", identity, GONE_AFTER)
        return None if row is None else _view(row)


def _view(row: Row) -> WorkerView:
    fixed = {name: row[name] for name in ("id", "host", "version", "started_at", "seen_at")}
    return WorkerView.model_validate({**row["about"], **fixed, "draining": row["drain_requested_at"] is not None})
