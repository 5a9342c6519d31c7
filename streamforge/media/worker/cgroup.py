"""How much of the machine the container of this process may use, as the kernel's control groups have it.

The CPU share that Kubernetes and `docker run --cpus` set changes neither the affinity nor the number of cores that the kernel
tells: a worker with two CPUs on a machine of 64 took 32 chunks at once. See Documentation/admin-guide/cgroup-v1 and
cgroup-v2.rst of Linux.
"""

import math
from contextlib import suppress
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")


def cores(root: Path = ROOT) -> int | None:
    """CPU time for each second of the clock, rounded up; None where there is no limit."""
    quota, period = _numbers(root / "cpu.max") or _quota_of_version_1(root / "cpu") or (-1, 1)
    return max(1, math.ceil(quota / period)) if quota > 0 else None


def memory_bytes(root: Path = ROOT) -> int | None:
    """None where there is no limit. Version 1 tells a number that no machine reaches in its place."""
    told = _numbers(root / "memory.max") or _numbers(root / "memory" / "memory.limit_in_bytes")
    return told[0] if told else None


def _quota_of_version_1(folder: Path) -> list[int] | None:
    quota, period = _numbers(folder / "cpu.cfs_quota_us"), _numbers(folder / "cpu.cfs_period_us")
    return [*quota, *period] if quota and period else None


def _numbers(file: Path) -> list[int] | None:
    """None where the file is not there, or says `max` in the first place, which is no limit."""
    with suppress(OSError, ValueError):
        return [int(word) for word in file.read_text(encoding="ascii").split()]
    return None
