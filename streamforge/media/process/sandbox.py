"""What a media child cannot do any more once it begins: whatever takes it over has its input, its folder and nothing else.

A child is a fork of the zygote for one task, so each is confined for that task alone, in the moment before it opens its input.
What takes milliseconds to make, a network with nothing in it, the zygote makes once, and all of its children are in it.

    network     a network namespace without interfaces: nobody is there to connect to
    processes   a user namespace, in which processes and threads are counted for this child alone
    files       Landlock: the task's files, and what Python and FFmpeg need, for reading
    calls       a seccomp filter: no sockets, no programs, no other processes' memory, no part of the kernel that media
                never needs

Each is taken where the kernel has it. `Sandbox` says which are in force, and why others are not.
"""

import mmap
import os
import resource
import sys
import sysconfig
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import cache
from glob import glob
from itertools import product
from pathlib import Path

from pydantic import BaseModel, TypeAdapter

from streamforge.contracts.tasks import CALLS, CONFINES, FILES, NETWORK, PROCESSES, Sandbox, Task
from streamforge.errors import MissingPart, SandboxMissing
from streamforge.kernel import capabilities, landlock, namespaces, seccomp
from streamforge.kernel.landlock import Rules
from streamforge.kernel.seccomp import Refused
from streamforge.kernel.syscalls import no_new_privileges
from streamforge.media.worker.capabilities import cores, ffmpeg_path
from streamforge.settings import SandboxMode

OFF = "turned off by media.sandbox"
AS_ROOT = "root's processes are not counted"

MOST_THREADS = 512
THREADS_PER_CORE = 64
"""Every encoder of every rendition, the decoder and libvmaf have some for each core."""


IN_FORCE = Sandbox()
"""What `enter_zygote` found, for the children that are forked from here."""


def mode_of(argument: str) -> SandboxMode:
    return TypeAdapter[SandboxMode](SandboxMode).validate_python(argument)


def enter_zygote(mode: SandboxMode) -> Sandbox:
    """What all children have in common, and what each can have. Only while this process has one thread."""
    if mode == "off":
        return Sandbox(missing=dict.fromkeys([NETWORK, PROCESSES, FILES, CALLS], OFF))
    found = Sandbox(landlock=landlock.version(), system_calls=seccomp.is_available())
    _prepare(found)
    if not found.landlock:
        found.missing[FILES] = "this kernel has no Landlock"
    if not found.system_calls:
        found.missing[CALLS] = "this kernel takes no seccomp filter of ours"
    try:
        namespaces.leave(namespaces.CLONE_NEWNET | namespaces.CLONE_NEWIPC | namespaces.CLONE_NEWUTS)
        found.network = True
    except OSError as error:
        found.missing[NETWORK] = f"no namespaces: {error}"
    capabilities.never_gain(*_kept(found))
    if os.geteuid() == 0:
        found.missing[PROCESSES] = AS_ROOT
    else:
        found.processes = namespaces.may_leave(namespaces.CLONE_NEWUSER)
        if not found.processes:
            found.missing[PROCESSES] = "no user namespaces"
    return found


def _prepare(found: Sandbox) -> None:
    """What each child would otherwise find out for itself."""
    always_readable()
    _most_threads()
    if found.system_calls:
        for measures, on_gpu in product((False, True), repeat=2):
            _filter(measures, on_gpu)


def refuse_if_missing(mode: SandboxMode, found: Sandbox) -> None:
    """Raises SandboxMissing where a sandbox is required and not to be had."""
    absent = [f"{part} ({why})" for part, why in found.missing.items() if part in CONFINES]
    if mode == "required" and absent:
        raise SandboxMissing(
            f"Media processes cannot be confined here: {', '.join(absent)}. Use a kernel from 5.13 on with Landlock and "
            "seccomp, or set media.sandbox to auto."
        )


def enter(task: Task[BaseModel, BaseModel, BaseModel], task_input: BaseModel, found: Sandbox) -> None:
    """For the rest of this process's life. Only while it has one thread. Raises OSError where the kernel breaks its word."""
    writes = [_made(folder) for folder in task.writes(task_input)]
    if writes:
        tempfile.tempdir = str(writes[0])
    on_gpu = task.on_gpu(task_input)
    rules = _rules(task, task.reads(task_input), writes, on_gpu=on_gpu) if found.landlock else None
    if found.processes:
        _count_threads_alone()
        capabilities.never_gain(*_kept(found))  # In a user namespace of its own it had them all again.
    if found.landlock or found.system_calls:
        no_new_privileges()
        # Root reads everybody's files by this one, where Landlock lets it; the input may be anybody's.
        capabilities.keep_only(*_kept(found))
    if rules is not None:
        landlock.restrict(rules, found.landlock)
    if found.system_calls:
        seccomp.install(_filter(task.measures, on_gpu))


def _kept(found: Sandbox) -> list[int]:
    return [capabilities.DAC_OVERRIDE] if found.landlock else []


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


@cache
def _most_threads() -> int:
    return MOST_THREADS + THREADS_PER_CORE * cores()


def _count_threads_alone() -> None:
    most = _most_threads()
    namespaces.leave(namespaces.CLONE_NEWUSER)
    resource.setrlimit(resource.RLIMIT_NPROC, (most, most))


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────
SYSTEM = (
    *("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/nix/store", "/etc/ld.so.cache"),
    *("/etc/localtime", "/usr/share/zoneinfo"),
    # Encoders and numerical libraries count cores and caches.
    *("/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/sys/fs/cgroup"),
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-*.so.1")
"""What starts a program that is linked dynamically, as the system's ffmpeg is."""

OF_GPUS = (
    *("/proc/driver/nvidia", "/proc/devices", "/proc/modules", "/proc/version", "/proc/sys/vm", "/proc/sys/kernel"),
    *("/sys/module", "/sys/bus/pci", "/sys/devices", "/sys/class", "/usr/share/nvidia", "/etc/nvidia"),
)
GPU_DEVICES = ("/dev/nvidia*", "/dev/nvidia-caps", "/dev/dri")


def _rules(
    task: Task[BaseModel, BaseModel, BaseModel], reads: Iterable[Path], writes: Iterable[Path], *, on_gpu: bool
) -> Rules:
    rules = Rules()
    rules.allow([*always_readable(), Path("/proc/self")], landlock.READ)
    rules.allow(map(Path, DEVICES), landlock.DEVICE)
    if task.measures:
        with suppress(MissingPart):
            rules.allow([ffmpeg_path(), *_found(LOADERS)], landlock.RUN)
    if on_gpu:
        rules.allow(map(Path, OF_GPUS), landlock.READ)
        rules.allow(_found(GPU_DEVICES), landlock.DEVICE)
    for path in reads:
        rules.allow(_with_what_it_links_to(path), landlock.READ)
    rules.allow(writes, landlock.WRITE)
    return rules


@cache
def always_readable() -> tuple[Path, ...]:
    """What is the system's and Python's: the interpreter's library and all packages; never a folder that merely is on the
    path, as the working directory may be, in which an installation has its data."""
    homes = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    homes |= {f"{sys.base_prefix}/lib", f"{sys.prefix}/lib"}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if "." not in name and file and not file.startswith(tuple(f"{home}/" for home in homes)):
            homes.add(str(Path(file).parent) if hasattr(module, "__path__") else file)
    return tuple(path for path in map(Path, (*SYSTEM, *sorted(homes))) if path.exists())


def _found(patterns: Iterable[str]) -> list[Path]:
    return [Path(path) for pattern in patterns for path in glob(pattern)]


def _with_what_it_links_to(path: Path) -> Iterator[Path]:
    """A speech model's folder is one of links into a store of files."""
    yield path
    if path.is_dir():
        yield from (file.resolve() for file in path.iterdir() if file.is_symlink())


# ── system calls ────────────────────────────────────────────────────────────────────────────────────────────────────
NEVER = (
    # Nobody to talk to. What was opened for the child, its pair to the worker, goes on working.
    *("socket", "connect", "bind", "listen", "accept", "accept4"),
    # Other processes, and what they have open.
    *("ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_getfd"),
    # Another view of the file system, or files by other ways than their paths.
    *("mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick"),
    *("mount_setattr", "setns", "unshare", "name_to_handle_at", "open_by_handle_at", "fanotify_init"),
    # What the worker would follow, or wait at, in a folder that it takes for one of plain files.
    *("symlink", "symlinkat", "link", "linkat", "mknod", "mknodat"),
    # What Landlock knows nothing of, wherever a file lies: who may read it, whose it is, its times and attributes; also of one
    # that is only open for reading. Who could change these opens a data folder to everybody, closes it to the service, or
    # makes a program that gives its user's rights away.
    *("chmod", "fchmod", "fchmodat", "fchmodat2", "chown", "lchown", "fchown", "fchownat", "file_setattr"),
    *(
        "setxattr",
        "lsetxattr",
        "fsetxattr",
        "setxattrat",
        "removexattr",
        "lremovexattr",
        "fremovexattr",
        "removexattrat",
    ),
    *("utime", "utimes", "futimesat", "utimensat"),
    # Before its version 3 nor of this: any file could be emptied by its name.
    "truncate",
    # Names of files as they come and go, in any folder.
    *("inotify_init", "inotify_init1", "inotify_add_watch"),
    # Large parts of the kernel in which mistakes are found every year.
    *("add_key", "request_key", "keyctl", "bpf", "perf_event_open", "userfaultfd", "modify_ldt"),
    *("io_uring_setup", "io_uring_enter", "io_uring_register", "personality", "execveat"),
    # The machine's own affairs.
    *("kexec_load", "kexec_file_load", "init_module", "finit_module", "delete_module", "reboot", "swapon", "swapoff"),
    *("syslog", "settimeofday", "clock_settime", "clock_adjtime", "adjtimex", "sethostname", "setdomainname", "acct"),
    *("quotactl", "quotactl_fd", "iopl", "ioperm", "vhangup"),
    # Another user.
    *(
        "setuid",
        "setgid",
        "setreuid",
        "setregid",
        "setresuid",
        "setresgid",
        "setgroups",
        "setfsuid",
        "setfsgid",
        "capset",
    ),
    # Memory that outlives the process, and that no limit counts.
    *("shmget", "shmat", "shmctl", "msgget", "semget", "mq_open", "memfd_secret"),
    # What others of the same user have of these, by its number or name.
    *("msgctl", "msgsnd", "msgrcv", "semctl", "semop", "semtimedop", "mq_unlink"),
    # Out of the group that is killed when the task is over.
    *("setsid", "setpgid"),
    # How others of the same user run.
    *("ioprio_set", "migrate_pages", "move_pages"),
)
ONLY_ITSELF = ("prlimit64", "sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity")
"""Calls whose first argument is a process; 0 is the one that calls. A limit of no CPU time ends any other of the same user."""

CLONE_VM, CLONE_VFORK, CLONE_THREAD = 0x100, 0x4000, 0x10000
CLONE_NAMESPACES = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET: in a user namespace it would have all rights again."""
MAP_TYPE, MAP_SHARED, MAP_SHARED_VALIDATE = 0x0F, 0x01, 0x03
TIOCSTI, TIOCLINUX = 0x5412, 0x541C
ENOSYS = 38


@cache
def _filter(measures: bool, on_gpu: bool) -> bytes:
    return seccomp.program(list(refusals(measures=measures, on_gpu=on_gpu)), seccomp.here())


def refusals(*, measures: bool, on_gpu: bool) -> Iterator[Refused]:
    yield from map(Refused, NEVER)
    yield from (Refused(call, argument=0, values=(0,), is_among=False) for call in ONLY_ITSELF)
    # Of a process (0), and that is itself (0): not of a group, nor of all that its user has.
    yield from (Refused("setpriority", argument=each, values=(0,), is_among=False) for each in (0, 1))
    # To open a file for reading, and empty it: see `truncate`.
    yield Refused("openat", argument=2, mask=os.O_ACCMODE | os.O_TRUNC, values=(os.O_RDONLY | os.O_TRUNC,))
    yield Refused("open", argument=1, mask=os.O_ACCMODE | os.O_TRUNC, values=(os.O_RDONLY | os.O_TRUNC,))
    # Its flags lie behind a pointer, where a filter cannot look.
    yield Refused("openat2", ENOSYS)
    # The terminal that a worker may have been started from would take what is typed by these for its user's.
    yield Refused("ioctl", argument=1, values=(TIOCSTI, TIOCLINUX))
    # So do the flags of this one; the C library goes on with `clone`.
    yield Refused("clone3", ENOSYS)
    thread, program = CLONE_VM | CLONE_THREAD, CLONE_VM | CLONE_VFORK
    yield Refused("fork")
    yield Refused(
        "clone", argument=0, mask=thread | program | CLONE_NAMESPACES, values=_kinds(measures), is_among=False
    )
    if not measures:
        yield from (Refused("vfork"), Refused("execve"))
    if not on_gpu:
        # Memory that RLIMIT_DATA does not count; drivers of GPUs share some with the kernel.
        shared = tuple(kind | mmap.MAP_ANONYMOUS for kind in (MAP_SHARED, MAP_SHARED_VALIDATE))
        yield Refused("mmap", argument=3, mask=MAP_TYPE | mmap.MAP_ANONYMOUS, values=shared)
        yield Refused("memfd_create")


def _kinds(measures: bool) -> tuple[int, ...]:
    """What `clone` may make, by its flags: threads, and, where quality is measured, what becomes another program at once."""
    threads = CLONE_VM | CLONE_THREAD
    return (threads, *((CLONE_VM | CLONE_VFORK,) if measures else ()))
