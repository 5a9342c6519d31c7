"""`make lint` compares the lock file with the vulnerabilities that are known; where nobody can be asked, it says so."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

TOOL = Path(__file__).parents[2] / ".ci" / "find_vulnerabilities.py"
HASH = "--hash=sha256:" + "0" * 64
LOCK = f"harmless==1.0 {HASH}\nleaky==2.0 {HASH}\n"


def vulnerability(package: str) -> dict[str, Any]:
    """As https://ossf.github.io/osv-schema/ has it."""
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "2.1"}]}
    affected = {"package": {"ecosystem": "PyPI", "name": package}, "ranges": [fixed]}
    return {"id": "GHSA-xxxx-yyyy-zzzz", "summary": "It leaks.", "details": "It leaks.", "affected": [affected]}


@contextmanager
def database(status: int = 200) -> Iterator[str]:
    """A server that speaks as OSV does, and knows of one vulnerability, in `leaky`."""

    class Answers(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["package"]["name"]
            known = {"vulns": [vulnerability(asked)]} if asked == "leaky" else {}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(known).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()


def find(lock: Path, url: str, **environment: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "AUDIT_URL": url, **environment}
    return subprocess.run(
        [sys.executable, TOOL, lock], env=environment, cwd=lock.parent, capture_output=True, text=True, check=False
    )


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    path = tmp_path / "requirements.lock"
    path.write_text(LOCK)
    return path


def test_a_package_with_a_known_vulnerability_fails_with_the_version_that_has_none(lock: Path) -> None:
    with database() as url:
        found = find(lock, url)
    assert found.returncode == 1, found.stderr
    assert "leaky 2.0: GHSA-xxxx-yyyy-zzzz, put right in 2.1" in found.stdout
    assert "harmless" not in found.stdout
    assert "2 packages compared with what is known: 1 vulnerabilities" in found.stdout


def test_packages_of_which_nothing_is_known_pass(lock: Path) -> None:
    lock.write_text(f"harmless==1.0 {HASH}\n", encoding="utf-8")
    with database() as url:
        found = find(lock, url)
    assert (found.returncode, found.stdout) == (0, "1 packages compared with what is known: 0 vulnerabilities\n")


def test_offline_it_passes_and_says_that_nothing_was_compared(lock: Path) -> None:
    with database() as url:
        pass
    found = find(lock, url)
    assert found.returncode == 0
    assert found.stdout.startswith("NOT AUDITED: the packages of ")
    assert find(lock, url, AUDIT="required").returncode == 1


def test_a_database_that_is_out_of_order_is_as_good_as_none(lock: Path) -> None:
    with database(status=503) as url:
        found = find(lock, url)
    assert found.returncode == 0, found.stderr
    assert found.stdout.startswith("NOT AUDITED")


def test_a_lock_that_pins_no_hash_is_no_lock(lock: Path) -> None:
    lock.write_text("harmless==1.0\n", encoding="utf-8")
    with database() as url:
        found = find(lock, url)
    assert found.returncode == 1
    assert "does not contain a hash" in found.stderr
