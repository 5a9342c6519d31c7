"""A process that has av loaded and forks: a media child costs 5 ms instead of 200 ms of imports.

It is started once per worker (`python -m streamforge.media.process.zygote`, its stdin is a Unix socket to the worker). For each
request the worker passes one end of a socket pair; the forked child reads its task there and answers in JSON lines.
The zygote itself never touches media bytes: it writes `{"pid": …}` when it forked and `{"exit": …}` when the child is
gone, and it dies with its worker.

Children answer in JSON, never in pickle: a child reads hostile bytes, and unpickling what a taken-over child sends
would hand the worker over, too.
"""

import contextlib
import ctypes
import gc
import json
import os
import select
import signal
import socket
import sys
import threading
from typing import Any

from streamforge.media.process import registry
from streamforge.media.process.limits import Limits, apply_limits

PR_SET_PDEATHSIG = 1
REQUEST_BYTES = 1


def main() -> None:
    worker = socket.socket(fileno=sys.stdin.fileno())
    _die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole terminal; the worker decides.
    gc.freeze()  # Children share these pages; a collection in a child would copy them.
    reaped_read, reaped_write = os.pipe()
    os.set_blocking(reaped_write, False)
    signal.set_wakeup_fd(reaped_write, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    children: dict[int, socket.socket] = {}
    while True:
        readable, _, _ = select.select([worker.fileno(), reaped_read], [], [])
        if reaped_read in readable:
            os.read(reaped_read, 4096)
            _reap(children)
        if worker.fileno() in readable:
            request, handles, _, _ = socket.recv_fds(worker, REQUEST_BYTES, 1)
            if not request:
                return  # The worker is gone; so are we, and our children notice their closed sockets.
            for handle in handles:
                _fork(socket.socket(fileno=handle), worker, children)


def _fork(task: socket.socket, worker: socket.socket, children: dict[int, socket.socket]) -> None:
    pid = os.fork()
    if pid == 0:
        worker.close()
        os.open(os.devnull, os.O_RDONLY)  # Becomes 0: else the next file would be taken for the standard input.
        for other in children.values():
            other.close()
        _child(task)
    children[pid] = task
    _tell(task, {"pid": pid})


def _reap(children: dict[int, socket.socket]) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        task = children.pop(pid, None)
        if task is not None:
            _tell(task, {"exit": os.waitstatus_to_exitcode(status)})
            task.close()


def _child(task: socket.socket) -> None:
    """Runs in the fork; never returns."""
    code = 1
    try:
        os.setsid()  # A process group of its own: killing it takes the ffmpeg it may have started with it.
        _die_with_parent()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        reader = task.makefile("rb")
        request = json.loads(reader.readline())
        threading.Thread(target=_die_with_worker, args=(reader,), daemon=True).start()
        apply_limits(Limits.model_validate(request["limits"]))
        _tell(task, registry.run(request["task"], request["input"], lambda progress: _tell(task, progress)))
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _die_with_worker(reader: Any) -> None:
    """The worker never sends a second line; the end of the stream means that it is gone, however it died."""
    with contextlib.suppress(OSError):
        reader.readline()
    os.killpg(0, signal.SIGKILL)


def _die_with_parent() -> None:
    """Linux only; elsewhere closed sockets do it. Guards against a worker killed with -9 leaving encoders behind."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def _tell(task: socket.socket, message: dict[str, Any]) -> None:
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        task.sendall(json.dumps(message).encode() + b"\n")


if __name__ == "__main__":
    main()
