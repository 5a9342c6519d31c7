"""Names that operators see in the Temporal web UI and that running histories depend on. Never rename; only add.

Those of activities stand in their rows, in `steps`.
"""

from typing import Final

TASK_QUEUE: Final = "video-processing"
"""Workflows and light activities."""

MEDIA_TASK_QUEUE: Final = "video-processing-media"
"""Activities that saturate cores. Its own queue, so that bookkeeping never waits behind an encode."""

CAPTIONS_TASK_QUEUE: Final = "video-processing-captions"
"""Listening to sound: slow, never urgent, and it must not take an encoder's place."""

WEBHOOKS_TASK_QUEUE: Final = "video-processing-webhooks"
"""Requests to endpoints of callers: one that hangs takes no place from anything else."""

FETCH_TASK_QUEUE: Final = "video-processing-fetch"
"""Videos that are fetched from elsewhere: each takes as long as its source likes, and must hold up nothing but others."""

TASK_QUEUES: Final = (TASK_QUEUE, MEDIA_TASK_QUEUE, CAPTIONS_TASK_QUEUE, WEBHOOKS_TASK_QUEUE, FETCH_TASK_QUEUE)

PROCESS_VIDEO: Final = "ProcessVideo"
CONTROL_SIGNAL: Final = "control"
"""Tells ProcessVideo a JobControl."""
PLAN_VIDEO: Final = "PlanVideo"
IDENTIFY_VIDEO: Final = "IdentifyVideo"
DELIVER_WEBHOOK: Final = "DeliverWebhook"
TRY_NOW_SIGNAL: Final = "try_now"
"""Tells DeliverWebhook not to wait any longer."""
SWEEP_RETENTION: Final = "SweepRetention"
RETENTION_SCHEDULE_ID: Final = "streamforge-retention"
RECONCILE_JOBS: Final = "ReconcileJobs"
RECONCILE_SCHEDULE_ID: Final = "streamforge-reconcile"

SEARCH_JOB_ID: Final = "StreamForgeJobId"
SEARCH_STAGE: Final = "StreamForgeStage"
SEARCH_KEY: Final = "StreamForgeKey"
SEARCH_ATTRIBUTES: Final = (SEARCH_JOB_ID, SEARCH_STAGE, SEARCH_KEY)
"""All of Temporal's type Keyword."""
