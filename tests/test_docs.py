"""What the documentation says is there: error codes, links, settings."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import BaseModel

import streamforge
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
