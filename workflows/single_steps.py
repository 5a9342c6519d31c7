"""Workflows that are one step: Temporal gives it its retries, and a Schedule or an API something to start."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts import names, steps
    from streamforge.contracts.pipeline import (
        IdentifyVideo,
        PlanVideo,
        ReconcileInput,
        ReconcileResult,
        SweepInput,
        SweepResult,
    )
    from streamforge.contracts.printable_plan import PrintablePlan
    from workflows.policies import LEAST_URGENT, MOST_URGENT
    from workflows.running import run_alone


@workflow.defn(name=names.PLAN_VIDEO)
class PlanVideoWorkflow:
    """A dry run: probe and plan, as ProcessVideo does. Nothing is kept; the API that started it waits for the answer, and
    removes the bytes."""

    @workflow.run
    async def run(self, video: PlanVideo) -> PrintablePlan:
        return await run_alone(steps.PLAN, video, "Find out what it is and plan it", MOST_URGENT)


@workflow.defn(name=names.IDENTIFY_VIDEO)
class IdentifyVideoWorkflow:
    """Whether the first bytes of an upload can be a video's. The API that started it goes on meanwhile."""

    @workflow.run
    async def run(self, video: IdentifyVideo) -> None:
        await run_alone(steps.IDENTIFY, video, "Look whether it can be a video", MOST_URGENT)


@workflow.defn(name=names.SWEEP_RETENTION)
class SweepRetentionWorkflow:
    """Remove what is older than `retention.days`: rows, originals, outputs, and folders that no job owns. A Temporal
    Schedule starts it, so that it runs once however many processes there are."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> SweepResult:
        return await run_alone(steps.SWEEP, sweep, "Remove what is past its time", LEAST_URGENT)


@workflow.defn(name=names.RECONCILE_JOBS)
class ReconcileJobsWorkflow:
    """End jobs whose workflow is closed or gone, and workflows whose job is over. Started by a Schedule, too."""

    @workflow.run
    async def run(self, wanted: ReconcileInput) -> ReconcileResult:
        return await run_alone(steps.RECONCILE, wanted, "Compare jobs with workflows", LEAST_URGENT)
