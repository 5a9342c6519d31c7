"""`make sbom` writes what the image is made of, as https://cyclonedx.org has it: the same bytes from the same lock file."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
TOOL = ROOT / ".ci" / "make_sbom.py"
PINNED = re.compile(r"^([\w.-]+)==([^\s;]+)", re.MULTILINE)
HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


def make(path: Path) -> bytes:
    subprocess.run([sys.executable, "-W", "error", TOOL, path], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return path.read_bytes()


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make(tmp_path_factory.mktemp("sbom") / "streamforge.cdx.json").decode()


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(text)
    return loaded


LOCK = (ROOT / "docker" / "requirements.lock").read_text()


def test_it_names_every_package_of_the_image_and_no_other(document: dict[str, Any]) -> None:
    named = {(each["name"], each["version"]) for each in document["components"]}
    assert named == set(PINNED.findall(LOCK))
    assert document["metadata"]["component"]["name"] == "streamforge"


def test_it_has_the_hash_of_every_file_that_may_be_installed(document: dict[str, Any]) -> None:
    files = [one for each in document["components"] for one in each["externalReferences"]]
    hashes = {each["content"] for file in files for each in file["hashes"]}
    assert hashes == set(HASH.findall(LOCK))


def test_it_tells_the_licence_of_what_is_installed_here(document: dict[str, Any]) -> None:
    licences = {each["name"]: each.get("licenses") for each in document["components"]}
    assert licences["asyncpg"] == [{"license": {"id": "Apache-2.0"}}]
    assert licences["cryptography"] == [{"expression": "Apache-2.0 OR BSD-3-Clause"}]


def test_it_tells_who_needs_whom(document: dict[str, Any]) -> None:
    needed = {each["ref"].split("@")[0]: each.get("dependsOn", []) for each in document["dependencies"]}
    names = {ref: {purl.split("@")[0].removeprefix("pkg:pypi/") for purl in purls} for ref, purls in needed.items()}
    assert {"temporalio", "starlette", "asyncpg"} <= names["root-component"]
    assert "pytest" not in names["root-component"], "what only developers need is not in the image"
    assert "h11" in names["pkg:pypi/uvicorn"]


def test_it_says_nothing_about_the_machine_that_made_it(text: str) -> None:
    assert str(ROOT) not in text
    assert sys.prefix not in text
    addresses = set(re.findall(r"https?://[^/\"]+", text))
    assert addresses == {"http://cyclonedx.org"}, "only the schema's own name"
    assert "timestamp" not in text
    assert "serialNumber" not in text


def test_it_is_the_same_each_time(text: str, tmp_path: Path) -> None:
    assert make(tmp_path / "again.json").decode() == text
