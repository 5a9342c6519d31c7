"""How every step is run. What each may take stands in its row (`streamforge.contracts.steps`); what is worth retrying is said
by the errors themselves.

Attempts are not counted for failures of the surroundings (storage, database, network): the job waits for them, however
long they take. What can never succeed arrives as a non-retryable failure; see streamforge.temporal.failures.
"""

from datetime import timedelta
from typing import Any, TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

from streamforge.contracts.steps import Step

HEARTBEAT_TIMEOUT = timedelta(seconds=10)
"""A worker that was killed is noticed after this long, and its chunk goes to another one."""

RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)

MOST_URGENT, LEAST_URGENT = 1, 5
"""As Temporal counts."""


class ActivityOptions(TypedDict):
    """Keyword arguments of workflow.execute_activity."""

    task_queue: str
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    priority: Priority


def options_of(step: Step[Any, Any], priority: int, share: str | None = None) -> ActivityOptions:
    """`priority` from MOST_URGENT to LEAST_URGENT; `share` where it is another than the workflow's."""
    return ActivityOptions(
        task_queue=step.queue,
        start_to_close_timeout=step.limit,
        heartbeat_timeout=HEARTBEAT_TIMEOUT if step.beats else None,
        retry_policy=RETRIES,
        # Encoders must be dead before what they wrote is removed.
        cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
        priority=Priority(priority_key=priority, fairness_key=share),
    )
