"""What a media child may use. A hostile file must not take the machine down with it."""

import os
import resource
import sys

from pydantic import BaseModel

OPEN_FILES = 256


class Limits(BaseModel):
    """`memory_bytes` is writable private memory, which leaves out the address space that threads merely reserve."""

    memory_bytes: int


def apply_limits(limits: Limits) -> None:
    """Lower the calling process's limits. Inherited by the ffmpeg it starts."""
    memory = resource.RLIMIT_DATA if sys.platform == "linux" else resource.RLIMIT_AS
    _lower(memory, limits.memory_bytes)
    _lower(resource.RLIMIT_NOFILE, OPEN_FILES)
    _lower(resource.RLIMIT_CORE, 0)
    os.nice(5)  # The API and the database answer first.


def _lower(what: int, limit: int) -> None:
    _, hard = resource.getrlimit(what)
    ceiling = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
    resource.setrlimit(what, (ceiling, ceiling))
