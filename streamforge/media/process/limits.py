"""What a media child may use. A hostile file must not take the machine down with it."""

import os
import resource
import sys

from pydantic import BaseModel

OPEN_FILES = 256

_MEMORY = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS

NOTHING_OF = [
    resource.RLIMIT_CORE,
    *(
        getattr(resource, name)
        for name in ("RLIMIT_MSGQUEUE", "RLIMIT_RTPRIO", "RLIMIT_NICE")
        if hasattr(resource, name)
    ),
]
"""A dump of memory has what a child read; the rest is what media never needs."""


class Limits(BaseModel):
    """`memory_bytes` is writable private memory, which leaves out the address space that threads merely reserve;
    `cpu_seconds` is of the child and of each ffmpeg it starts, for itself; `file_bytes` of each file that it writes."""

    memory_bytes: int
    cpu_seconds: int
    file_bytes: int = 64 * 2**30


def apply_limits(limits: Limits) -> None:
    """Lower the calling process's limits. Inherited by the ffmpeg it starts."""
    _lower(_MEMORY, limits.memory_bytes)
    _lower(resource.RLIMIT_CPU, limits.cpu_seconds)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_FSIZE, limits.file_bytes)
    for what in NOTHING_OF:
        _lower(what, 0)
    os.nice(5)  # The API and the database answer first.


def peak_memory_bytes() -> int:
    """The most that this process and the largest one it waited for ever had."""
    return _peak(resource.RUSAGE_SELF) + _peak(resource.RUSAGE_CHILDREN)


def _peak(whose: int) -> int:
    return resource.getrusage(whose).ru_maxrss * (1024 if sys.platform == "linux" else 1)


def _lower(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    ceiling = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (ceiling, ceiling))
