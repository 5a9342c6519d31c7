"""Steps are described once: what runs, performs or pretends them cannot say otherwise."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from type_checks import assert_that_marked_lines_are_wrong

from activities.registration import activities_by_queue, activity_classes, performs
from streamforge.contracts import names, steps
from streamforge.contracts.pipeline import DiscardInput, PackagedStream, PackageInput, StoredSource, UploadInput

WIRE_NAMES = {
    "upload", "probe", "plan", "search_per_title", "transcode_chunk", "transcode_audio", "keep_subtitles", "captions",
    "validate", "pictures", "publish_playable", "package", "make_downloads", "store", "record_outcome", "discard", "sweep",
    "reconcile", "identify", "deliver_webhook", "fetch_source",
}  # fmt: skip
"""What histories of jobs that are running name."""

WORKFLOW = """
from streamforge.contracts import steps
from streamforge.contracts.media.encoded import Text
from streamforge.contracts.pipeline import DiscardInput, PackagedStream, PackageInput
from workflows.running import StepRunner

async def right(runner: StepRunner, work: PackageInput, done: DiscardInput) -> PackagedStream | None:
    await runner.run(steps.DISCARD, done, "…")
    packaged: PackagedStream = await runner.run(steps.PACKAGE, work, "…")
    return packaged or await runner.optional(steps.PACKAGE, work, "…", otherwise="…")

async def another_input(runner: StepRunner, work: DiscardInput) -> None:
    await runner.run(steps.PACKAGE, work, "…")  # wrong

async def another_result(runner: StepRunner, work: PackageInput) -> Text:
    return await runner.run(steps.PACKAGE, work, "…")  # wrong

async def nothing_may_come(runner: StepRunner, work: PackageInput) -> PackagedStream:
    return await runner.optional(steps.PACKAGE, work, "…", otherwise="…")  # wrong
"""


def test_a_wrong_pair_does_not_pass_the_type_checker(tmp_path: Path) -> None:
    assert_that_marked_lines_are_wrong(WORKFLOW, tmp_path)


def test_names_on_the_wire_stay() -> None:
    assert {step.name for step in steps.ALL} >= WIRE_NAMES
    assert len({step.name for step in steps.ALL}) == len(steps.ALL)


def test_every_step_is_performed_by_one_activity_of_its_queue() -> None:
    queues = activities_by_queue(activity_classes())
    assert set(queues) == set(names.TASK_QUEUES)
    assert [method.__name__ for method in queues[names.CAPTIONS_TASK_QUEUE]] == ["captions"]


@dataclass
class Uploading:
    @performs(steps.UPLOAD)
    async def upload(self, work: UploadInput) -> StoredSource:
        return work.original


class Packing:
    @performs(steps.PACKAGE)
    async def package(self, work: PackageInput) -> PackagedStream:
        return PackagedStream(manifests={})


@pytest.mark.parametrize(
    "performers",
    [
        pytest.param([], id="missing"),
        pytest.param([Uploading(), Packing()], id="not wanted"),
        pytest.param([Uploading(), Uploading()], id="twice"),
    ],
)
def test_a_worker_with_other_activities_than_steps_does_not_start(performers: list[Any]) -> None:
    with pytest.raises(LookupError, match="there should be for upload"):
        activities_by_queue(performers, [steps.UPLOAD])
    assert activities_by_queue([Uploading()], [steps.UPLOAD])


def test_an_activity_of_other_models_than_its_row_is_refused() -> None:
    async def upload(self: object, work: DiscardInput) -> StoredSource:
        raise NotImplementedError

    async def discard(self: object, work: DiscardInput) -> StoredSource:
        raise NotImplementedError

    with pytest.raises(TypeError, match="is not UploadInput → StoredSource"):
        performs(steps.UPLOAD)(upload)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="is not DiscardInput → NoneType"):
        performs(steps.DISCARD)(discard)  # type: ignore[arg-type]
