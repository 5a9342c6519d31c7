"""What the documentation says is there: error codes, links, settings."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel
from typer.testing import CliRunner

import streamforge
from streamforge.cli import app as cli
from streamforge.client import RequestRefused
from streamforge.errors import StreamForgeError
from streamforge.settings import Section, Settings

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md"))]
ERRORS = (ROOT / "docs" / "errors.md").read_text()

ROW = re.compile(r"^\| `([\w.]+)` \| (\d+|–) \| (caller|service) \| (yes|no) \|", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
QUOTED = re.compile(r"`([^`\n]+)`")

ONLY_IN_JOBS = {"internal.timeout"}
"""Made where a failed workflow is told to the world; no class raises it."""

by_name = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def error_classes() -> Iterator[type[StreamForgeError]]:
    for module in pkgutil.walk_packages(streamforge.__path__, "streamforge."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    waiting = StreamForgeError.__subclasses__()
    while waiting:
        kind = waiting.pop()
        waiting += kind.__subclasses__()
        if kind is not RequestRefused:  # Its code is the server's.
            yield kind


def test_error_table_lists_exactly_the_codes_that_exist() -> None:
    expected = {
        kind.code: (str(kind.http_status), kind.fault.value, "yes" if kind.retryable else "no")
        for kind in error_classes()
    }
    rows = ROW.findall(ERRORS)
    listed = {code: tuple(rest) for code, *rest in rows if code not in ONLY_IN_JOBS}
    assert listed == expected
    assert len(rows) == len(expected) + len(ONLY_IN_JOBS)


@by_name
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [
        target for target in LINK.findall(page.read_text(encoding="utf-8")) if not target.startswith(("http", "#"))
    ]
    broken = [target for target in targets if not (page.parent / target.partition("#")[0]).exists()]
    assert broken == []


@by_name
def test_settings_that_are_mentioned_exist(page: Path) -> None:
    """`section.key`, where `section` is one of ours, is a setting unless it is the code of an error."""
    mentioned = {text.partition(":")[0] for text in QUOTED.findall(page.read_text(encoding="utf-8"))}
    codes = {code for code, *_ in ROW.findall(ERRORS)}
    keys = {name for name in mentioned if re.fullmatch(r"[a-z]+\.[a-z_]+", name) and name not in codes}
    assert {key for key in keys if key.partition(".")[0] in Settings.model_fields} <= known_settings()


def known_settings(section: type[BaseModel] = Settings, prefix: str = "") -> set[str]:
    known = set()
    for name, field in section.model_fields.items():
        kind = field.annotation
        known.add(f"{prefix}{name}")
        if isinstance(kind, type) and issubclass(kind, Section):
            known |= known_settings(kind, f"{prefix}{name}.")
    return known


@by_name
def test_source_files_that_are_mentioned_exist(page: Path) -> None:
    """By their path in the repository, or below `streamforge/`."""
    files = {
        text
        for text in QUOTED.findall(page.read_text(encoding="utf-8"))
        if re.fullmatch(r"\w+(/\w+)+\.(py|sql|yaml)", text)
    }
    assert {
        file for file in files if not (ROOT / file).exists() and not (ROOT / "streamforge" / file).exists()
    } == set()


# ── security and operations ─────────────────────────────────────────────────────────────────────────────────────────
SECURITY = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
OPERATIONS = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
THREAT = re.compile(r"^\| ([STRIDE]) \| (.+) \| (.+) \| (.+) \|$", re.MULTILINE)


def test_every_threat_has_a_test_that_is_there() -> None:
    threats = THREAT.findall(SECURITY)
    assert {kind for kind, *_ in threats} == set("STRIDE")
    for _, threat, _, tests in threats:
        named = QUOTED.findall(tests)
        assert named, threat
        for name in named:
            assert is_a_test(name), f"{name}, of: {threat}"


def is_a_test(name: str) -> bool:
    """A folder, a file, or in it a function, perhaps of a class."""
    path, *within = name.split("::")
    if not within:
        return (ROOT / path).exists()
    source = (ROOT / path).read_text(encoding="utf-8") if (ROOT / path).is_file() else ""
    *classes, function = within
    return all(f"\nclass {each}" in source for each in classes) and f"def {function}(" in source


@pytest.mark.skipif(not (ROOT / "docker" / "prometheus" / "alerts.yaml").exists(), reason="there are no alerts yet")
def test_every_alert_has_its_section_in_the_runbook() -> None:
    alerts = set(re.findall(r"alert: (\w+)", (ROOT / "docker" / "prometheus" / "alerts.yaml").read_text("utf-8")))
    runbook = OPERATIONS.partition("\n## Runbook\n")[2]
    assert set(re.findall(r"^### (\w+)", runbook, re.MULTILINE)) == alerts


def test_commands_of_the_pages_on_operations_exist() -> None:
    """`streamforge WORD`, and its options."""
    runner = CliRunner()
    written = re.findall(r"(?:`|\$ |bin/)streamforge (?:--config \S+ )?([a-z][a-z-]+)([^`\n]*)", OPERATIONS + SECURITY)
    assert len(written) > 5
    for command, rest in written:
        shown = runner.invoke(cli, [command, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"})
        assert shown.exit_code == 0, command
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", rest):
            assert option in shown.output, f"{command} {option}"
