"""From rows to what the world sees."""

import base64
import binascii
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from pydantic import ValidationError

from streamforge.contracts.job import JobKind, JobStatus, RenditionView, Stage
from streamforge.contracts.job_view import JobView
from streamforge.contracts.pipeline import ProcessVideoResult
from streamforge.contracts.stored import read_as_far_as_possible
from streamforge.db.jobs import JobOverview
from streamforge.errors import InvalidField
from streamforge.progress.eta import Eta, EtaModel

STALLED_AFTER = timedelta(seconds=15)
"""Without a frame, of a job that a worker has begun. Workers tell of progress several times a second."""

AT_THE_TOP = {"external_id", "metadata", "priority", "profile"}
"""Options that a job shows beside `options`, too."""


def job_view(job: JobOverview, model: EtaModel, now: datetime | None = None) -> JobView:
    now = now or datetime.now(UTC)
    eta = _eta(job, model, now)
    fields = job.model_dump(include=set(JobView.model_fields) - {"renditions", "options", "result", "unreadable"})
    result, left_out = _result(job.result)
    fields |= job.options.model_dump(include=AT_THE_TOP)
    if job.status in {JobStatus.FAILED, JobStatus.CANCELLED}:
        fields["playback"] = None  # What could be played while the job ran is gone.
    return JobView(
        **fields,
        options=job.options.shown(),
        renditions=_renditions(job),
        result=result,
        unreadable=[*job.unreadable, *left_out],
        eta_seconds=eta.seconds if eta else None,
        eta_interval=(eta.low, eta.high) if eta else None,
        stalled_since=_stalled_since(job, now),
    )


def _result(stored: dict[str, Any] | None) -> tuple[ProcessVideoResult | None, list[str]]:
    """What another version stored, as far as it fits, and where it does not."""
    if stored is None:
        return None, []
    try:
        result, left_out = read_as_far_as_possible(ProcessVideoResult, stored)
    except ValidationError:
        return None, ["result"]
    return result, [f"result.{path}" for path in left_out]


def _eta(job: JobOverview, model: EtaModel, now: datetime) -> Eta | None:
    began_at = job.work_began_at or job.started_at
    if job.status is not JobStatus.PROCESSING or began_at is None or job.paused_at is not None:
        return None
    if job.kind is JobKind.EXTERNAL:
        return None  # How long others take, ours cannot tell.
    if job.source_url is not None and job.stage is Stage.UPLOADING:
        return None  # It is being fetched: how long that takes, jobs before it do not tell.
    return model.estimate(job.stage, job.progress, began_at, now)


def _stalled_since(job: JobOverview, now: datetime) -> datetime | None:
    """One that waits for its first worker is not stalled; it has a place in the queue."""
    working = job.status is JobStatus.PROCESSING and job.work_began_at is not None and job.paused_at is None
    return job.moved_at if working and now - job.moved_at > STALLED_AFTER else None


def _renditions(job: JobOverview) -> list[RenditionView]:
    return [_as_far_as_it_is(rendition, job) for rendition in job.renditions or []]


def _as_far_as_it_is(rendition: RenditionView, job: JobOverview) -> RenditionView:
    """While it is encoded, by the frames that are done; from the next stage on it is whole."""
    if job.stage not in {Stage.UPLOADING, Stage.TRANSCODING}:
        encoded = rendition.progress if job.status in {JobStatus.FAILED, JobStatus.CANCELLED} else 100
        return rendition.model_copy(update={"progress": encoded})
    done = job.rendition_progress.get(rendition.name)
    if done is None or not rendition.frames:
        return rendition
    rate = (job.source or {}).get("video", {}).get("frame_rate")
    return rendition.model_copy(
        update={
            "progress": min(100, 100 * done.frames // rendition.frames),
            "fps": done.fps,
            "speed": round(done.fps / rate, 2) if done.fps and rate else None,
        }
    )


class Placed(Protocol):
    """In the order of a list."""

    @property
    def id(self) -> UUID: ...
    @property
    def created_at(self) -> datetime: ...


def page_cursor(page: Sequence[Placed]) -> str:
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
