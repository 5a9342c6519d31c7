"""A job that is paused begins nothing until it goes on, and what it was told holds from its next part on."""

import asyncio
from contextlib import suppress
from uuid import uuid4

from fakes import UNSANDBOXED, Fakes, activities_working, start, workflows_working
from temporalio import activity
from temporalio.client import Client, WorkflowFailureError

from streamforge.contracts import names, steps
from streamforge.contracts.job import JobStatus
from streamforge.contracts.job_control import JobControl
from streamforge.contracts.pipeline import EncodeChunkInput
from streamforge.errors import JobPaused
from streamforge.temporal.failures import to_application_error


class Pausing(Fakes):
    """Stops in the first chunk until it is let go; notes the priority of each."""

    def __init__(self, *, refuse: int = 0) -> None:
        super().__init__()
        self.job_id = uuid4()
        self.inside, self.go, self.refuse = asyncio.Event(), asyncio.Event(), refuse
        self.priorities: dict[int, int | None] = {}
        self.on(steps.ENCODE_CHUNK, self._hold)

    async def _hold(self, work: EncodeChunkInput) -> None:
        if work.job_id != self.job_id:  # Of a test before, on the same Temporal.
            return
        self.priorities[work.chunk.index] = activity.info().priority.priority_key
        if work.chunk.index == 0:
            self.inside.set()
            await self.go.wait()
        elif self.refuse > 0:
            self.refuse -= 1
            raise to_application_error(JobPaused("The job is paused."))

    @property
    def chunks(self) -> list[str]:
        mine = [work for name, work in self.calls if name == steps.ENCODE_CHUNK.name and work.job_id == self.job_id]
        return [",".join(rendition.name for rendition in work.plan.renditions) for work in mine]


async def until(condition: object) -> None:
    async with asyncio.timeout(30):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.02)


async def told(handle: object, number: int, *, paused: bool, priority: int = 3) -> None:
    await handle.signal(names.CONTROL_SIGNAL, JobControl(number=number, paused=paused, priority=priority))  # type: ignore[attr-defined]


async def test_no_part_is_begun_while_it_is_paused_and_all_are_when_it_goes_on(temporal: Client) -> None:
    fakes = Pausing()
    async with activities_working(temporal, fakes), workflows_working(temporal, UNSANDBOXED):
        handle = await start(temporal, job_id=fakes.job_id)
        await asyncio.wait_for(fakes.inside.wait(), 30)
        await told(handle, 2, paused=True, priority=1)
        await told(handle, 1, paused=False, priority=5)  # Came late: what has the higher number holds.
        fakes.go.set()
        # What was under way comes to its end. (A query would not tell: it needs the workflow to be looked at again.)
        await until(lambda: steps.ENCODE_AUDIO.name in fakes.called())
        async with asyncio.timeout(30):
            while (await handle.describe()).raw_description.pending_activities:
                await asyncio.sleep(0.02)
        assert len(fakes.chunks) == 1
        await told(handle, 3, paused=False, priority=1)
        await handle.result()
    assert len(fakes.chunks) == 5, "the first chunk is two parts"
    assert fakes.priorities == {0: 1, 1: 1, 2: 1, 3: 1}


async def test_a_part_that_was_queued_when_it_was_paused_is_begun_again(temporal: Client) -> None:
    """Workers refuse it by the row; the word to the workflow may be late, or overtaken."""
    fakes = Pausing(refuse=2)
    fakes.go.set()
    async with activities_working(temporal, fakes), workflows_working(temporal, UNSANDBOXED):
        await (await start(temporal, job_id=fakes.job_id)).result()
    assert len(fakes.chunks) == 5 + 2


async def test_a_paused_job_can_be_cancelled(temporal: Client) -> None:
    fakes = Pausing()
    async with activities_working(temporal, fakes), workflows_working(temporal, UNSANDBOXED):
        handle = await start(temporal, job_id=fakes.job_id)
        await asyncio.wait_for(fakes.inside.wait(), 30)
        await told(handle, 1, paused=True)
        fakes.go.set()
        await handle.cancel()
        with suppress(WorkflowFailureError):
            await handle.result()
    assert [each.status for each in fakes.outcomes if each.job_id == fakes.job_id] == [JobStatus.CANCELLED]
