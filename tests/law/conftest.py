"""A worker's media children for all that is tried here: starting them takes longer than most of it."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from job import SMALL_AND_CUT, Made, processed

from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

MOST_CPU_SECONDS = 30
"""That a part of a job of a few seconds of film may need: it says the same on a machine that is busy with other things."""

LONGEST_SECONDS = 110
"""That it may take where it hangs. The suite ends a test after 120."""


@dataclass
class Worker:
    runner: asyncio.Runner
    children: MediaChildren

    def process(self, path: Path, folder: Path, wanted: Settings = SMALL_AND_CUT) -> Made:
        """Raises what the job fails with, SourceTooExpensive among that, and TimeoutError after LONGEST_SECONDS."""
        return self.runner.run(asyncio.wait_for(processed(self.children, path, folder, wanted), LONGEST_SECONDS))


@pytest.fixture(scope="module")
def worker() -> Iterator[Worker]:
    with asyncio.Runner() as runner:
        children = MediaChildren(memory_bytes=2**30, stall_seconds=LONGEST_SECONDS, cpu_seconds=MOST_CPU_SECONDS)
        runner.run(children.__aenter__())
        yield Worker(runner, children)
        runner.run(children.__aexit__())
