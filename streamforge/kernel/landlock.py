"""Landlock: from here on this process uses no files but those it names now (linux/landlock.h; Linux 5.13).

Each version of its interface ("ABI") knows more rights. What a kernel does not know stays allowed there, so callers are told
the version.
"""

import ctypes
import os
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntFlag
from pathlib import Path

from streamforge.kernel.syscalls import (
    IS_LINUX,
    LANDLOCK_ADD_RULE,
    LANDLOCK_CREATE_RULESET,
    LANDLOCK_RESTRICT_SELF,
    no_new_privileges,
    syscall,
)

CREATE_RULESET_VERSION = 1
RULE_PATH_BENEATH = 1
RULES_BEFORE_REFER, RULES_BEFORE_TRUNCATE, RULES_BEFORE_NETWORK, RULES_BEFORE_IOCTL, RULES_BEFORE_SCOPES = 1, 2, 3, 4, 5
"""The last version without it."""


class Right(IntFlag):
    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


OF_VERSION_1 = Right((1 << 13) - 1)
OF_FILES = Right.EXECUTE | Right.WRITE_FILE | Right.READ_FILE | Right.TRUNCATE | Right.IOCTL_DEV

READ = Right.READ_FILE | Right.READ_DIR
RUN = READ | Right.EXECUTE
WRITE = (
    READ
    | Right.WRITE_FILE
    | Right.TRUNCATE
    | Right.MAKE_REG
    | Right.MAKE_DIR
    | Right.REMOVE_FILE
    | Right.REMOVE_DIR
    | Right.REFER
)
"""Plain files and folders. No links, pipes, sockets or devices: whoever reads the folder later would follow them, or wait."""
DEVICE = READ | Right.WRITE_FILE | Right.IOCTL_DEV

BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_UNIX_SOCKET, SCOPE_SIGNAL = 1, 2


class _RulesetAttr(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneathAttr(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"  # What _pack_ means; Python 3.14 wants it said.
    _fields_ = (("allowed", ctypes.c_uint64), ("parent", ctypes.c_int32))


@dataclass
class Rules:
    """Paths and what may be done with them and all that lies below. Those that do not exist are passed over."""

    paths: list[tuple[Path, Right]] = field(default_factory=list)

    def allow(self, paths: Iterable[Path], right: Right) -> None:
        self.paths += [(path, right) for path in paths]


def version() -> int:
    """The kernel's; 0 where it has no Landlock, or where it is turned off."""
    if not IS_LINUX:
        return 0
    try:
        return syscall(LANDLOCK_CREATE_RULESET, None, 0, CREATE_RULESET_VERSION)
    except OSError:
        return 0


def restrict(rules: Rules, abi: int) -> None:
    """This thread, and whatever it starts from now on, uses only what `rules` say, connects to no TCP port, and sends signals
    to nobody outside. `abi` is `version()`. Raises OSError."""
    handled = _handled(abi)
    ruleset = _create(handled, abi)
    try:
        for path, right in rules.paths:
            _add(ruleset, path, right & handled)
        no_new_privileges()
        syscall(LANDLOCK_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _handled(abi: int) -> Right:
    handled = OF_VERSION_1
    for right, without in (
        (Right.REFER, RULES_BEFORE_REFER),
        (Right.TRUNCATE, RULES_BEFORE_TRUNCATE),
        (Right.IOCTL_DEV, RULES_BEFORE_IOCTL),
    ):
        if abi > without:
            handled |= right
    return handled


def _create(handled: Right, abi: int) -> int:
    attributes = _RulesetAttr(files=handled)
    size = 8
    if abi > RULES_BEFORE_NETWORK:
        attributes.network, size = BIND_TCP | CONNECT_TCP, 16
    if abi > RULES_BEFORE_SCOPES:
        attributes.scoped, size = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL, 24
    return syscall(LANDLOCK_CREATE_RULESET, ctypes.byref(attributes), size, 0)


def _add(ruleset: int, path: Path, right: Right) -> None:
    try:
        place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # What is not there, or not for us anyway, needs no rule.
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            right &= OF_FILES
        rule = _PathBeneathAttr(allowed=right, parent=place)
        syscall(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(place)
