"""`streamforge up`: starts the parts, restarts the crashed, stops all of them in order.

lock DIR → end what a killed `up` left → claim ports → PostgreSQL ∥ Temporal → API ∥ worker → ready
stop:  API ∥ worker → Temporal → PostgreSQL
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import psutil
import structlog

from streamforge.access.exposure import require_callers_beyond_loopback
from streamforge.access.secret import InstallationSecret
from streamforge.disks import SERVER, disk_error
from streamforge.embedded import endpoints, leftovers, ports, printed
from streamforge.embedded.child import Child, ChildDied
from streamforge.embedded.endpoints import ProcessRecord, RunFile
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.embedded.service import Service, url_of
from streamforge.embedded.temporal import EmbeddedTemporal
from streamforge.settings import Settings

log = structlog.get_logger(__name__)

API_STOP_SECONDS = 10.0
WORKER_STOP_LIMIT_SECONDS = 15.0
"""With 6 s for Temporal and 8 s for PostgreSQL, everything has stopped within 30 s."""
FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 30.0
STABLE_AFTER_SECONDS = 60.0
"""A part that has lived so long is restarted at once when it crashes."""


class Part(Protocol):
    name: str
    child: Child | None

    async def start(self) -> object: ...

    async def stop(self) -> None: ...


@dataclass(frozen=True)
class UpOptions:
    """What the command line adds to the settings. Port 0 means any free port."""

    temporal_port: int = 7233
    ui_port: int = 8233
    with_worker: bool = True
    config_file: Path | None = None


@asynccontextmanager
async def running(settings: Settings, options: UpOptions) -> AsyncIterator[RunFile]:
    """Everything runs inside the block: entered when the API answers, left when nothing runs any more.

    `settings.database.dsn` and `settings.temporal.address`, where set, replace the embedded part.

    Raises InvalidSettings, AlreadyRunning, PortInUse, MissingPart, ChildDied, DiskFull, StorageUnavailable.
    """
    data_dir = settings.data_dir.resolve()
    require_callers_beyond_loopback(settings)
    ports.refuse_equal(_chosen_ports(settings, options))
    with endpoints.exclusive(data_dir):
        await asyncio.to_thread(leftovers.end_recorded, endpoints.read(data_dir))
        supervisor = _Supervisor(settings, options, data_dir)
        try:
            await supervisor.start()
            yield supervisor.run_file
        finally:
            await supervisor.stop()
            endpoints.path_of(data_dir).unlink(missing_ok=True)


def _chosen_ports(settings: Settings, options: UpOptions) -> dict[str, int]:
    chosen = {"--port": settings.server.port}
    if settings.temporal.address is None:
        chosen |= {"--temporal-port": options.temporal_port, "--ui-port": options.ui_port}
    return chosen


class _Supervisor:
    """The parts of one `up`. Making it claims every port; nothing has started yet."""

    def __init__(self, settings: Settings, options: UpOptions, data_dir: Path) -> None:
        self._data_dir = data_dir
        self._port = ports.Port(settings.server.host, settings.server.port, flag="--port")
        logs = data_dir / "logs"
        printed_by_parts = [logs / f"{part}.log" for part in ("api", "worker", "postgres", "temporal")]
        self._keep_small = partial(printed.keep_small, printed_by_parts, settings.log)
        self._postgres = None
        if settings.database.dsn is None:
            self._postgres = EmbeddedPostgres(data_dir / "postgres", log=logs / "postgres.log")
        self._temporal = None
        if settings.temporal.address is None:
            self._temporal = EmbeddedTemporal(
                data_dir / "temporal", options.temporal_port, options.ui_port, log=logs / "temporal.log"
            )
        self.run_file = RunFile(
            dsn=settings.database.dsn or "",
            temporal_address=settings.temporal.address or "",
            api_url=url_of(self._port),
            ui_url=self._temporal.ui_url if self._temporal else None,
            # A secret that cannot be read is told here, before anything has started.
            secret_fingerprint=InstallationSecret(settings).fingerprint() if settings.auth.required else None,
        )
        config = ["--config", str(options.config_file)] if options.config_file else []
        place = ["--data-dir", str(data_dir)]
        self._services = [
            Service(
                "API",
                [*config, "api", *place],
                logs / "api.log",
                stop_seconds=API_STOP_SECONDS,
                port=self._port,
            )
        ]
        if options.with_worker:
            grace = min(settings.worker.graceful_shutdown_seconds + 2, WORKER_STOP_LIMIT_SECONDS)
            worker = Service("worker", [*config, "worker", *place], logs / "worker.log", stop_seconds=grace)
            self._services.append(worker)
        self._keepers: list[asyncio.Task[None]] = []

    @property
    def _embedded(self) -> list[Part]:
        return [part for part in (self._temporal, self._postgres) if part is not None]

    async def start(self) -> None:
        await self._start_together(self._embedded)
        await self._start_together(self._services)
        self._keepers = [asyncio.create_task(self._keep(part)) for part in [*self._embedded, *self._services]]
        self._keepers.append(asyncio.create_task(self._keep_small()))

    async def stop(self) -> None:
        await _cancel(self._keepers)
        await asyncio.gather(*(service.stop() for service in self._services))
        for part in self._embedded:
            await part.stop()

    async def _start_together(self, parts: Sequence[Part]) -> None:
        """The first failure is the one to report; a part that is still starting is stopped by `stop`."""
        starting = [asyncio.create_task(self._start(part)) for part in parts]
        try:
            await asyncio.gather(*starting)
        finally:
            await _cancel(starting)

    async def _start(self, part: Part) -> None:
        """Raises DiskFull and StorageUnavailable, too, where it cannot be written down."""
        await part.start()
        try:
            self._record()
        except OSError as error:
            raise disk_error(error, SERVER) from error

    async def _keep(self, part: Part) -> None:
        """Restart `part` whenever it ends, waiting longer each time it does not last. Nothing ends this but `stop`: a part
        that nobody looks after is missed when it crashes."""
        backoff = FIRST_BACKOFF_SECONDS
        while True:
            began = time.monotonic()
            code = await part.child.wait() if part.child is not None and part.child.has_started else None
            if time.monotonic() - began > STABLE_AFTER_SECONDS:
                backoff = FIRST_BACKOFF_SECONDS
            log.warning("part ended, restarting", part=part.name, code=code, in_seconds=backoff)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, LONGEST_BACKOFF_SECONDS)
            await self._restart(part)

    async def _restart(self, part: Part) -> None:
        addresses = self._addresses()
        try:
            await part.start()
        except ChildDied as error:
            log.warning("part does not start", part=part.name, reason=error.message)
            await part.stop()
        except Exception:
            log.exception("part does not start", part=part.name)
            await part.stop()
        self._record_as_possible()
        if self._addresses() != addresses:
            log.warning("part listens elsewhere, its users start again", part=part.name)
            # Their keepers do that; they read the new addresses at their start.
            await asyncio.gather(*(service.stop() for service in self._services))

    def _record_as_possible(self) -> None:
        """The disk may be full; what runs goes on meanwhile."""
        try:
            self._record()
        except OSError as error:
            log.warning("what runs here could not be written down", reason=str(error))

    def _addresses(self) -> tuple[str | None, str | None]:
        """What API and worker are told at their start."""
        return self._postgres.dsn if self._postgres else None, self._temporal.address if self._temporal else None

    def _record(self) -> None:
        """After every start: an `up` that is killed later must not leave processes that the next one does not know."""
        if self._postgres is not None and self._postgres.child is not None:
            self.run_file.dsn = self._postgres.dsn
        if self._temporal is not None:
            self.run_file.temporal_address, self.run_file.ui_url = self._temporal.address, self._temporal.ui_url
        self.run_file.api_url = url_of(self._port)
        parts = [*self._embedded, *self._services]
        children = [part.child for part in parts if part.child is not None and part.child.is_alive]
        self.run_file.processes = [record for child in children if (record := _record_of(child)) is not None]
        endpoints.write(self._data_dir, self.run_file)


def _record_of(child: Child) -> ProcessRecord | None:
    """None when it has ended in this moment."""
    try:
        started_at = psutil.Process(child.pid).create_time()
    except psutil.Error:
        return None
    return ProcessRecord(name=child.name, pid=child.pid, started_at=started_at)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
