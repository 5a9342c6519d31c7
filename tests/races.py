"""Many processes that do the same at the same moment, again and again."""

import subprocess
import sys
from pathlib import Path

PROCESSES = 8
ROUNDS = 25

# Forked, so that it is the code under test that races and not eight interpreters that start.
_TOGETHER = f"""
import os, sys, traceback
from pathlib import Path
folder = Path(sys.argv[1])
for _ in range({ROUNDS}):
    gate, open_gate = os.pipe()
    children = []
    for _ in range({PROCESSES}):
        if not (child := os.fork()):
            os.close(open_gate)
            os.read(gate, 1)
            try:
                enter(folder)
                os._exit(0)
            except BaseException:
                traceback.print_exc()
                os._exit(1)
        children.append(child)
    os.close(open_gate)
    os.close(gate)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * {PROCESSES}
"""


def started_together(enter: str, folder: Path) -> None:
    """`enter` is code that defines `enter(folder)`; each process ends after it as if it were killed."""
    ended = subprocess.run(
        [sys.executable, "-c", enter + _TOGETHER, folder], capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
