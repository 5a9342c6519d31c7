"""The filter as the kernel would run it, for both architectures whatever this one is."""

import os
import re
import struct
from pathlib import Path

import pytest

from streamforge.kernel import seccomp
from streamforge.kernel.seccomp import AARCH64, ON_ALL, RET_ALLOW, RET_ERRNO, RET_KILL_PROCESS, X86_64, Architecture
from streamforge.media.process import sandbox

HEADERS = {
    "x86_64": (X86_64, Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h")),
    "aarch64": (AARCH64, Path("/usr/include/asm-generic/unistd.h")),
}

both = pytest.mark.parametrize("architecture", [X86_64, AARCH64], ids=["x86_64", "aarch64"])

EPERM, ENOSYS = RET_ERRNO | 1, RET_ERRNO | 38


def verdict(
    architecture: Architecture, name: str, *arguments: int, audit: int | None = None, measures: bool = False
) -> int:
    """What the kernel does with this call. A machine for the few instructions that are used."""
    number = (architecture.numbers | ON_ALL)[name]
    data = struct.pack("iIQ6Q", number, audit or architecture.audit, 0, *[*arguments, 0, 0, 0, 0, 0, 0][:6])
    code = seccomp.program(list(sandbox.refusals(measures=measures, on_gpu=False)), architecture)
    instructions = list(seccomp.INSTRUCTION.iter_unpack(code))
    at, accumulator = 0, 0
    while True:
        operation, then, otherwise, value = instructions[at]
        at += 1
        match operation:
            case seccomp.LD:
                (accumulator,) = struct.unpack_from("I", data, value)
            case seccomp.AND:
                accumulator &= value
            case seccomp.JUMP:
                at += value
            case seccomp.JUMP_EQUAL:
                at += then if accumulator == value else otherwise
            case seccomp.JUMP_AT_LEAST:
                at += then if accumulator >= value else otherwise
            case seccomp.RETURN:
                return int(value)
            case _:
                raise AssertionError(operation)


@both
def test_every_call_that_media_never_needs_is_refused(architecture: Architecture) -> None:
    for name in sandbox.NEVER:
        if name in architecture.numbers | ON_ALL:
            assert verdict(architecture, name) == EPERM, name


@both
def test_nothing_is_named_that_neither_architecture_has(architecture: Architecture) -> None:
    assert set(sandbox.NEVER) <= X86_64.numbers.keys() | AARCH64.numbers.keys() | ON_ALL.keys()


@both
def test_threads_are_made_and_processes_are_not(architecture: Architecture) -> None:
    thread = 0x3D0F00
    spawn = 0x4111
    assert verdict(architecture, "clone", thread) == RET_ALLOW
    assert verdict(architecture, "clone", 0x11) == EPERM
    assert verdict(architecture, "clone", spawn) == EPERM
    assert verdict(architecture, "clone3") == ENOSYS
    assert verdict(architecture, "execve") == EPERM


@both
def test_who_measures_makes_programs_of_its_processes_at_once(architecture: Architecture) -> None:
    assert verdict(architecture, "clone", 0x4111, measures=True) == RET_ALLOW
    assert verdict(architecture, "clone", 0x11, measures=True) == EPERM
    for namespace in (0x20000, *(1 << bit for bit in range(25, 31))):
        assert verdict(architecture, "clone", 0x4111 | namespace, measures=True) == EPERM
    assert verdict(architecture, "execve", measures=True) == RET_ALLOW


@both
def test_memory_is_private(architecture: Architecture) -> None:
    private_anonymous, shared_file, shared_anonymous, shared_validated = 0x22, 0x01, 0x21, 0x23
    assert verdict(architecture, "mmap", 0, 0, 0, private_anonymous) == RET_ALLOW
    assert verdict(architecture, "mmap", 0, 0, 0, shared_file) == RET_ALLOW
    assert verdict(architecture, "mmap", 0, 0, 0, shared_anonymous) == EPERM
    assert verdict(architecture, "mmap", 0, 0, 0, shared_validated) == EPERM


@both
def test_only_its_own_limits_and_priority_are_set(architecture: Architecture) -> None:
    of_a_process, of_a_user = 0, 2
    assert verdict(architecture, "prlimit64", 0) == RET_ALLOW
    assert verdict(architecture, "prlimit64", 4711) == EPERM
    assert verdict(architecture, "setpriority", of_a_process, 0) == RET_ALLOW
    assert verdict(architecture, "setpriority", of_a_process, 4711) == EPERM
    assert verdict(architecture, "setpriority", of_a_user, 0) == EPERM
    for call in ("sched_setscheduler", "sched_setparam", "sched_setattr", "sched_setaffinity"):
        assert (verdict(architecture, call, 0), verdict(architecture, call, 4711)) == (RET_ALLOW, EPERM), call


@both
def test_nothing_is_emptied_that_is_opened_for_reading(architecture: Architecture) -> None:
    """Before version 3 Landlock sees no truncation: any file of the user could be emptied by its path."""
    read, write, create, empty = os.O_RDONLY, os.O_WRONLY, os.O_CREAT, os.O_TRUNC
    assert verdict(architecture, "openat", 0, 0, read) == RET_ALLOW
    assert verdict(architecture, "openat", 0, 0, write | create | empty) == RET_ALLOW
    assert verdict(architecture, "openat", 0, 0, read | empty) == EPERM
    assert verdict(architecture, "openat2") == ENOSYS


@both
def test_nothing_is_typed_into_the_terminal(architecture: Architecture) -> None:
    window_size = 0x5413
    assert verdict(architecture, "ioctl", 0, window_size) == RET_ALLOW
    assert verdict(architecture, "ioctl", 0, sandbox.TIOCSTI) == EPERM


@both
def test_numbers_of_another_architecture_end_the_process(architecture: Architecture) -> None:
    i386 = 0x40000003
    assert verdict(architecture, "mmap", audit=i386) == RET_KILL_PROCESS


@pytest.mark.parametrize("machine", HEADERS)
def test_the_numbers_are_those_of_the_kernel(machine: str) -> None:
    architecture, header = HEADERS[machine]
    if not header.exists():
        pytest.skip(f"{header} is not here")
    text = header.read_text(encoding="utf-8")
    defined = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\n", text)}
    named = architecture.numbers | ON_ALL
    assert {name: defined.get(name, number) for name, number in named.items()} == named
