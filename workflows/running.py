"""How a workflow runs steps: by their rows, to an end that is known, whatever meets them. Nothing here knows a job."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts.shares import share_of_first_parts
    from streamforge.contracts.steps import In, Out, Step
    from streamforge.errors import JobPaused
    from streamforge.temporal.failures import failure_of
    from workflows.policies import options_of

R = TypeVar("R")

CANCELS_ARE_KEPT = "cancels-are-kept"
"""Jobs that were under way when this came replay what they did before: a cancel that met an activity just completing was
lost. Can go when no job is left that began before 2026-12."""

PAUSE_LOOK_SECONDS = 1.0

DISTURBED = (Exception, asyncio.CancelledError)
"""All that ends work from within; a workflow that is merely taken down, by GeneratorExit, can await nothing more."""


class StepRunner:
    """Runs the steps of one workflow, all with the same `priority`. `cancelled` says whether it was asked to cancel, and
    `warnings` what it went on without. While it is `paused` no step of a stage is begun."""

    def __init__(self, priority: int) -> None:
        self.priority = priority
        self.paused = False
        self.cancelled = False
        self.warnings: list[str] = []

    async def run(self, step: Step[In, Out], work: In, summary: str, *, urgent: bool = False) -> Out:
        """The step's result; ActivityError when it cannot succeed. `urgent` does not wait behind
        other work of the same owner. `summary` is for the Temporal web UI."""
        while True:
            # Asked first: to wait for what is there already would change the order of what recorded histories began.
            if self.paused and step.stage is not None:
                await workflow.wait_condition(lambda: not self.paused)
            try:
                return await self._once(step, work, summary, urgent=urgent)
            except ActivityError as error:
                if failure_of(error).code != JobPaused.code:
                    raise
                # Its row says so; what is told of it is on its way, or is overtaken already.
                await workflow.sleep(PAUSE_LOOK_SECONDS)

    async def _once(self, step: Step[In, Out], work: In, summary: str, *, urgent: bool) -> Out:
        # Not with a higher priority: the first parts of a thousand jobs would go before all that others wait for.
        share = share_of_first_parts(workflow.info().priority.fairness_key) if urgent else None
        options = options_of(step, self.priority, share)
        try:
            answer: Out = await workflow.execute_activity(
                step.name, work, result_type=step.gives, summary=summary, **options
            )
        except ActivityError as error:
            if _cancel_was_lost():
                raise asyncio.CancelledError from error
            raise
        if _cancel_was_lost():
            raise asyncio.CancelledError
        return answer

    async def optional(self, step: Step[In, Out], work: In, summary: str, *, otherwise: str) -> Out | None:
        """For what the workflow can do without: a failure is a warning that begins with `otherwise`, and None."""
        try:
            return await self.run(step, work, summary)
        except ActivityError as error:
            if is_cancelled_exception(error):
                raise
            self.warnings.append(f"{otherwise}: {failure_of(error).message}")
            return None

    async def to_its_end(self, work: Coroutine[Any, Any, R], *, hands_on_cancel: bool) -> R:
        """The result of `work`, waited for whatever comes. Temporal asks a workflow to cancel once, and the request is gone
        with the await that it hits; here it is kept, and handed on to `work` where that may be cancelled."""
        task = asyncio.ensure_future(work)
        while not task.done():
            try:
                await workflow.wait_condition(task.done)
            except asyncio.CancelledError:
                self.cancelled = True
                if hands_on_cancel:
                    task.cancel()
        return task.result()


async def run_alone(step: Step[In, Out], work: In, summary: str, priority: int) -> Out:
    """For a workflow that is one step."""
    return await StepRunner(priority).run(step, work, summary)


@asynccontextmanager
async def alongside(work: Coroutine[Any, Any, R]) -> AsyncIterator["asyncio.Future[R]"]:
    """Work that goes on while the block runs. When the block fails, or the workflow is cancelled, it is cancelled and
    waited for."""
    task = asyncio.ensure_future(work)
    try:
        yield task
    except DISTURBED:
        await stop(task)
        raise


async def all_or_none(work: list[Coroutine[Any, Any, R]]) -> list[R]:
    """Results of all, in order. When one fails, or the workflow is cancelled, the others are cancelled and waited for:
    nothing may still be writing when its output is removed."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except DISTURBED:
        await stop(*tasks)
        raise


async def stop(*tasks: "asyncio.Future[Any]") -> None:
    """Cancel them and wait for all. A cancel that comes meanwhile is raised when they are over, and not before: what still
    runs still writes. (When the SDK evicts a workflow it cancels all tasks, too, but lets no wait_condition begin.)"""
    for task in tasks:
        task.cancel()
    cancelled = False
    while not all(task.done() for task in tasks):
        try:
            await workflow.wait_condition(lambda: all(task.done() for task in tasks))
        except asyncio.CancelledError:
            cancelled = True
            for task in tasks:
                task.cancel()
    if cancelled:
        raise asyncio.CancelledError


def _cancel_was_lost() -> bool:
    """An activity that ends, well or badly, while it is asked to cancel takes along the cancel of the task that waits for
    it; the task still counts it."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0 and workflow.patched(CANCELS_ARE_KEPT)
