"""The retention sweep. A Temporal Schedule starts it, so that it runs once however many processes there are."""

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts import names
    from streamforge.contracts.pipeline import SweepInput, SweepResult
    from workflows.policies import POLICIES

LEAST_URGENT = 5


@workflow.defn(name=names.SWEEP_RETENTION)
class SweepRetentionWorkflow:
    """Remove what is older than `retention.days`: rows, originals, outputs, and folders that no job owns."""

    @workflow.run
    async def run(self, sweep: SweepInput) -> SweepResult:
        options = POLICIES[names.SWEEP].options(LEAST_URGENT)
        result: SweepResult = await workflow.execute_activity(
            names.SWEEP, sweep, result_type=SweepResult, summary="Remove what is past its time", **options
        )
        return result
