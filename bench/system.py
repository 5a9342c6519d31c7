"""A whole StreamForge of our own: `streamforge up` on a folder that goes away afterwards."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import psutil

from streamforge.client import StreamEvent, StreamForgeClient
from streamforge.contracts.job_view import JobView
from streamforge.embedded import endpoints
from streamforge.embedded.endpoints import RunFile

ANY_PORTS = ["--port", "0", "--temporal-port", "0", "--ui-port", "0"]
NO_WORKER = "--no-worker"
WORKER_READY = "worker ready"
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass
class System:
    """`ready_seconds`: until `up` said that it is ready. `worker_seconds`: until its worker said so, too."""

    process: "subprocess.Popen[str]"
    data_dir: Path
    ready_seconds: float
    worker_seconds: float

    @property
    def parts(self) -> RunFile:
        parts = endpoints.read(self.data_dir)
        assert parts is not None
        return parts

    @property
    def url(self) -> str:
        return self.parts.api_url

    def pid_of(self, name: str) -> int:
        """`API`, `worker`, `PostgreSQL` or `Temporal`."""
        return next(record.pid for record in self.parts.processes if record.name == name)

    def stop(self) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait()

    def kill_everything(self) -> None:
        """As a power cut would, but for what the kernel still writes."""
        everything = psutil.Process(self.process.pid)
        for process in [everything, *everything.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        self.process.wait()


@contextmanager
def running(
    data_dir: Path | None = None, settings: Mapping[str, str] = NOTHING, arguments: Sequence[str] = ANY_PORTS
) -> Iterator[System]:
    """The system, ready. `settings` are environment variables without their prefix: {"TRANSCODE__PRESET": "fast"}.

    Settings are the built-in ones otherwise: neither this checkout's config.yaml nor your environment counts.
    """
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        system = start(data_dir or Path(scratch) / "data", settings, arguments)
        try:
            yield system
        finally:
            system.stop()


def start(data_dir: Path, settings: Mapping[str, str] = NOTHING, arguments: Sequence[str] = ANY_PORTS) -> System:
    data_dir.mkdir(parents=True, exist_ok=True)
    worker_log = data_dir / "logs" / "worker.log"
    already_said = _times_ready(worker_log)
    began = time.monotonic()
    command = [sys.executable, "-m", "streamforge", "up", *arguments, "--data-dir", str(data_dir)]
    with (data_dir / "up.log").open("a") as log:
        process = subprocess.Popen(
            command, cwd=data_dir, env=_environment(settings), stdout=subprocess.PIPE, stderr=log, text=True
        )
    assert process.stdout is not None
    if not any(line.startswith("Try it:") for line in process.stdout):
        raise RuntimeError((data_dir / "up.log").read_text())
    ready = time.monotonic() - began
    while NO_WORKER not in arguments and _times_ready(worker_log) == already_said:
        time.sleep(0.01)
    return System(process, data_dir, ready, time.monotonic() - began)


@contextmanager
def one_core_worker(system: System, core: int, settings: Mapping[str, str] = NOTHING) -> Iterator[int]:
    """The pid of a worker that joins a system without one, ready. It and all it starts keep to one core."""
    log = system.data_dir / f"worker-on-core-{core}.log"
    pinned = ["taskset", "--cpu-list", str(core), sys.executable, "-m", "streamforge", "worker"]
    environment = _environment({**settings, "WORKER__MAX_CONCURRENT_MEDIA": "1"})
    with log.open("w") as out:
        worker = subprocess.Popen(
            [*pinned, "--data-dir", str(system.data_dir)], cwd=system.data_dir, env=environment, stdout=out, stderr=out
        )
    try:
        while _times_ready(log) == 0:
            if worker.poll() is not None:
                raise RuntimeError(log.read_text())
            time.sleep(0.01)
        yield worker.pid
    finally:
        worker.terminate()
        worker.wait()


def _times_ready(log: Path) -> int:
    return log.read_text(encoding="utf-8").count(WORKER_READY) if log.exists() else 0


def _environment(settings: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("STREAMFORGE_")}
    return inherited | {f"STREAMFORGE_{name}": value for name, value in settings.items()}


@dataclass
class Watched:
    """A job that is over. `seconds`: from the first byte of the POST to `done`."""

    job: JobView
    seconds: float
    upload_seconds: float


async def process(
    url: str, video: Path, on_event: Callable[[StreamEvent], None] | None = None, **fields: str
) -> Watched:
    """Send a video with further form fields and follow its stream to the end, over HTTP like anybody. Failed jobs come
    back, too."""
    async with StreamForgeClient(url) as client:
        began = time.monotonic()
        job_id = await client.submit(video, **fields)
        uploaded = time.monotonic()
        async for event in client.watch(job_id):
            if on_event is not None:
                on_event(event)
        seconds = time.monotonic() - began
        return Watched(await client.job(job_id), seconds, uploaded - began)
