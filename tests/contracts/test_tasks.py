"""Media tasks are described once: what a child performs and what a worker asks of it cannot say otherwise."""

from collections.abc import Callable
from pathlib import Path
from typing import get_type_hints

import pytest
from type_checks import assert_that_marked_lines_are_wrong

from streamforge.contracts import tasks
from streamforge.errors import ServiceError, StreamForgeError, UndecodableSource, by_code
from streamforge.media.process import registry

WORKER = """
from streamforge.contracts import tasks
from streamforge.contracts.media.source import Source
from streamforge.media.worker.children import MediaChildren

def told(listened: tasks.Listened) -> None: ...

async def right(children: MediaChildren, task: tasks.ProbeTask, speech: tasks.TranscribeTask) -> Source:
    await children.run(tasks.TRANSCRIBE, speech, told)
    return await children.run(tasks.PROBE, task)

async def another_input(children: MediaChildren, task: tasks.EncodeTask) -> None:
    await children.run(tasks.PROBE, task)  # wrong

async def another_result(children: MediaChildren, task: tasks.EncodeTask) -> Source:
    return await children.run(tasks.ENCODE, task)  # wrong

async def another_progress(children: MediaChildren, task: tasks.ProbeTask) -> Source:
    return await children.run(tasks.PROBE, task, told)  # wrong
"""


def test_a_wrong_pair_does_not_pass_the_type_checker(tmp_path: Path) -> None:
    assert_that_marked_lines_are_wrong(WORKER, tmp_path)


@pytest.mark.parametrize("task", tasks.ALL, ids=lambda task: task.name)
def test_every_task_is_performed_as_its_row_says(task: tasks.Task) -> None:
    row, work = registry.TASKS[task.name]
    taken, told, given = get_type_hints(work).values()
    assert row is task
    assert (taken, told, given) == (task.takes, Callable[[task.tells], None], task.gives)


def test_there_are_no_others() -> None:
    assert len(registry.TASKS) == len(tasks.ALL)


def subclasses(kind: type[StreamForgeError]) -> list[type[StreamForgeError]]:
    return [kind, *(each for sub in kind.__subclasses__() for each in subclasses(sub))]


def test_an_error_is_found_again_by_its_code() -> None:
    """As it crosses from a child to its worker, and from an activity to whoever waits for its workflow."""
    ours = [kind for kind in subclasses(StreamForgeError) if kind.__module__ == "streamforge.errors"]
    assert {by_code(kind.code) for kind in ours} == set(ours) - {StreamForgeError}
    assert by_code(UndecodableSource.code) is UndecodableSource


def test_the_error_of_a_newer_version_is_one_of_ours() -> None:
    assert by_code("media.not_invented_yet") is ServiceError
