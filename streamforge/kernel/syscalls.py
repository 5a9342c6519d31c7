"""System calls by number, for what the C library or Python has no function."""

import ctypes
import os
import platform
import sys
from functools import cache

IS_LINUX = sys.platform == "linux"

LANDLOCK_CREATE_RULESET, LANDLOCK_ADD_RULE, LANDLOCK_RESTRICT_SELF = 444, 445, 446
"""The same on all architectures, as every call since Linux 5.1."""

PR_SET_PDEATHSIG = 1
PR_SET_SECCOMP = 22
PR_CAPBSET_DROP = 24
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4


@cache
def libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def syscall(number: int, *arguments: object) -> int:
    """Raises OSError."""
    return _checked(libc().syscall(ctypes.c_long(number), *(_as_argument(each) for each in arguments)))


def prctl(option: int, *arguments: object) -> int:
    """Raises OSError."""
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(libc().prctl(ctypes.c_int(option), *(_as_argument(each) for each in padded)))


def unshare(flags: int) -> None:
    """`os.unshare` is there from Python 3.12 on. Raises OSError."""
    _checked(libc().unshare(ctypes.c_int(flags)))


def no_new_privileges() -> None:
    """From here on no program that is started gains any, set-user-id or not. Inherited, and never taken back."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def die_with_parent(signal: int) -> None:
    """The kernel sends `signal` to this process when the thread that started it ends. Nothing outside Linux."""
    if IS_LINUX:
        prctl(PR_SET_PDEATHSIG, signal)


def machine() -> str:
    return platform.machine()


def _as_argument(value: object) -> object:
    return ctypes.c_ulong(value) if isinstance(value, int) else value


def _checked(result: int) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
