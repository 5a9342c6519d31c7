"""A recorded delivery runs through today's code: some wait for days, and what began them may be long gone."""

from pathlib import Path

from temporalio.client import WorkflowHistory
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.worker import Replayer

from workflows.deliver_webhook import DeliverWebhookWorkflow

RECORDED = Path(__file__).parent / "histories" / "tried-again.json"
"""Taken at two tries and one that was good."""


async def test_a_recorded_delivery_still_replays() -> None:
    history = WorkflowHistory.from_json("webhook-x", RECORDED.read_text(encoding="utf-8"))
    replayer = Replayer(workflows=[DeliverWebhookWorkflow], data_converter=pydantic_data_converter)
    await replayer.replay_workflow(history)
