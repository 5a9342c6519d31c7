"""A filter of system calls: those named here fail from now on, in this process and all that it starts (seccomp(2)).

The filter is classic BPF, written by hand: a list of numbers, and for a few calls a look at one argument. Arguments are only
looked at where they are numbers; what a pointer points to can be changed behind a filter's back. Numbers of another
architecture, and those of x32, would pass by the list, so they are refused as a whole.
"""

import ctypes
import errno
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from streamforge.kernel.syscalls import IS_LINUX, PR_SET_SECCOMP, machine, no_new_privileges, prctl

SECCOMP_MODE_FILTER = 2
RET_KILL_PROCESS, RET_ERRNO, RET_ALLOW = 0x80000000, 0x00050000, 0x7FFF0000

LD, JUMP, JUMP_EQUAL, JUMP_AT_LEAST, AND, RETURN = 0x20, 0x05, 0x15, 0x35, 0x54, 0x06
"""Load a word; go on elsewhere, always or as the accumulator compares; mask it; end. Jumps count what they pass over."""

NUMBER_AT, ARCHITECTURE_AT, ARGUMENTS_AT, ARGUMENT_BYTES = 0, 4, 16, 8
"""In struct seccomp_data; of an argument the lower half comes first on both architectures."""

X32_BIT = 0x40000000


@dataclass(frozen=True)
class Architecture:
    """`audit` is AUDIT_ARCH_*, by which the kernel tells a filter what the number belongs to."""

    audit: int
    numbers: dict[str, int]


X86_64 = Architecture(
    0xC000003E,
    {
        "open": 2, "mmap": 9, "ioctl": 16, "shmget": 29, "shmat": 30, "shmctl": 31, "socket": 41, "connect": 42,
        "accept": 43, "bind": 49, "listen": 50, "clone": 56, "fork": 57, "vfork": 58, "execve": 59, "semget": 64,
        "semop": 65, "semctl": 66, "msgget": 68, "msgsnd": 69, "msgrcv": 70, "msgctl": 71, "truncate": 76, "link": 86,
        "symlink": 88, "chmod": 90, "fchmod": 91, "chown": 92, "fchown": 93, "lchown": 94, "ptrace": 101, "syslog": 103,
        "setuid": 105, "setgid": 106, "setpgid": 109, "setsid": 112, "setreuid": 113, "setregid": 114, "setgroups": 116,
        "setresuid": 117, "setresgid": 119, "setfsuid": 122, "setfsgid": 123, "capset": 126, "utime": 132, "mknod": 133,
        "personality": 135, "setpriority": 141, "sched_setparam": 142, "sched_setscheduler": 144, "vhangup": 153,
        "modify_ldt": 154, "pivot_root": 155, "adjtimex": 159, "chroot": 161, "acct": 163, "settimeofday": 164,
        "mount": 165, "umount2": 166, "swapon": 167, "swapoff": 168, "reboot": 169, "sethostname": 170,
        "setdomainname": 171, "iopl": 172, "ioperm": 173, "init_module": 175, "delete_module": 176, "quotactl": 179,
        "setxattr": 188, "lsetxattr": 189, "fsetxattr": 190, "removexattr": 197, "lremovexattr": 198,
        "fremovexattr": 199, "sched_setaffinity": 203, "semtimedop": 220, "clock_settime": 227, "utimes": 235,
        "mq_open": 240, "mq_unlink": 241, "kexec_load": 246, "add_key": 248, "request_key": 249, "keyctl": 250,
        "ioprio_set": 251, "inotify_init": 253, "inotify_add_watch": 254, "migrate_pages": 256, "openat": 257,
        "mknodat": 259, "fchownat": 260, "futimesat": 261, "linkat": 265, "symlinkat": 266, "fchmodat": 268,
        "unshare": 272, "move_pages": 279, "utimensat": 280, "accept4": 288, "inotify_init1": 294,
        "perf_event_open": 298, "fanotify_init": 300, "prlimit64": 302, "name_to_handle_at": 303,
        "open_by_handle_at": 304, "clock_adjtime": 305, "setns": 308, "process_vm_readv": 310, "process_vm_writev": 311,
        "kcmp": 312, "finit_module": 313, "sched_setattr": 314, "memfd_create": 319, "kexec_file_load": 320, "bpf": 321,
        "execveat": 322, "userfaultfd": 323,
    },
)  # fmt: skip
"""arch/x86/entry/syscalls/syscall_64.tbl"""

AARCH64 = Architecture(
    0xC00000B7,
    {
        "setxattr": 5, "lsetxattr": 6, "fsetxattr": 7, "removexattr": 14, "lremovexattr": 15, "fremovexattr": 16,
        "inotify_init1": 26, "inotify_add_watch": 27, "ioctl": 29, "ioprio_set": 30, "mknodat": 33, "symlinkat": 36,
        "linkat": 37, "umount2": 39, "mount": 40, "pivot_root": 41, "truncate": 45, "chroot": 51, "fchmod": 52,
        "fchmodat": 53, "fchownat": 54, "fchown": 55, "openat": 56, "vhangup": 58, "quotactl": 60, "utimensat": 88,
        "acct": 89, "capset": 91, "personality": 92, "unshare": 97, "kexec_load": 104, "init_module": 105,
        "delete_module": 106, "clock_settime": 112, "syslog": 116, "ptrace": 117, "sched_setparam": 118,
        "sched_setscheduler": 119, "sched_setaffinity": 122, "setpriority": 140, "reboot": 142, "setregid": 143,
        "setgid": 144, "setreuid": 145, "setuid": 146, "setresuid": 147, "setresgid": 149, "setfsuid": 151,
        "setfsgid": 152, "setpgid": 154, "setsid": 157, "setgroups": 159, "sethostname": 161, "setdomainname": 162,
        "settimeofday": 170, "adjtimex": 171, "mq_open": 180, "mq_unlink": 181, "msgget": 186, "msgctl": 187,
        "msgrcv": 188, "msgsnd": 189, "semget": 190, "semctl": 191, "semtimedop": 192, "semop": 193, "shmget": 194,
        "shmctl": 195, "shmat": 196, "socket": 198, "bind": 200, "listen": 201, "accept": 202, "connect": 203,
        "add_key": 217, "request_key": 218, "keyctl": 219, "clone": 220, "execve": 221, "mmap": 222, "swapon": 224,
        "swapoff": 225, "migrate_pages": 238, "move_pages": 239, "perf_event_open": 241, "accept4": 242,
        "prlimit64": 261, "fanotify_init": 262, "name_to_handle_at": 264, "open_by_handle_at": 265,
        "clock_adjtime": 266, "setns": 268, "process_vm_readv": 270, "process_vm_writev": 271, "kcmp": 272,
        "finit_module": 273, "sched_setattr": 274, "memfd_create": 279, "bpf": 280, "execveat": 281, "userfaultfd": 282,
        "kexec_file_load": 294,
    },
)  # fmt: skip
"""include/uapi/asm-generic/unistd.h"""

ON_ALL = {
    "io_uring_setup": 425, "io_uring_enter": 426, "io_uring_register": 427, "open_tree": 428, "move_mount": 429,
    "fsopen": 430, "fsconfig": 431, "fsmount": 432, "fspick": 433, "clone3": 435, "pidfd_getfd": 438,
    "openat2": 437, "process_madvise": 440, "mount_setattr": 442, "quotactl_fd": 443, "memfd_secret": 447, "fchmodat2": 452,
    "setxattrat": 463, "removexattrat": 466, "file_setattr": 469,
}  # fmt: skip

ARCHITECTURES = {"x86_64": X86_64, "aarch64": AARCH64}


@dataclass(frozen=True)
class Refused:
    """A call fails with `error`. With an argument: only if that, masked, is or is not one of `values`."""

    call: str
    error: int = errno.EPERM
    argument: int | None = None
    mask: int = 0xFFFFFFFF
    values: tuple[int, ...] = ()
    is_among: bool = True


def is_available() -> bool:
    """Whether the kernel takes filters, and we know its architecture's numbers."""
    if not IS_LINUX or machine() not in ARCHITECTURES:
        return False
    try:
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, None)
    except OSError as error:
        return error.errno == errno.EFAULT  # It looked for the filter, so it takes some.
    return False


def install(code: bytes) -> None:
    """A `program`, for this thread and whatever it starts from now on. Raises OSError."""
    buffer = ctypes.create_string_buffer(code, len(code))
    header = _Program(len(code) // INSTRUCTION.size, ctypes.cast(buffer, ctypes.c_void_p))
    no_new_privileges()
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, ctypes.byref(header))


INSTRUCTION = struct.Struct("HBBI")


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def here() -> Architecture:
    return ARCHITECTURES[machine()]


def program(refusals: Sequence[Refused], architecture: Architecture) -> bytes:
    """The filter. Calls that an architecture does not have are passed over."""
    numbers = architecture.numbers | ON_ALL
    code = [
        _instruction(LD, ARCHITECTURE_AT),
        _instruction(JUMP_EQUAL, architecture.audit, then=1),
        _instruction(RETURN, RET_KILL_PROCESS),
        _instruction(LD, NUMBER_AT),
        _instruction(JUMP_AT_LEAST, X32_BIT, otherwise=1),
        _instruction(RETURN, RET_ERRNO | errno.ENOSYS),
    ]
    for refused in refusals:
        if (number := numbers.get(refused.call)) is not None:
            code += _refusal(refused, number)
    return b"".join([*code, _instruction(RETURN, RET_ALLOW)])


def _refusal(refused: Refused, number: int) -> list[bytes]:
    """Each leaves the call's number in the accumulator for the next one."""
    refuse = _instruction(RETURN, RET_ERRNO | refused.error)
    if refused.argument is None:
        return [_instruction(JUMP_EQUAL, number, otherwise=1), refuse]
    count = len(refused.values)
    body = [
        _instruction(LD, ARGUMENTS_AT + ARGUMENT_BYTES * refused.argument),
        _instruction(AND, refused.mask),
        # To the refusal, which lies behind all comparisons and what is done when none is met, or past it.
        *(
            _instruction(JUMP_EQUAL, value, then=(count - i) if refused.is_among else (count - i + 1))
            for i, value in enumerate(refused.values)
        ),
        _instruction(JUMP, 1 if refused.is_among else 0),
        refuse,
        _instruction(LD, NUMBER_AT),
    ]
    return [_instruction(JUMP_EQUAL, number, otherwise=len(body)), *body]


def _instruction(code: int, value: int, *, then: int = 0, otherwise: int = 0) -> bytes:
    return INSTRUCTION.pack(code, then, otherwise, value)
