"""Programs of others that tests use, or a sentence that says how to get them."""

import os
import shutil
import subprocess
from hashlib import sha256
from pathlib import Path

import pytest

REQUIRED = os.environ.get("TEST_BROWSER") == "required"


def program(*names: str, package: str) -> str:
    """The path of the first that is there."""
    for name in names:
        if found := shutil.which(name):
            return found
    return missing(f"There is no {names[0]} here, which this test needs: apt-get install {package}")


def npm_packages(folder: Path) -> Path:
    """Exactly what package-lock.json in `folder` names; fetched again only when that changes."""
    packages = folder / "node_modules"
    lock = sha256((folder / "package-lock.json").read_bytes()).hexdigest()
    stamp = packages / ".installed"
    if not stamp.exists() or stamp.read_text() != lock:
        npm = program("npm", package="npm")
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            missing(f"npm could not fetch the packages: {done.stderr.strip()[-500:]}")
        stamp.write_text(lock)
    return packages


def missing(sentence: str) -> str:
    if REQUIRED:
        pytest.fail(sentence, pytrace=False)
    pytest.skip(sentence)
