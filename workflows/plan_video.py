"""A dry run: what would be done with these bytes. Nothing is kept, so nothing is to be cleaned up."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts import names
    from streamforge.contracts.pipeline import PlanVideo
    from streamforge.contracts.printable_plan import PrintablePlan
    from workflows.policies import POLICIES

MOST_URGENT = 1
"""Somebody waits for the answer."""


@workflow.defn(name=names.PLAN_VIDEO)
class PlanVideoWorkflow:
    """probe and plan, as ProcessVideo does; the API that started it removes the bytes."""

    @workflow.run
    async def run(self, video: PlanVideo) -> PrintablePlan:
        options = POLICIES[names.PLAN].options(MOST_URGENT)
        result: PrintablePlan = await workflow.execute_activity(
            names.PLAN, video, result_type=PrintablePlan, summary="Find out what it is and plan it", **options
        )
        return result
