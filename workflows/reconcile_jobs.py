"""Rows and workflows brought in line. A Temporal Schedule starts it, so that it runs once however many processes there
are."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts import names
    from streamforge.contracts.pipeline import ReconcileInput, ReconcileResult
    from workflows.policies import POLICIES

LEAST_URGENT = 5


@workflow.defn(name=names.RECONCILE_JOBS)
class ReconcileJobsWorkflow:
    """End jobs whose workflow is closed or gone, and workflows whose job is over."""

    @workflow.run
    async def run(self, wanted: ReconcileInput) -> ReconcileResult:
        options = POLICIES[names.RECONCILE].options(LEAST_URGENT)
        result: ReconcileResult = await workflow.execute_activity(
            names.RECONCILE, wanted, result_type=ReconcileResult, summary="Compare jobs with workflows", **options
        )
        return result
