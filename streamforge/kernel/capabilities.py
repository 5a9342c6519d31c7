"""What root may do beyond others, a bit each (capabilities(7))."""

import ctypes
from contextlib import suppress

from streamforge.kernel.syscalls import PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, PR_CAPBSET_DROP, libc, prctl

DAC_OVERRIDE = 1
LAST = 63
VERSION_3 = 0x20080522


class _Header(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Data(ctypes.Structure):
    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def never_gain(*kept: int) -> None:
    """No program that this process or one of its children starts gets another one than these, not even root's."""
    for number in range(LAST + 1):
        if number not in kept:
            try:
                prctl(PR_CAPBSET_DROP, number)
            except OSError:
                return  # Past the last one that the kernel knows, or without the right to drop any.


def keep_only(*kept: int) -> None:
    """All others are gone for good: for this thread and whatever it starts from now on. One that was not there stays away.

    Raises OSError.
    """
    with suppress(OSError):
        prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    header = _Header(VERSION_3, 0)
    now = (_Data * 2)()
    _call("capget", header, now)
    wanted = (_Data * 2)()
    for number in kept:
        half, bit = divmod(number, 32)
        held = now[half].permitted & (1 << bit)
        wanted[half].effective |= held
        wanted[half].permitted |= held
    _call("capset", header, wanted)


def _call(name: str, header: _Header, data: "ctypes.Array[_Data]") -> None:
    if getattr(libc(), name)(ctypes.byref(header), data) != 0:
        raise OSError(ctypes.get_errno(), name)
