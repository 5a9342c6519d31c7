"""What programs that are not ours are told of this process's environment.

Passwords of databases and of buckets come in variables, under names that we do not all know: so what is passed on is a list.
"""

import os

PASSED_ON = ("PATH", "LANG", "LANGUAGE", "TZ", "TMPDIR", "LD_LIBRARY_PATH", "LD_PRELOAD")
PASSED_ON_KINDS = ("LC_", "PYTHON", "MALLOC_", "GLIBC_")
"""By name, and by how it begins."""


def without_secrets(*names: str, kinds: tuple[str, ...] = ()) -> dict[str, str]:
    """These, and what everybody needs."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in {*PASSED_ON, *names} or name.startswith(PASSED_ON_KINDS + kinds)
    }
