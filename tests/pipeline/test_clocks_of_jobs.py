"""A source whose clock was mended in so many places that it is told by reference."""

import json

import pytest
from clips import MEDIA
from system import System

from activities.support import source_clocks

RECORDING = MEDIA / "cases" / "clocks" / "01-ts-concat-reset.ts"


async def test_a_job_whose_clocks_lie_in_the_store_comes_out_as_any_other(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    usual = await system.process(RECORDING, name="film.ts")
    monkeypatch.setattr(source_clocks, "MOST_SENT", 0)
    kept = await system.process(RECORDING, name="film.ts")
    receipts = [json.loads((system.output(job.id) / "result.json").read_text()) for job in (usual, kept)]
    assert receipts[0]["source"]["found"] == receipts[1]["source"]["found"]
    assert receipts[1]["source"]["found"]["video"]["clock"]["runs"]
    assert receipts[0]["files"] == receipts[1]["files"]
    assert receipts[0]["account"] == receipts[1]["account"]
