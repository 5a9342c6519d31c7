"""Examples of settings, wherever they are shown: each is carried out. And what a setting was once called is not forgotten."""

import os
import re
from collections.abc import Iterator
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml
from test_docs import known_settings

from streamforge.errors import InvalidSettings
from streamforge.settings import ENV_PREFIX, NO_SETTINGS, Settings, load, variable
from streamforge.settings_problems import GONE, RENAMED

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHOWN = [
    *PAGES,
    ROOT / "config.yaml",
    ROOT / "Makefile",
    *sorted(path for path in (ROOT / "docker").rglob("[!r]*") if path.is_file()),
]
RECORDED = Path(__file__).parent / "settings_of_all_versions.txt"
"""One name a line, of every setting that there ever was."""

NAME = re.compile(rf"{ENV_PREFIX}[A-Z\d_]*[A-Z\d]")
ASSIGNED = re.compile(rf"({ENV_PREFIX}[A-Z\d_]*[A-Z\d])(?:=|: )('[^'\n]*'|\"[^\"\n]*\"|[^\s'\"`,;]+)")
BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.MULTILINE | re.DOTALL)
QUOTED = re.compile(r"`([^`\n]+)`")
ONE_SETTING = re.compile(r"([a-z_]+(?:\.[a-z_\d]+)+): (.+)")
FROM_OUTSIDE = re.compile(r"\$\{[^}]*\}")
"""What compose puts in from its own environment."""


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in os.environ:
        if name.upper().startswith(ENV_PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def variables() -> Iterator[Any]:
    for page in SHOWN:
        for name, value in ASSIGNED.findall(FROM_OUTSIDE.sub("x", page.read_text(encoding="utf-8"))):
            yield pytest.param(name, value.strip("'\"").rstrip("."), id=f"{page.name}: {name}={value}")


def documents() -> Iterator[Any]:
    """Blocks of YAML, and what is quoted in a line: `section: {key: value}`, `section.key: value`."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in BLOCK.findall(text):
            yield pytest.param(block, id=f"{page.name}: {block.split()[0]} …")
        for quoted in QUOTED.findall(text):
            if one := ONE_SETTING.fullmatch(quoted):
                value = yaml.safe_load(one[2])
                nested = reduce(lambda inner, key: {key: inner}, reversed(one[1].split(".")), value)
                yield pytest.param(yaml.safe_dump(nested), id=f"{page.name}: {quoted}")
            elif (group := re.match(r"(\w+): \{", quoted)) and group[1] in Settings.model_fields:
                yield pytest.param(quoted, id=f"{page.name}: {quoted}")


@pytest.mark.parametrize("page", SHOWN, ids=lambda page: page.name)
def test_every_variable_that_is_named_is_a_setting(page: Path) -> None:
    named = set(NAME.findall(page.read_text(encoding="utf-8"))) - NO_SETTINGS
    assert named <= {variable(name) for name in known_settings()}


@pytest.mark.parametrize(("name", "value"), list(variables()))
def test_an_example_of_a_variable_works(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    load()


@pytest.mark.parametrize("text", list(documents()))
def test_an_example_of_settings_works(text: str, tmp_path: Path) -> None:
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    load(file)


def test_there_are_examples() -> None:
    assert len(list(variables())) >= 8
    assert len(list(documents())) >= 4


# ── what settings were called ───────────────────────────────────────────────────────────────────────────────────────
def test_a_setting_that_was_is_there_or_is_said_to_be_called_otherwise() -> None:
    """A name that goes is put into RENAMED, or GONE; one that comes, into the list."""
    recorded = set(RECORDED.read_text(encoding="utf-8").split())
    assert recorded == known_settings() | RENAMED.keys() | GONE.keys()
    assert set(RENAMED.values()) <= known_settings()
    assert known_settings().isdisjoint(RENAMED.keys() | GONE.keys())


@pytest.mark.parametrize(("before", "now"), list(RENAMED.items()))
def test_a_setting_that_is_called_otherwise_now_says_how(
    before: str, now: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section, key = before.split(".")
    file = tmp_path / "settings.yaml"
    for text, told in (
        (f"{section}: {{{key}: x}}", f"{before}: is called {now} now"),
        (
            f"profiles: {{default: {{{section}: {{{key}: x}}}}}}",
            f"profiles.default.{before}: is called profiles.default.{now} now",
        ),
    ):
        file.write_text(text, encoding="utf-8")
        with pytest.raises(InvalidSettings, match=re.escape(told)):
            load(file)
    monkeypatch.setenv(variable(before), "x")
    with pytest.raises(InvalidSettings, match=f"{variable(before)} is called {variable(now)} now"):
        load()


@pytest.mark.parametrize(("before", "why"), list(GONE.items()))
def test_a_setting_that_is_gone_says_why(before: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable(before), "1")
    with pytest.raises(InvalidSettings, match=re.escape(f"{before}: is no setting any more; {why}")):
        load()
