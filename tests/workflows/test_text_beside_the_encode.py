"""Captions and subtitles are made beside the encode; without them a job is a little poorer, and no failure."""

import asyncio
from typing import Any

import pytest
from fakes import PLAN, SOURCE, Fakes, start, working
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError

from streamforge.contracts import steps
from streamforge.contracts.job import JobStatus
from streamforge.contracts.media.source import SubtitleSource
from streamforge.contracts.steps import Step
from streamforge.errors import CaptionsUnavailable, MediaChildCrashed, NotAVideo
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.temporal.failures import to_application_error

SUBTITLED = SOURCE.model_copy(update={"subtitles": [SubtitleSource(index=2, codec="srt")]})
WITH_TEXT = make_plan(SUBTITLED, Settings.model_validate({"captions": {"enabled": True}}))
CHUNKS = [chunk for chunk in PLAN.chunks if chunk.index == 0]


async def hang(_: object) -> None:
    while True:
        activity.heartbeat()
        await asyncio.sleep(0.05)


def fakes_with_text() -> Fakes:
    return Fakes(source=SUBTITLED, plan=WITH_TEXT.model_copy(update={"chunks": CHUNKS}))


async def test_text_is_made_while_the_picture_is_encoded_and_packaged_with_it(temporal: Client) -> None:
    fakes = fakes_with_text()
    encoding, listening = asyncio.Event(), asyncio.Event()

    async def until_the_other_one_runs(_: object) -> None:
        encoding.set()
        await listening.wait()

    async def until_the_encode_runs(_: object) -> None:
        listening.set()
        await encoding.wait()

    fakes.on(steps.ENCODE_CHUNK, until_the_other_one_runs)
    fakes.on(steps.TRANSCRIBE, until_the_encode_runs)
    async with working(temporal, fakes):
        result = await (await start(temporal)).result()
    (package,) = [work for name, work in fakes.calls if name == steps.PACKAGE.name]
    assert [track.name for track in package.encoded.text] == ["subtitles-0", "captions"]
    assert result.warnings == ["It was noisy."]


async def test_listening_has_a_queue_of_its_own(temporal: Client) -> None:
    fakes = fakes_with_text()
    async with working(temporal, fakes):
        handle = await start(temporal)
        await handle.result()
    asked = [event.activity_task_scheduled_event_attributes for event in (await handle.fetch_history()).events]
    queues = {one.activity_type.name: one.task_queue.name for one in asked}
    assert queues[steps.TRANSCRIBE.name] == "video-processing-captions"
    assert queues[steps.KEEP_SUBTITLES.name] == "video-processing"


@pytest.mark.parametrize(
    ("step", "error", "warning"),
    [
        (steps.TRANSCRIBE, CaptionsUnavailable("No model."), "There are no captions: No model."),
        (steps.KEEP_SUBTITLES, MediaChildCrashed("It died."), "There are no subtitles: It died."),
    ],
)
async def test_a_failure_is_a_warning(
    temporal: Client, step: Step[Any, Any], error: CaptionsUnavailable, warning: str
) -> None:
    fakes = fakes_with_text()

    def fail(_: object) -> None:
        raise to_application_error(error, attempt=3)

    fakes.on(step, fail)
    async with working(temporal, fakes):
        result = await (await start(temporal)).result()
    assert warning in result.warnings
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.COMPLETED]
    (package,) = [work for called, work in fakes.calls if called == steps.PACKAGE.name]
    assert len(package.encoded.text) == 1


async def test_a_cancel_ends_the_listening_too(temporal: Client) -> None:
    fakes = fakes_with_text()
    listening = asyncio.Event()

    async def listen(_: object) -> None:
        listening.set()
        await hang(_)

    fakes.on(steps.TRANSCRIBE, listen)
    async with working(temporal, fakes):
        handle = await start(temporal)
        await listening.wait()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError):
            await handle.result()
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.CANCELLED]


async def test_a_job_that_fails_does_not_wait_for_its_captions(temporal: Client) -> None:
    fakes = fakes_with_text()
    listening = asyncio.Event()

    async def listen(_: object) -> None:
        listening.set()
        await hang(_)

    async def fail(_: object) -> None:
        await listening.wait()
        raise to_application_error(NotAVideo("This is a letter."))

    fakes.on(steps.TRANSCRIBE, listen)
    fakes.on(steps.ENCODE_CHUNK, fail)
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.FAILED]
