"""One delivery to one endpoint, until it is taken or given up."""

from datetime import timedelta

from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts import names, steps
    from streamforge.contracts.webhooks import DeliverWebhook
    from workflows.policies import MOST_URGENT
    from workflows.running import StepRunner


@workflow.defn(name=names.DELIVER_WEBHOOK)
class DeliverWebhookWorkflow:
    """Tries, and waits as long as the step says. Timers of days survive what runs here. Whatever it has come to stands in the
    delivery's row, so a workflow that is lost, or begun twice, loses nothing."""

    def __init__(self) -> None:
        self._asked = False

    @workflow.signal(name=names.TRY_NOW_SIGNAL)
    def try_now(self) -> None:
        self._asked = True

    @workflow.run
    async def run(self, delivery: DeliverWebhook) -> None:
        runner = StepRunner(MOST_URGENT)
        while True:
            self._asked = False
            tried = await runner.run(steps.DELIVER_WEBHOOK, delivery, "Tell the endpoint")
            if tried.seconds is None and not self._asked:
                return
            await self._wait(tried.seconds or 0.0)

    async def _wait(self, seconds: float) -> None:
        try:
            await workflow.wait_condition(lambda: self._asked, timeout=timedelta(seconds=seconds))
        except TimeoutError:
            return
