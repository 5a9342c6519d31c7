"""Every row of docs/sources.md names a test that exists."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def rows() -> list[str]:
    lines = (ROOT / "docs" / "sources.md").read_text().splitlines()
    return [line for line in lines if line.startswith("|") and not line.startswith(("|---", "| Source |"))]


def test_every_kind_of_source_has_a_test() -> None:
    assert len(rows()) > 30
    for row in rows():
        found = TEST.search(row)
        assert found, row
        path, name = found.groups()
        assert re.search(rf"^(async )?def {name}\(", (ROOT / path).read_text(), re.MULTILINE), row


def test_every_test_of_sources_has_a_row() -> None:
    named = {found.group(2) for row in rows() if (found := TEST.search(row))}
    written = (Path(__file__).parent / "test_sources.py").read_text()
    assert set(re.findall(r"^async def (test_\w+)", written, re.MULTILINE)) <= named
