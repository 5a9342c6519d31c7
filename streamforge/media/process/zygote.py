"""A process that has av loaded and forks: a media child costs 5 ms instead of 200 ms of imports.

It is started once per worker (`python -m streamforge.media.process.zygote MODE`, its stdin is a Unix socket to the worker; MODE
is `media.sandbox`). For each request the worker passes the ends of two socket pairs. One is the child's: it reads its task
there and answers in JSON lines. The other is the zygote's own, which never touches media bytes: it writes `{"pid": …}`
there when it forked and `{"exit": …}` when the child is gone. A taken-over child must not say which process the worker kills,
nor that it is gone itself. The zygote dies with its worker.

Children answer in JSON, never in pickle: a child reads hostile bytes, and unpickling what a taken-over child sends
would hand the worker over, too.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
from typing import Any

from streamforge.kernel.syscalls import die_with_parent
from streamforge.media.process import registry, sandbox
from streamforge.media.process.limits import Limits, apply_limits
from streamforge.settings import SandboxMode

REQUEST_BYTES = 1
FIRST_OTHER_FILE = 3


def main(mode: SandboxMode) -> None:
    worker = socket.socket(fileno=sys.stdin.fileno())
    die_with_parent(signal.SIGKILL)
    confined = sandbox.enter_zygote(mode)
    sandbox.IN_FORCE = confined
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the worker decides.
    gc.freeze()  # Children share these pages; a collection in a child would copy them.
    reaped_read, reaped_write = os.pipe()
    os.set_blocking(reaped_write, False)
    signal.set_wakeup_fd(reaped_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    abandoned: set[int] = set()
    while True:
        heard = {report.fileno(): pid for pid, report in children.items() if pid not in abandoned}
        readable, _, _ = select.select([worker.fileno(), reaped_read, *heard], [], [])
        for pid in (heard[each] for each in readable if each in heard):
            # The worker never says anything there: it has hung up, perhaps before it knew whom to kill.
            abandoned.add(pid)
            _kill(pid)
        if reaped_read in readable:
            os.read(reaped_read, 4096)
            _reap(children)
            abandoned &= children.keys()
        if worker.fileno() in readable:
            request, handles, _, _ = socket.recv_fds(worker, REQUEST_BYTES, 2)
            if not request:
                return  # The worker is gone; so are we, and our children notice their closed sockets.
            task, report = handles
            _fork(task, socket.socket(fileno=report), children, mode)


def _fork(task: int, report: socket.socket, children: dict[int, socket.socket], mode: SandboxMode) -> None:
    pid = os.fork()
    if pid == 0:
        _keep_only(task)
        _child(socket.socket(fileno=task), mode)
    os.close(task)
    children[pid] = report
    _tell(report, {"pid": pid})


def _keep_only(task: int) -> None:
    """Neither the zygote's own files nor what other children report by. /dev/null becomes 0: else the next file that is opened
    would be taken for the standard input."""
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.closerange(FIRST_OTHER_FILE, task)
    os.closerange(task + 1, os.sysconf("SC_OPEN_MAX"))


def _kill(pid: int) -> None:
    """It has not been reaped yet, so the number is still its own."""
    for kill in (os.killpg, os.kill):  # The group does not exist in the first instant of the child's life.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            kill(pid, signal.SIGKILL)


def _reap(children: dict[int, socket.socket]) -> None:
    while True:
        try:
            ended = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:
            return
        if ended is None:
            return
        _kill(ended.si_pid)  # What it has started, before its number can be anybody else's.
        pid, status = os.waitpid(ended.si_pid, 0)
        report = children.pop(pid, None)
        if report is not None:
            _tell(report, {"exit": os.waitstatus_to_exitcode(status)})
            report.close()


def _child(task: socket.socket, mode: SandboxMode) -> None:
    """Runs in the fork; never returns."""
    code = 1
    try:
        os.setsid()  # A process group of its own: killing it takes the ffmpeg it may have started with it.
        die_with_parent(signal.SIGKILL)
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        reader = task.makefile("rb")
        request = json.loads(reader.readline())
        apply_limits(Limits.model_validate(request["limits"]))
        _tell(task, _worked_at(task, reader, request, mode))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _worked_at(task: socket.socket, reader: Any, request: dict[str, Any], mode: SandboxMode) -> dict[str, Any]:
    row, task_input = registry.understood(request["task"], request["input"])

    def confine() -> None:
        sandbox.refuse_if_missing(mode, sandbox.IN_FORCE)
        sandbox.enter(row, task_input, sandbox.IN_FORCE)
        # Behind it: threads that are there before would be outside.
        threading.Thread(target=_die_with_worker, args=(reader,), daemon=True).start()

    return registry.run(row, task_input, lambda progress: _tell(task, progress), confine)


def _die_with_worker(reader: Any) -> None:
    """The worker never sends a second line; the end of the stream means that it is gone, however it died."""
    with contextlib.suppress(OSError):
        reader.readline()
    os.killpg(0, signal.SIGKILL)


def _tell(task: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        task.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main(sandbox.mode_of(sys.argv[1]))
