"""The rows of `held_slots`: how many of something go on at once, in which process."""

from collections.abc import Mapping
from datetime import timedelta
from uuid import UUID

from streamforge.db.pool import Database


class HeldSlots:
    """Of one process, which is `holder`. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database, holder: UUID) -> None:
        self._database = database.as_admin()
        self._holder = holder

    async def hold(self, held: Mapping[str, int], lease: timedelta) -> tuple[dict[str, int], bool]:
        """Tell how many of each name this process holds, and that it lives: for `lease` more. How many the others hold, and
        whether this process was known. Called again, it changes nothing."""
        [row] = await self._database.fetch("hold_slots", self._holder, list(held), list(held.values()), lease)
        return row["told"]["others"], row["told"]["was_known"]

    async def leave(self) -> None:
        """It holds nothing any more."""
        await self._database.fetch("leave_slots", self._holder)
