"""`make lint` finds what looks like a secret, and says where; what somebody has looked at and accepted, it leaves alone."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / ".ci" / "find_secrets.py"
KEY = "AKIA" + "IOSFODNN7EXAMPLE"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    settings = json.loads((ROOT / ".secrets.baseline").read_text())
    (tmp_path / ".secrets.baseline").write_text(json.dumps({**settings, "results": {}}))
    (tmp_path / "harmless.py").write_text('NAME = "streamforge"\n')
    return tmp_path


@pytest.fixture
def tool(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """With a note of its own of what was clean: the one of `make lint` is not these files'."""
    prefix = tmp_path_factory.mktemp("prefix")
    run = f"import runpy, sys; sys.prefix = {str(prefix)!r}; runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    return [sys.executable, "-c", run]


def find(tool: list[str], repository: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*tool, *options], cwd=repository, capture_output=True, text=True, check=False)


def test_a_repository_without_secrets_passes(tool: list[str], repository: Path) -> None:
    assert find(tool, repository).returncode == 0


def test_a_key_is_found_before_it_is_committed_and_told_by_file_and_line(tool: list[str], repository: Path) -> None:
    assert find(tool, repository).returncode == 0
    (repository / "deploy.py").write_text(f'REGION = "eu"\nACCESS = "{KEY}"\n')
    found = find(tool, repository)
    assert found.returncode == 1
    assert "deploy.py:2: looks like a secret: AWS Access Key" in found.stdout
    assert KEY not in found.stdout + found.stderr, "what is found is not shown to everybody who reads the log"


def test_what_was_accepted_passes_wherever_it_moves_in_its_file_and_nowhere_else(
    tool: list[str], repository: Path
) -> None:
    (repository / "example.py").write_text(f'ACCESS = "{KEY}"\n')
    assert find(tool, repository, "--accept").returncode == 0
    (repository / "example.py").write_text(f'\n\n# moved\nACCESS = "{KEY}"\n')
    assert find(tool, repository).returncode == 0
    (repository / "other.py").write_text(f'ACCESS = "{KEY}"\n')
    assert "other.py:1" in find(tool, repository).stdout
    assert KEY not in (repository / ".secrets.baseline").read_text()
