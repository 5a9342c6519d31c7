"""What the documentation says is there: error codes, links, settings."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel
from typer.main import get_command

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

NAMED_TEST = re.compile(r"`(tests/[\w/]+\.py)::(?:Test\w+::)?(test_\w+)`")

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
def test_tests_that_are_named_exist(page: Path) -> None:
    for file, name in NAMED_TEST.findall(page.read_text(encoding="utf-8")):
        assert re.search(rf"^ *(async )?def {name}\(", (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE), name


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


def test_commands_of_the_pages_on_operations_exist() -> None:
    """`streamforge WORD …`, with its options."""
    written = re.findall(r"(?:`|\$ |bin/)streamforge (?:--config \S+ )?([a-z][^`\n]*)", OPERATIONS + SECURITY)
    assert len(written) > 5
    for line in written:
        command, options = command_of(line.split())
        for option in re.findall(r"(?<!\S)(--[a-z-]+)", line):
            assert option in options, line
        assert command is not None, line


def command_of(words: list[str]) -> tuple[str | None, set[str]]:
    """The command that they begin with, None for none, and the options that it has."""
    found: Any = get_command(cli)
    while words and words[0] in getattr(found, "commands", {}):
        found = found.commands[words.pop(0)]
    options = {option for parameter in found.params for option in parameter.opts}
    return (None if hasattr(found, "commands") else str(found.name)), options
