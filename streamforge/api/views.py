"""From rows to what the world sees."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import UUID

from streamforge.contracts.job import JobStatus, JobView
from streamforge.db.jobs import JobOverview
from streamforge.errors import InvalidField
from streamforge.planning.eta import remaining_seconds


def job_view(job: JobOverview, now: datetime | None = None) -> JobView:
    eta = remaining_seconds(job.status, job.stage, job.progress, job.started_at, now or datetime.now(UTC))
    fields = job.model_dump(include=set(JobView.model_fields) - {"renditions"})
    if job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        fields["playback"] = None  # What could be played while the job ran is gone.
    return JobView(**fields, renditions=job.renditions or [], eta_seconds=eta)


def page_cursor(page: Sequence[JobOverview]) -> str:
    """Opaque to clients: where the next page begins."""
    last = page[-1]
    return base64.urlsafe_b64encode(json.dumps([last.created_at.isoformat(), str(last.id)]).encode()).decode()


def parse_page_cursor(text: str) -> tuple[datetime, UUID]:
    try:
        created_at, job_id = json.loads(base64.b64decode(text, altchars=b"-_", validate=True))
        moment = datetime.fromisoformat(created_at)
        return moment.astimezone(UTC), UUID(job_id)
    except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise InvalidField("`cursor` is not one that this server gave out; start without it.") from error
