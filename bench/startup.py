"""`streamforge up`: how long until it is ready."""

import tempfile
from pathlib import Path

from bench import report
from bench.system import System, running

RUNS = 5


def main() -> None:
    report.machine()
    fresh = [_start_anew() for _ in range(RUNS)]
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        _start(Path(scratch))
        again = [_start(Path(scratch)) for _ in range(RUNS)]
    for name, systems in (("from nothing", fresh), ("on an existing data folder", again)):
        report.spread(f"up {name} → API ready", [system.ready_seconds for system in systems])
        report.spread(f"up {name} → worker ready, too", [system.worker_seconds for system in systems])


def _start_anew() -> System:
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        return _start(Path(scratch))


def _start(data_dir: Path) -> System:
    with running(data_dir) as system:
        return system
