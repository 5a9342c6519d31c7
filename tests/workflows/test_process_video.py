"""The order of things, and every way a job can end."""

import asyncio
import json
from typing import Any

import pytest
from fakes import PLAN, SOURCE, Fakes, start, working
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle
from temporalio.exceptions import ApplicationError, CancelledError

from streamforge.contracts import steps
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import DiscardInput, EncodeAudioInput, EncodeChunkInput, Outcome, PublishInput
from streamforge.contracts.steps import Step
from streamforge.errors import ChunksDoNotFit, MediaChildCrashed, NotAVideo, ServiceError, StorageUnavailable
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.temporal.failures import to_application_error

SCHEDULED = "activity_task_scheduled_event_attributes"


def failing(error: Exception, times: int = 1_000_000) -> object:
    left = [times]

    def hook(_: object) -> None:
        if left[0] > 0:
            left[0] -= 1
            raise error

    return hook


def discards(fakes: Fakes) -> list[tuple[bool, bool]]:
    return [(work.output, work.original) for _, work in fakes.calls if isinstance(work, DiscardInput)]


async def scheduled(handle: WorkflowHandle[Any, Any]) -> list[tuple[str, Any]]:
    """Activities in the order in which the workflow asked for them, with their inputs."""
    events = (await handle.fetch_history()).events
    asked = [e.activity_task_scheduled_event_attributes for e in events if e.HasField(SCHEDULED)]
    return [(one.activity_type.name, json.loads(one.input.payloads[0].data)) for one in asked]


async def test_a_video_that_is_elsewhere_is_fetched_first_and_all_work_is_on_what_came(temporal: Client) -> None:
    fakes = Fakes()
    async with working(temporal, fakes):
        await (await start(temporal, to_be_fetched=True)).result()
    assert fakes.called()[:3] == [steps.FETCH_SOURCE.name, steps.UPLOAD.name, steps.PROBE.name]
    assert {(work.original.size_bytes, work.original.sha256) for _, work in fakes.calls[1:3]} == {(2000, "f" * 64)}


async def test_stages_follow_each_other_and_what_viewers_need_first_is_asked_for_first(temporal: Client) -> None:
    fakes = Fakes()
    async with working(temporal, fakes):
        handle = await start(temporal)
        assert (await handle.result()).playback.hls == "/h"
    asked = [(name, work) for name, work in await scheduled(handle) if name != steps.PUBLISH.name]
    chunks, tracks = len(PLAN.chunks), len(PLAN.audio)
    assert [name for name, _ in asked] == [
        steps.UPLOAD.name,
        steps.PROBE.name,
        steps.ENCODE_CHUNK.name,
        *[steps.ENCODE_AUDIO.name] * tracks,
        *[steps.ENCODE_CHUNK.name] * chunks,
        steps.VALIDATE.name,
        steps.PICTURES.name,
        steps.PACKAGE.name,
        steps.STORE.name,
        steps.DISCARD.name,
        steps.RECORD_OUTCOME.name,
    ]
    parts = [
        (work["chunk"]["index"], [rendition["name"] for rendition in work["plan"]["renditions"]])
        for name, work in asked
        if name == steps.ENCODE_CHUNK.name
    ]
    assert parts == [(0, ["360p"]), (0, ["480p"]), *((n, ["480p", "360p"]) for n in range(1, chunks))]
    (outcome,) = fakes.outcomes
    assert (outcome.status, outcome.stage) == (JobStatus.COMPLETED, Stage.COMPLETED)
    assert discards(fakes) == [(False, False)]


async def test_viewers_are_shown_more_while_it_grows_and_all_of_it_before_validation(temporal: Client) -> None:
    fakes = Fakes()
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    called = fakes.called()
    publications = [position for position, name in enumerate(called) if name == steps.PUBLISH.name]
    assert publications
    assert publications[-1] < called.index(steps.VALIDATE.name)
    assert publications[-1] > max(n for n, name in enumerate(called) if name == steps.ENCODE_CHUNK.name)


async def test_the_parts_reach_packaging_in_the_order_of_the_plan(temporal: Client) -> None:
    """They finish in any order."""
    fakes = Fakes()
    first_may_end = asyncio.Event()

    async def last_one_frees_the_first(work: object) -> None:
        if len(work.plan.renditions) < 2:  # type: ignore[attr-defined]
            return
        index = work.chunk.index  # type: ignore[attr-defined]
        if index == len(PLAN.chunks) - 1:
            first_may_end.set()
        elif index == 1:
            await first_may_end.wait()

    fakes.on(steps.ENCODE_CHUNK, last_one_frees_the_first)
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    (package,) = [work for name, work in fakes.calls if name == steps.PACKAGE.name]
    assert [[part.receipt for part in chunk] for chunk in package.encoded.chunks] == [
        ["chunk-0"] * 2,
        *([f"chunk-{n}"] for n in range(1, len(PLAN.chunks))),
    ]
    assert [part.receipt for part in package.encoded.audio] == ["audio-0"]


async def test_the_quality_of_every_part_is_judged_in_the_order_of_the_film(temporal: Client) -> None:
    fakes = Fakes()
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    (validate,) = [work for name, work in fakes.calls if name == steps.VALIDATE.name]
    assert validate.qualities == ["q-0", *(f"q-{n}" for n in range(len(PLAN.chunks)))]


async def test_bad_input_fails_at_once_with_its_code_and_takes_the_original_along(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.PROBE, failing(to_application_error(NotAVideo("This is a letter."))))
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError) as caught:
            await (await start(temporal)).result()
    assert isinstance(caught.value.cause.__cause__, ApplicationError)
    assert fakes.called().count(steps.PROBE.name) == 1
    (outcome,) = fakes.outcomes
    assert outcome.status == JobStatus.FAILED
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.stage) == ("input.not_a_video", Stage.UPLOADING)
    assert outcome.message == "This is a letter."
    assert discards(fakes) == [(True, True)]


async def test_a_store_that_is_away_is_waited_for(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.PACKAGE, failing(to_application_error(StorageUnavailable("Away.")), times=2))
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    assert fakes.called().count(steps.PACKAGE.name) == 3
    assert fakes.outcomes[0].status == JobStatus.COMPLETED


async def test_where_encoders_of_two_versions_met_all_is_encoded_again(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.ENCODE_CHUNK, failing(to_application_error(ChunksDoNotFit("They do not fit.")), times=1))
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    assert fakes.outcomes[0].status == JobStatus.COMPLETED
    renditions = [*(video.name for video in PLAN.renditions), *(audio.name for audio in PLAN.audio)]
    [removed] = [work for _, work in fakes.calls if isinstance(work, DiscardInput) and work.renditions]
    assert (removed.renditions, removed.output, removed.original) == (renditions, False, False)
    behind = fakes.calls[fakes.calls.index((steps.DISCARD.name, removed)) :]
    encoded = [work for _, work in behind if isinstance(work, EncodeChunkInput | EncodeAudioInput | PublishInput)]
    assert {work.encoded_before for work in encoded} == {1}
    assert {work.chunk.index for work in encoded if isinstance(work, EncodeChunkInput)} == {
        c.index for c in PLAN.chunks
    }


async def test_versions_that_go_on_meeting_fail_the_job_in_the_end(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.ENCODE_CHUNK, failing(to_application_error(ChunksDoNotFit("They do not fit."))))
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    assert {work.encoded_before for _, work in fakes.calls if isinstance(work, EncodeChunkInput)} == {0, 1, 2}
    assert fakes.outcomes[0].error is not None
    assert fakes.outcomes[0].error.code == "media.chunks_do_not_fit"
    assert discards(fakes)[-1] == (True, False)


async def test_our_own_failure_keeps_the_original_for_another_try(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.ENCODE_CHUNK, failing(to_application_error(MediaChildCrashed("It died."), attempt=3)))
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    (outcome,) = fakes.outcomes
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.stage) == ("media.crashed", Stage.TRANSCODING)
    assert discards(fakes) == [(True, False)]


async def test_an_unknown_exception_says_no_more_than_that(temporal: Client) -> None:
    fakes = Fakes()
    defect = ApplicationError("KeyError: /secret/path", type="KeyError", non_retryable=True)
    fakes.on(steps.STORE, failing(defect))
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    (outcome,) = fakes.outcomes
    assert outcome.error is not None
    assert outcome.error.code == "internal"
    assert "secret" not in outcome.message


async def test_low_quality_fails_the_job_with_the_scores(temporal: Client) -> None:
    fakes = Fakes(score=42.0)
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    (outcome,) = fakes.outcomes
    assert outcome.error is not None
    assert (outcome.error.code, outcome.error.stage) == ("quality.below_minimum", Stage.VALIDATION)
    assert "480p has VMAF 42.0, its floor is 80" in outcome.message
    assert steps.PACKAGE.name not in fakes.called()


async def test_low_quality_can_be_a_warning(temporal: Client) -> None:
    lenient = PLAN.quality.model_copy(update={"failure_is_fatal": False})
    fakes = Fakes(score=42.0, plan=PLAN.model_copy(update={"quality": lenient}))
    async with working(temporal, fakes):
        result = await (await start(temporal)).result()
    assert any("480p has VMAF 42.0" in warning for warning in result.warnings)


async def test_pictures_of_every_chunk_are_put_together_and_verified_with_the_stream(temporal: Client) -> None:
    fakes = Fakes()
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    (work,) = [work for name, work in fakes.calls if name == steps.PICTURES.name]
    assert work.encoded.tile_sets == [f"p-{n}" for n in range(len(PLAN.chunks))], "one part of each chunk keeps them"
    (store,) = [work for name, work in fakes.calls if name == steps.STORE.name]
    assert store.extras == {"poster.jpg": 1}


async def test_a_film_without_its_pictures_is_still_a_film(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.PICTURES, failing(to_application_error(MediaChildCrashed("It died."), attempt=3)))
    async with working(temporal, fakes):
        result = await (await start(temporal)).result()
    assert result.warnings == ["There is no poster and there are no thumbnails: It died."]
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.COMPLETED]


async def test_without_pictures_none_are_drawn(temporal: Client) -> None:
    fakes = Fakes(plan=PLAN.model_copy(update={"pictures": None}))
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    assert steps.PICTURES.name not in fakes.called()


async def test_downloads_are_made_where_they_are_wanted_and_verified(temporal: Client) -> None:
    fakes = Fakes(plan=PLAN.model_copy(update={"downloads": True}))
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    called = fakes.called()
    assert called.index(steps.PACKAGE.name) < called.index(steps.DOWNLOADS.name) < called.index(steps.STORE.name)
    (store,) = [work for name, work in fakes.calls if name == steps.STORE.name]
    assert store.extras["downloads/480p.mp4"] == 2
    assert [download.rendition for download in store.downloads] == ["480p"]


async def test_a_film_that_cannot_be_downloaded_can_still_be_watched(temporal: Client) -> None:
    fakes = Fakes(plan=PLAN.model_copy(update={"downloads": True}))
    fakes.on(steps.DOWNLOADS, failing(to_application_error(MediaChildCrashed("It died."), attempt=3)))
    async with working(temporal, fakes):
        result = await (await start(temporal)).result()
    assert result.warnings == ["There are no files to download: It died."]


async def test_without_validation_nothing_is_scored(temporal: Client) -> None:
    off = PLAN.quality.model_copy(update={"enabled": False})
    fakes = Fakes(plan=PLAN.model_copy(update={"quality": off}))
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    assert steps.VALIDATE.name not in fakes.called()


PER_TITLE = make_plan(SOURCE, Settings.model_validate({"per_title": {"enabled": True}}))


async def test_without_per_title_nothing_is_searched(temporal: Client) -> None:
    fakes = Fakes()
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    assert steps.SEARCH.name not in fakes.called()


async def test_what_a_search_finds_is_encoded_judged_and_told(temporal: Client) -> None:
    fakes = Fakes(plan=PER_TITLE, score=60)
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    called = fakes.called()
    assert called.index(steps.PROBE.name) < called.index(steps.SEARCH.name) < called.index(steps.ENCODE_CHUNK.name)
    encoded = [work.plan.renditions for name, work in fakes.calls if name == steps.ENCODE_CHUNK.name]
    assert {(r.name, r.options["crf"]) for part in encoded for r in part} == {("480p", "30")}
    (store,) = [work for name, work in fakes.calls if name == steps.STORE.name]
    assert [rendition.name for rendition in store.plan.renditions] == ["480p"]
    assert store.per_title.sample_seconds == 4


async def test_a_search_that_fails_is_a_warning_and_the_fixed_ladder(temporal: Client) -> None:
    fakes = Fakes(plan=PER_TITLE)
    fakes.on(steps.SEARCH, failing(to_application_error(MediaChildCrashed("It died."), attempt=3)))
    async with working(temporal, fakes):
        result = await (await start(temporal)).result()
    assert result.warnings == ["Encoded with the fixed ladder: It died."]
    (store,) = [work for name, work in fakes.calls if name == steps.STORE.name]
    assert store.plan == PER_TITLE
    assert store.per_title is None


@pytest.mark.parametrize(
    "step",
    [steps.UPLOAD, steps.ENCODE_CHUNK, steps.VALIDATE, steps.PICTURES, steps.STORE],
    ids=lambda step: step.name,
)
async def test_a_cancel_in_any_stage_ends_cancelled_and_cleans_up(temporal: Client, step: Step[Any, Any]) -> None:
    fakes = Fakes()
    reached = asyncio.Event()

    async def hang(_: object) -> None:
        from temporalio import activity

        reached.set()
        while True:
            activity.heartbeat()
            await asyncio.sleep(0.05)

    fakes.on(step, hang)
    async with working(temporal, fakes):
        handle = await start(temporal)
        await reached.wait()
        await handle.cancel()
        with pytest.raises(WorkflowFailureError) as caught:
            await handle.result()
    assert isinstance(caught.value.cause, CancelledError)
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.CANCELLED]
    assert discards(fakes) == [(True, True)]


async def test_a_job_that_fails_while_viewers_are_shown_more_still_ends(temporal: Client) -> None:
    """Publishing came to its end although it was asked to stop; the task that publishes must not wait for more to come."""
    fakes = Fakes()
    publishing, failed = asyncio.Event(), asyncio.Event()

    async def slow(_: object) -> None:
        publishing.set()
        await failed.wait()

    async def fail_meanwhile(work: EncodeChunkInput) -> None:
        if work.chunk.index == len(PLAN.chunks) - 1:
            await publishing.wait()
            failed.set()
            raise to_application_error(NotAVideo("This is a letter."))

    fakes.on(steps.PUBLISH, slow)
    fakes.on(steps.ENCODE_CHUNK, fail_meanwhile)
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.FAILED]
    assert discards(fakes) == [(True, True)]


async def test_a_stream_is_no_failure_because_of_what_could_not_be_removed(temporal: Client) -> None:
    fakes = Fakes()
    fakes.on(steps.DISCARD, failing(to_application_error(MediaChildCrashed("It died."), attempt=3)))
    async with working(temporal, fakes):
        await (await start(temporal)).result()
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.COMPLETED]


async def test_a_result_that_cannot_be_recorded_is_a_failure_that_can(temporal: Client) -> None:
    fakes = Fakes()

    def refuse(outcome: Outcome) -> None:
        if outcome.status is JobStatus.COMPLETED:
            raise to_application_error(ServiceError("No."), attempt=5)

    fakes.on(steps.RECORD_OUTCOME, refuse)
    async with working(temporal, fakes):
        with pytest.raises(WorkflowFailureError):
            await (await start(temporal)).result()
    assert [outcome.status for outcome in fakes.outcomes] == [JobStatus.FAILED]
