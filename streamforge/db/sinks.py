"""How far each sink is in the log of each owner."""

from streamforge.contracts.events import LoggedEvent
from streamforge.contracts.stored import read_as_far_as_possible
from streamforge.db.pool import Database


class Cursors:
    """Of one sink. All methods raise DatabaseUnavailable."""

    def __init__(self, sink: str, database: Database) -> None:
        self._sink = sink
        self._database = database

    async def begin(self) -> None:
        """A sink that was never there begins with what comes from now on."""
        await self._database.fetch("begin_sink", self._sink)

    async def behind(self) -> list[str]:
        """Owners of whose log something is still to go out."""
        return [str(row["id"]) for row in await self._database.fetch("owners_behind", self._sink)]

    async def position(self, owner: str) -> int:
        row = await self._database.fetch_one("sink_position", self._sink, owner)
        return 0 if row is None else int(row["seq"])

    async def after(self, owner: str, number: int, limit: int) -> list[LoggedEvent]:
        rows = await self._database.fetch("owner_events_after", owner, number, limit)
        return [read_as_far_as_possible(LoggedEvent, dict(row))[0] for row in rows]

    async def move(self, owner: str, number: int) -> None:
        """Never back: another process may have been further."""
        await self._database.fetch("move_sink", self._sink, owner, number)
