"""From rows to what the world sees."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from streamforge.contracts.job import JobStatus, JobView, RenditionView
from streamforge.db.jobs import JobOverview
from streamforge.errors import InvalidField
from streamforge.planning.eta import Eta, EtaModel
from streamforge.planning.stages import transcoded_percent

STALLED_AFTER = timedelta(seconds=15)
"""Without a frame, of a job that a worker has begun. Workers tell of progress several times a second."""


def job_view(job: JobOverview, model: EtaModel, now: datetime | None = None) -> JobView:
    now = now or datetime.now(UTC)
    eta = _eta(job, model, now)
    fields = job.model_dump(include=set(JobView.model_fields) - {"renditions"})
    if job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        fields["playback"] = None  # What could be played while the job ran is gone.
    return JobView(
        **fields,
        renditions=_renditions(job),
        eta_seconds=eta.seconds if eta else None,
        eta_interval=(eta.low, eta.high) if eta else None,
        stalled_since=_stalled_since(job, now),
    )


def _eta(job: JobOverview, model: EtaModel, now: datetime) -> Eta | None:
    began_at = job.work_began_at or job.started_at
    if job.status is not JobStatus.PROCESSING or began_at is None:
        return None
    return model.estimate(job.stage, job.progress, began_at, now)


def _stalled_since(job: JobOverview, now: datetime) -> datetime | None:
    """One that waits for its first worker is not stalled; it has a place in the queue."""
    working = job.status is JobStatus.PROCESSING and job.work_began_at is not None
    return job.moved_at if working and now - job.moved_at > STALLED_AFTER else None


def _renditions(job: JobOverview) -> list[RenditionView]:
    """What is known is measured at the end; until then each is as far as the encoding."""
    done = transcoded_percent(job.stage, job.progress)
    return [r.model_copy(update={"progress": max(r.progress, done)}) for r in job.renditions or []]


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
