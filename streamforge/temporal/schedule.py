"""What is done again and again, as Temporal Schedules: once per interval, however many workers there are."""

from datetime import timedelta

from pydantic import BaseModel
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
from streamforge.contracts.pipeline import ReconcileInput, SweepInput
from streamforge.settings import RetentionSettings

RECONCILE_EVERY = timedelta(minutes=5)


async def ensure_schedules(client: Client, retention: RetentionSettings) -> None:
    """Create the Schedules, or bring them in line with the settings."""
    sweep_every = timedelta(hours=retention.sweep_every_hours)
    sweep = _schedule(names.RETENTION_SCHEDULE_ID, names.SWEEP_RETENTION, SweepInput(), sweep_every)
    await _ensure(client, names.RETENTION_SCHEDULE_ID, sweep)
    reconcile = _schedule(names.RECONCILE_SCHEDULE_ID, names.RECONCILE_JOBS, ReconcileInput(), RECONCILE_EVERY)
    await _ensure(client, names.RECONCILE_SCHEDULE_ID, reconcile)


async def _ensure(client: Client, schedule_id: str, wanted: Schedule) -> None:
    def updated(current: ScheduleUpdateInput) -> ScheduleUpdate:
        # What an operator changed by hand in the UI (paused, a note) stays.
        return ScheduleUpdate(
            Schedule(
                action=wanted.action, spec=wanted.spec, policy=wanted.policy, state=current.description.schedule.state
            )
        )

    try:
        await client.create_schedule(schedule_id, wanted)
    except ScheduleAlreadyRunningError:
        await client.get_schedule_handle(schedule_id).update(updated)


def _schedule(schedule_id: str, workflow: str, work: BaseModel, every: timedelta) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(workflow, work, id=schedule_id, task_queue=names.TASK_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=every)]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP),
    )
