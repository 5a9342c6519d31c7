"""Runs the `streamforge` command in forks of a process that has loaded it: to load it takes most of the second of a core that
a short command costs.

    python forked_command.py LISTENER

LISTENER is the descriptor of a listening socket. Each connection asks for one command, in JSON, and is told its exit
status. The process ends when its standard input does, and so with whoever started it.
"""

import atexit
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

OFTEN_NEEDED = (
    "streamforge.cli",
    "streamforge.settings",
    "streamforge.administration",
    "streamforge.client",
    "streamforge.terminal",
    "streamforge.verification",
)


class ForkedCommands:
    """Starts the process when it is first needed. It ends with this one."""

    def __init__(self) -> None:
        self._listener: socket.socket | None = None

    def run(self, arguments: list[str], cwd: Path, environment: dict[str, str]) -> "subprocess.CompletedProcess[str]":
        with TemporaryDirectory() as name, socket.socket(socket.AF_UNIX) as asking:
            asking.connect(self._address())
            out, err = Path(name, "out"), Path(name, "err")
            work = {
                "arguments": arguments,
                "cwd": str(cwd),
                "environment": environment,
                "out": str(out),
                "err": str(err),
            }
            with asking.makefile("rw") as channel:
                channel.write(json.dumps(work) + "\n")
                channel.flush()
                status = int(channel.readline())
            return subprocess.CompletedProcess(
                arguments, status, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8")
            )

    def _address(self) -> str | bytes:
        if self._listener is None:
            self._listener = socket.socket(socket.AF_UNIX)
            self._listener.bind("")  # Linux chooses a name that no file system has.
            self._listener.listen()
            command = [sys.executable, "-P", __file__, str(self._listener.fileno())]
            process = subprocess.Popen(command, stdin=subprocess.PIPE, pass_fds=[self._listener.fileno()])
            atexit.register(self._end, process)
        address: bytes = self._listener.getsockname()
        return address

    def _end(self, process: "subprocess.Popen[bytes]") -> None:
        assert self._listener is not None
        self._listener.close()
        process.communicate()


def serve(listener: socket.socket) -> None:
    for name in OFTEN_NEEDED:
        importlib.import_module(name)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # Nobody asks how they ended.
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        if os.fork() == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            listener.close()
            answer(connection)
            os._exit(0)
        connection.close()


def answer(connection: socket.socket) -> None:
    with connection.makefile("rw") as channel:
        work = json.loads(channel.readline())
        child = os.fork()
        if child == 0:
            connection.close()
            os._exit(status_of(work))
        _, status = os.waitpid(child, 0)
        channel.write(f"{os.waitstatus_to_exitcode(status)}\n")


def status_of(work: dict[str, Any]) -> int:
    """Of the command, done in this process as in one of its own."""
    for descriptor, name in ((1, work["out"]), (2, work["err"])):
        os.dup2(os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), descriptor)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.chdir(work["cwd"])
    os.environ.clear()
    os.environ.update(work["environment"])
    sys.argv = ["streamforge", *work["arguments"]]
    try:
        importlib.import_module("streamforge.cli").main()
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        status = 1
    sys.stdout.flush()
    sys.stderr.flush()
    return status


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
