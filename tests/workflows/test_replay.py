"""Recorded histories run through today's code: a change that breaks a job in flight fails here first."""

from pathlib import Path

import pytest
from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workflows.process_video import ProcessVideoWorkflow

HISTORIES = sorted((Path(__file__).parent / "histories").glob("*.json"))


def replayer() -> Replayer:
    return Replayer(workflows=[ProcessVideoWorkflow], data_converter=pydantic_data_converter)


@pytest.mark.parametrize("path", HISTORIES, ids=lambda path: path.stem)
async def test_a_recorded_history_still_replays(path: Path) -> None:
    history = WorkflowHistory.from_json(f"video-processing-{path.stem}", path.read_text(encoding="utf-8"))
    await replayer().replay_workflow(history)


def test_there_are_histories_of_success_and_failure() -> None:
    assert {path.stem for path in HISTORIES} >= {"completed", "low-quality", "not-a-video"}


async def test_a_history_of_another_order_is_noticed() -> None:
    """The proof that the test above can fail: packaging where the code wants transcoding."""
    text = (Path(__file__).parent / "histories" / "completed.json").read_text()
    history = WorkflowHistory.from_json("video-processing-x", text.replace('"transcode_audio"', '"package"'))
    with pytest.raises(Exception, match=r"[Nn]ondeterminism"):
        await replayer().replay_workflow(history)
