"""Namespaces: a process sees a network of its own, with nothing in it (namespaces(7))."""

import errno
import fcntl
import os
import socket
import struct
from contextlib import suppress
from pathlib import Path

from streamforge.kernel.syscalls import IS_LINUX, unshare

CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWNET = 0x04000000, 0x08000000, 0x10000000, 0x40000000

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1
INTERFACE_REQUEST = struct.Struct("16sH14x")


def leave(flags: int) -> None:
    """Into new namespaces. Whoever may not do that makes a user namespace as well, in which they may, and stays themselves
    in it. Only while this process has one thread.

    Raises OSError where the kernel, a container or a policy does not allow it; then nothing has changed.
    """
    if not IS_LINUX:
        raise OSError(errno.ENOSYS, "only Linux has namespaces")
    user, group = os.geteuid(), os.getegid()
    try:
        unshare(flags)
    except PermissionError:
        _leave_as_user(flags)
    else:
        if flags & CLONE_NEWUSER:
            _stay(user, group)


def may_leave(flags: int) -> bool:
    """Tried by a child, so that nothing changes here. Some systems (Ubuntu, since 24.04) give a user namespace to everybody
    and no right in it: who has entered it cannot go back."""
    pid = os.fork()
    if pid == 0:
        code = 1
        with suppress(OSError):
            leave(flags)
            code = 0
        os._exit(code)
    return os.waitpid(pid, 0)[1] == 0


def _leave_as_user(flags: int) -> None:
    if flags & CLONE_NEWUSER:
        raise PermissionError(errno.EPERM, "user namespaces are not allowed")
    if not may_leave(CLONE_NEWUSER | flags):
        raise PermissionError(errno.EPERM, "neither these nor user namespaces are allowed")
    leave(CLONE_NEWUSER | flags)


def _stay(user: int, group: int) -> None:
    own = Path("/proc/self")
    # Bytes: no codec is loaded from here on, which only a capability may have let this user read.
    (own / "setgroups").write_bytes(b"deny")
    (own / "uid_map").write_bytes(b"%d %d 1" % (user, user))
    (own / "gid_map").write_bytes(b"%d %d 1" % (group, group))


def bring_up_loopback() -> None:
    """In a network namespace that is ours. Raises OSError."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        told = fcntl.ioctl(any_socket, SIOCGIFFLAGS, INTERFACE_REQUEST.pack(b"lo", 0))
        name, flags = INTERFACE_REQUEST.unpack(told)
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, INTERFACE_REQUEST.pack(name, flags | IFF_UP))
