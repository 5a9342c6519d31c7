"""The retention sweep as a Temporal Schedule: once per interval, however many workers there are."""

from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)

from streamforge.contracts import names
from streamforge.contracts.pipeline import SweepInput
from streamforge.settings import RetentionSettings


async def ensure_retention_schedule(client: Client, settings: RetentionSettings) -> None:
    """Create the Schedule, or bring it in line with the settings."""
    wanted = _schedule(settings)
    try:
        await client.create_schedule(names.RETENTION_SCHEDULE_ID, wanted)
    except ScheduleAlreadyRunningError:
        handle = client.get_schedule_handle(names.RETENTION_SCHEDULE_ID)

        def updated(current: ScheduleUpdateInput) -> ScheduleUpdate:
            # What an operator changed by hand in the UI (paused, a note) stays.
            return ScheduleUpdate(
                Schedule(
                    action=wanted.action,
                    spec=wanted.spec,
                    policy=wanted.policy,
                    state=current.description.schedule.state,
                )
            )

        await handle.update(updated)


def _schedule(settings: RetentionSettings) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            names.SWEEP_RETENTION,
            SweepInput(),
            id=names.RETENTION_SCHEDULE_ID,
            task_queue=names.TASK_QUEUE,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=settings.sweep_every_hours))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
