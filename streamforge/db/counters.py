"""The rows of `rate_counters`: who has asked how often, at all APIs together."""

from collections.abc import Mapping
from dataclasses import dataclass

from streamforge.db.pool import Database


@dataclass(frozen=True)
class Counted:
    """A window of a counter that still lasts `seconds_left`."""

    hits: int
    seconds_left: float


class Counters:
    """All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database.as_admin()

    async def add(self, hits: Mapping[str, tuple[int, float]]) -> dict[str, Counted]:
        """By key: hits to be added, and seconds that the window lasts which these begin if there is none."""
        added, seconds = zip(*hits.values(), strict=True)
        rows = await self._database.fetch("count_hits", list(hits), list(added), list(seconds))
        return {row["key"]: Counted(row["hits"], row["seconds_left"]) for row in rows}

    async def forget(self) -> None:
        """Windows that are over."""
        await self._database.fetch("forget_hits")
