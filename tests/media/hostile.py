"""A zygote whose children can be told to do what a taken-over one would: `python hostile.py MODE`, as
`streamforge.media.process.zygote`. Each attack answers with what came of it."""

import ctypes
import mmap
import os
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pydantic import BaseModel

from streamforge.contracts.tasks import Nothing, Task
from streamforge.kernel import landlock, namespaces, seccomp
from streamforge.kernel.syscalls import libc
from streamforge.media.process import registry, sandbox, zygote
from streamforge.media.process.performing import Tell
from streamforge.media.worker.capabilities import ffmpeg_path
from streamforge.media.worker.children import MediaChildren

FFMPEG = str(ffmpeg_path())


class Attack(BaseModel):
    does: str
    at: str = ""
    number: int = 0
    reads: list[Path] = []
    writes: list[Path] = []


class Outcome(BaseModel):
    """`says` is the error that ended it, by its name, or what it got."""

    says: str


ATTACK = Task("attack", Attack, Outcome, Nothing, reads=lambda task: task.reads, writes=lambda task: task.writes)
MEASURING = Task(
    *("attack while measuring", Attack, Outcome, Nothing),
    reads=lambda task: task.reads,
    writes=lambda task: task.writes,
    measures=True,
)


class HostileChildren(MediaChildren):
    program = (str(Path(__file__)),)


class ChildrenOnAnOldKernel(MediaChildren):
    """One without Landlock, seccomp and namespaces."""

    program = (str(Path(__file__)), "old")


# ── what they do ────────────────────────────────────────────────────────────────────────────────────────────────────
def connect(task: Attack) -> str:
    family, kind, address = {
        "tcp": (socket.AF_INET, socket.SOCK_STREAM, ("127.0.0.1", task.number)),
        "tcp6": (socket.AF_INET6, socket.SOCK_STREAM, ("::1", task.number)),
        "udp": (socket.AF_INET, socket.SOCK_DGRAM, ("127.0.0.1", task.number)),
        "unix": (socket.AF_UNIX, socket.SOCK_STREAM, str(task.reads[0]) if task.reads else ""),
        "abstract": (socket.AF_UNIX, socket.SOCK_STREAM, "\0streamforge-test"),
    }[task.at]
    with socket.socket(family, kind) as talking:
        talking.connect(address)
    return "connected"


def read(task: Attack) -> str:
    with open(task.at, "rb") as file:
        return f"{len(file.read(10))} bytes"


def look(task: Attack) -> str:
    return ", ".join(sorted(os.listdir(task.at)))


def write(task: Attack) -> str:
    return f"{Path(task.at).write_bytes(b'x')} bytes"


def make(task: Attack) -> str:
    kind, _, place = task.at.partition(":")
    {
        "symbolic link": lambda: os.symlink("/etc/passwd", place),
        "hard link": lambda: os.link(task.reads[0], place),
        "pipe": lambda: os.mkfifo(place),
        "device": lambda: os.mknod(place, 0o600 | 0o060000, os.makedev(1, 3)),
        "socket": lambda: os.mknod(place, 0o600 | 0o140000),
        "folder": lambda: os.mkdir(place),
    }[kind]()
    return "made"


def move(task: Attack) -> str:
    old, _, new = task.at.partition(":")
    os.rename(old, new)
    return "moved"


def change(task: Attack) -> str:
    """What is asked of a file beside its content, and its end."""
    way, _, path = task.at.partition(":")
    {
        "mode": lambda: os.chmod(path, 0o777),  # noqa: S103 - that is the attack
        "mode of an open file": lambda: os.fchmod(os.open(path, os.O_RDONLY), 0o777),
        "owner": lambda: os.chown(path, os.geteuid(), os.getegid()),
        "attribute": lambda: os.setxattr(path, "user.x", b"x"),
        "time": lambda: os.utime(path, (0, 0)),
        "length": lambda: os.truncate(path, 0),
        "length, while it is opened": lambda: os.open(path, os.O_RDONLY | os.O_TRUNC),
    }[way]()
    return "changed"


def disturb(task: Attack) -> str:
    """Another process of the same user."""
    {
        "limits": lambda: resource.prlimit(task.number, resource.RLIMIT_NOFILE, (1, 1)),
        "priority": lambda: os.setpriority(os.PRIO_PROCESS, task.number, 19),
        "scheduler": lambda: os.sched_setscheduler(task.number, os.SCHED_IDLE, os.sched_param(0)),
        "cores": lambda: os.sched_setaffinity(task.number, {0}),
    }[task.at]()
    return "disturbed"


def run(task: Attack) -> str:
    program = FFMPEG if task.at == "ffmpeg" else task.at
    return f"exit {subprocess.run([program, '-version'], stdout=subprocess.DEVNULL, check=False).returncode}"


def fork(_: Attack) -> str:
    while True:
        if os.fork() == 0:
            time.sleep(60)


def start_threads(_: Attack) -> str:
    waiting = threading.Event()
    while True:
        threading.Thread(target=waiting.wait, daemon=True).start()


def eat_memory(task: Attack) -> str:
    eaten = []
    while True:
        eaten.append(bytearray(os.urandom(1) * 2**24) if task.at == "private" else _shared())


def _shared() -> mmap.mmap:
    shared = mmap.mmap(-1, 2**24, flags=mmap.MAP_SHARED | mmap.MAP_ANONYMOUS)
    shared.write(b"x" * 2**24)
    return shared


def eat_memory_file(_: Attack) -> str:
    return f"file {os.memfd_create('hidden')}"


def eat_disk(task: Attack) -> str:
    with open(task.at, "wb") as file:
        while True:
            file.write(b"x" * 2**20)
            file.flush()


def kill(task: Attack) -> str:
    os.kill(task.number or os.getppid(), signal.SIGTERM)
    return "killed"


def environment(_: Attack) -> str:
    return Path("/proc/self/environ").read_bytes().decode() + "\n".join(f"{k}={v}" for k, v in os.environ.items())


def open_files(_: Attack) -> str:
    return ", ".join(os.readlink(f"/proc/self/fd/{name}").partition(":")[0] for name in sorted(_own_files()))


def _own_files() -> list[str]:
    names = os.listdir("/proc/self/fd")
    return [name for name in names if os.path.islink(f"/proc/self/fd/{name}")]


def call(task: Attack) -> str:
    if libc().syscall(ctypes.c_long(task.number), *[ctypes.c_ulong(0)] * 6) < 0:
        raise OSError(ctypes.get_errno(), "")
    return "done"


def speak(task: Attack) -> str:
    """To whoever reads the log."""
    os.write(task.number, task.at.encode())
    return "said"


def leave(task: Attack) -> str:
    """The group of processes that is killed with it."""
    {"session": os.setsid, "group": lambda: os.setpgid(0, 0)}[task.at]()
    return "left"


def die_beside_another(task: Attack) -> str:
    """Of its own hand, and what it has started lives on."""
    endless = ["-f", "lavfi", "-i", "anullsrc", "-metadata", f"title={task.at}", "-f", "null", "-"]
    with subprocess.Popen([FFMPEG, "-re", *endless], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL):
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


def lie(task: Attack) -> str:
    """Tells its worker, by the socket that it answers at, that it is somebody else."""
    for name in _own_files():
        if os.readlink(f"/proc/self/fd/{name}").startswith("socket"):
            os.write(int(name), task.at.encode() + b"\n")
    time.sleep(60)
    return "nobody minded"


def limits(_: Attack) -> str:
    return Path("/proc/self/limits").read_text(encoding="utf-8")


def status(_: Attack) -> str:
    return Path("/proc/self/status").read_text(encoding="utf-8")


ATTACKS: dict[str, Callable[[Attack], str]] = {
    work.__name__: work
    for work in (
        *(
            connect,
            read,
            look,
            write,
            make,
            move,
            run,
            fork,
            start_threads,
            eat_memory,
            eat_memory_file,
            eat_disk,
            kill,
        ),
        *(change, disturb, speak, leave, die_beside_another),
        *(environment, open_files, call, lie, limits, status),
    )
}


def attack(task: Attack, _: Tell[Nothing]) -> Outcome:
    try:
        return Outcome(says=ATTACKS[task.does](task))
    except MemoryError:
        raise
    except OSError as error:
        if task.does == "eat_disk":
            raise
        return Outcome(says=type(error).__name__ if type(error) is not OSError else f"errno {error.errno}")


if __name__ == "__main__":
    registry.TASKS |= {task.name: (task, attack) for task in (ATTACK, MEASURING)}
    if sys.argv[1] == "old":
        landlock.version = lambda: 0
        seccomp.is_available = lambda: False

        def refuse(_: int) -> None:
            raise PermissionError(1, "Operation not permitted")

        namespaces.leave = refuse
        namespaces.may_leave = lambda _: False
    zygote.main(sandbox.mode_of(sys.argv[-1]))
