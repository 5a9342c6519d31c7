"""A whole StreamForge that may be hurt: an `up` on a small disk, a bucket behind a gateway, and a second worker whose clock
can be moved."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bucket_server import BUCKET, CREDENTIALS, Gateway, bucket_server
from commandline import Up, clean_up, environment, processes_of, start
from outages import CannotMount, tmpfs

DISK = "512m"
"""Room for PostgreSQL, Temporal and the scratch of two workers; little enough to be filled within a second."""
SETTINGS = {
    "STREAMFORGE_STORAGE__URL": f"s3://{BUCKET}",
    "STREAMFORGE_TRANSCODE__PRESETS__H264": "ultrafast",
    "STREAMFORGE_TRANSCODE__HEIGHTS": "[180, 90]",
    "STREAMFORGE_TRANSCODE__MAX_CHUNK_SECONDS": "4",
    "STREAMFORGE_VALIDATION__ON_FAILURE": "warn",
    "STREAMFORGE_PICTURES__ENABLED": "false",
    "STREAMFORGE_WORKER__MAX_CONCURRENT_MEDIA": "1",
    "STREAMFORGE_INPUT__MIN_FREE_DISK_BYTES": str(16 * 2**20),
    **CREDENTIALS,
}
START_SECONDS = 60
FAKETIME = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketime.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketime.so.1",
]

UNMOVED_CHILDREN = """
import os, runpy
os.environ.pop("LD_PRELOAD", None)
runpy.run_module("streamforge", run_name="__main__", alter_sys=True)
"""
"""Media children would inherit libfaketime, and it ends a program that may not make shared memory, as in their sandbox."""


@dataclass
class SecondWorker:
    """Beside the one of `up`. Where libfaketime is installed (Debian: faketime), its wall clock is what `clock` says."""

    data_dir: Path
    environment: dict[str, str]
    clock: Path
    library: str | None = field(default_factory=lambda: next((path for path in FAKETIME if Path(path).exists()), None))
    _process: "subprocess.Popen[bytes] | None" = None

    def start(self) -> None:
        self.set_clock("+0")
        moved = {
            "LD_PRELOAD": self.library,
            "FAKETIME_TIMESTAMP_FILE": str(self.clock),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        command = [sys.executable, "-c", UNMOVED_CHILDREN, "worker", "--data-dir", str(self.data_dir)]
        with self.clock.with_name("second-worker.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                cwd=self.data_dir.parent,
                env=environment(**self.environment) | (moved if self.library else {}),  # type: ignore[arg-type]
                stdout=log,
                stderr=log,
            )

    def wait_until_ready(self) -> None:
        log, deadline = self.clock.with_name("second-worker.log"), time.monotonic() + START_SECONDS
        while "worker ready" not in log.read_text(encoding="utf-8"):
            assert self._process is not None
            assert self._process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < deadline, log.read_text(encoding="utf-8")
            time.sleep(0.05)

    def keep(self) -> None:
        """As the supervisor of an operator does."""
        if self._process is not None and self._process.poll() is not None:
            self.start()

    def set_clock(self, offset: str) -> None:
        """`offset` as libfaketime has it: +7200 or -1d."""
        aside = self.clock.with_suffix(".new")
        aside.write_text(f"{offset}\n", encoding="utf-8")
        aside.replace(self.clock)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(timeout=30)


@dataclass
class Installation:
    """`disk`: the data folder is a file system of its own, which can be filled."""

    up: Up
    second: SecondWorker
    store: Path
    gateway: Gateway
    disk: Path | None

    @property
    def url(self) -> str:
        return self.up.parts.api_url

    @property
    def cannot(self) -> list[str]:
        """Faults that nobody can cause here."""
        disk = [] if self.disk else ["disk full: needs the right to mount a file system"]
        clock = [] if self.second.library else ["clock jumps: needs libfaketime (apt-get install faketime)"]
        return disk + clock

    def pid_of(self, part: str) -> int | None:
        """None while it does not run, or is not written down."""
        parts = self.up.parts
        return next((each.pid for each in parts.processes if each.name == part), None)

    def workers_ready(self) -> int:
        """How often the worker of `up` said so."""
        log = self.up.data_dir / "logs" / "worker.log"
        return log.read_text(encoding="utf-8", errors="replace").count("worker ready") if log.exists() else 0

    def stop(self) -> None:
        self.second.stop()
        self.up.stop()


@contextmanager
def installed(folder: Path) -> Iterator[Installation]:
    data_dir, buckets = folder / "data", folder / "buckets"
    (buckets / BUCKET).mkdir(parents=True)
    with ExitStack() as stack:
        url, gateway = stack.enter_context(bucket_server(buckets))
        disk = stack.enter_context(_disk_at(data_dir))
        settings = SETTINGS | {"AWS_ENDPOINT_URL": url}
        up = start(data_dir, **settings)
        stack.callback(clean_up, data_dir, up)
        second = SecondWorker(data_dir, settings, folder / "clock")
        second.start()
        second.wait_until_ready()
        yield Installation(up, second, buckets / BUCKET, gateway, disk)


@contextmanager
def _disk_at(folder: Path) -> Iterator[Path | None]:
    """None without the right to mount: then the disk is never full."""
    with ExitStack() as stack:
        disk = None
        with contextlib.suppress(CannotMount):
            disk = stack.enter_context(tmpfs(folder, DISK))
        yield disk


def processes_left(installation: Installation) -> list[str]:
    return [str(process) for process in processes_of(installation.up.data_dir)]
