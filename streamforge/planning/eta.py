"""When will it be ready: how long a job still takes."""

from datetime import datetime

from streamforge.contracts.job import JobStatus, Stage

WORK_BEGINS_AT = 10
"""Progress when the bytes are stored and a worker begins; what lies before is the upload's own time."""
LEAST_SHARE = 0.02
"""Of the work, before which an extrapolation says more about start-up than about the video."""


def remaining_seconds(
    status: JobStatus, stage: Stage, progress: int, started_at: datetime | None, now: datetime
) -> float | None:
    """Seconds until the job is completed, as a straight line through what it has done so far. None when there is
    nothing to go by: it has not begun, has only just begun, or is over.

    Stages do not run at the same speed, so this is right within a factor, not within a second; it gets better as the
    job goes on.
    """
    if status is not JobStatus.PROCESSING or started_at is None or stage is Stage.UPLOADING:
        return None
    share = (progress - WORK_BEGINS_AT) / (100 - WORK_BEGINS_AT)
    if share < LEAST_SHARE:
        return None
    elapsed = max(0.0, (now - started_at).total_seconds())
    return round(elapsed * (1 - share) / share, 1)
