"""The one table of every time-out, retry and heartbeat. What is worth retrying is said by the errors themselves.

Attempts are not counted for failures of the surroundings (storage, database, network): the job waits for them, however
long they take. What can never succeed arrives as a non-retryable failure; see streamforge.temporal.failures.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from temporalio.common import Priority, RetryPolicy
from temporalio.workflow import ActivityCancellationType

from streamforge.contracts import names

HEARTBEAT_TIMEOUT = timedelta(seconds=10)
"""A worker that was killed is noticed after this long, and its chunk goes to another one."""

PATIENT = RetryPolicy(
    initial_interval=timedelta(seconds=1), backoff_coefficient=2, maximum_interval=timedelta(seconds=30)
)


class ActivityOptions(TypedDict):
    """Keyword arguments of workflow.execute_activity."""

    task_queue: str
    start_to_close_timeout: timedelta
    heartbeat_timeout: timedelta | None
    retry_policy: RetryPolicy
    cancellation_type: ActivityCancellationType
    priority: Priority


@dataclass(frozen=True)
class Policy:
    """`limit` is for one attempt; `beats` says whether the activity sends heartbeats (and so can be cancelled)."""

    limit: timedelta
    beats: bool = True
    queue: str = names.TASK_QUEUE

    def options(self, priority: int) -> ActivityOptions:
        """`priority` 1–5, 1 first, as Temporal counts."""
        return ActivityOptions(
            task_queue=self.queue,
            start_to_close_timeout=self.limit,
            heartbeat_timeout=HEARTBEAT_TIMEOUT if self.beats else None,
            retry_policy=PATIENT,
            # Encoders must be dead before what they wrote is removed.
            cancellation_type=ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            priority=Priority(priority_key=priority),
        )


FETCH = timedelta(hours=24)
"""For the original of hours of video over a slow line, on top of what is done with it. Heartbeats tell a fetch that goes
on from a worker that is gone."""

POLICIES = {
    names.UPLOAD: Policy(timedelta(hours=6)),
    names.PROBE: Policy(timedelta(hours=1) + FETCH),
    names.PLAN: Policy(timedelta(minutes=5)),
    names.SEARCH: Policy(timedelta(hours=1) + FETCH, queue=names.MEDIA_TASK_QUEUE),
    names.ENCODE_CHUNK: Policy(timedelta(hours=6) + FETCH, queue=names.MEDIA_TASK_QUEUE),
    names.ENCODE_AUDIO: Policy(timedelta(hours=6) + FETCH, queue=names.MEDIA_TASK_QUEUE),
    names.KEEP_SUBTITLES: Policy(timedelta(hours=1) + FETCH),
    names.TRANSCRIBE: Policy(timedelta(hours=24) + FETCH, queue=names.CAPTIONS_TASK_QUEUE),
    names.VALIDATE: Policy(timedelta(hours=1)),
    names.PICTURES: Policy(timedelta(hours=1)),
    names.PUBLISH: Policy(timedelta(minutes=10)),
    names.PACKAGE: Policy(timedelta(hours=1)),
    names.DOWNLOADS: Policy(timedelta(hours=6), queue=names.MEDIA_TASK_QUEUE),
    names.STORE: Policy(timedelta(hours=6)),
    names.RECORD_OUTCOME: Policy(timedelta(minutes=1), beats=False),
    names.DISCARD: Policy(timedelta(minutes=10)),
    names.SWEEP: Policy(timedelta(hours=1)),
    names.RECONCILE: Policy(timedelta(hours=1)),
}
