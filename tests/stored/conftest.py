"""What versions before this one have stored."""

import json
from pathlib import Path
from typing import Any

import pytest

SHAPES = sorted((Path(__file__).parent / "shapes").glob("*.json"))


@pytest.fixture(params=SHAPES, ids=lambda path: path.stem)
def shape(request: pytest.FixtureRequest) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(request.param.read_text(encoding="utf-8"))
    return content
