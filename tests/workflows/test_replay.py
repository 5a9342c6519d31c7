"""Recorded histories run through today's code: a change that breaks a job in flight fails here first."""

import json
from collections import Counter
from pathlib import Path

import pytest
from record_histories import cases
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from streamforge.contracts import steps
from workflows.process_video import ProcessVideoWorkflow

FOLDER = Path(__file__).parent / "histories"
HISTORIES = sorted(FOLDER.glob("*.json"))


def replayer() -> Replayer:
    return Replayer(workflows=[ProcessVideoWorkflow], data_converter=pydantic_data_converter)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_still_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(f"video-processing-{path.stem}", path.read_text(encoding="utf-8"))
    await replayer().replay_workflow(history)


def test_there_is_a_history_of_every_case() -> None:
    assert {path.stem for path in HISTORIES} >= set(cases())


def recorded(name: str) -> dict[str, int]:
    """The activities of a history, and how often each was asked for."""
    events = json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))["events"]
    asked = (event.get("activityTaskScheduledEventAttributes") for event in events)
    return Counter(one["activityType"]["name"] for one in asked if one)


def test_they_are_what_they_are_called() -> None:
    assert recorded("per-title")[steps.SEARCH.name] == 1
    assert recorded("copy-fallback")[steps.PROBE.name] == 2
    assert recorded("captions")[steps.TRANSCRIBE.name] == recorded("captions")[steps.KEEP_SUBTITLES.name] == 1
    assert recorded("cancelled")[steps.VALIDATE.name] == 1
    assert recorded("cancelled")[steps.PACKAGE.name] == 0


async def test_a_history_of_another_order_is_noticed() -> None:
    """The proof that the test above can fail: packaging where the code wants transcoding."""
    text = (Path(__file__).parent / "histories" / "completed.json").read_text()
    history = WorkflowHistory.from_json("video-processing-x", text.replace('"transcode_audio"', '"package"'))
    with pytest.raises(Exception, match=r"[Nn]ondeterminism"):
        await replayer().replay_workflow(history)
