"""Jobs that others work on: made by `POST /jobs`, told of by `POST /jobs/<id>/events`, and any job in the same words."""

import json
from datetime import timedelta
from typing import Annotated, Any, Literal, NoReturn

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.json_body import body_of
from streamforge.api.http.origins import origin_of
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Body, Operation, describes, json_of
from streamforge.api.routes.jobs import AFTER, EVENTS_LIMIT, SINCE, find, shown
from streamforge.api.services import Request, own, services_of
from streamforge.contracts.events import Event, LoggedEvent
from streamforge.contracts.ids import clean_key, new_job_id
from streamforge.contracts.job import JobKind, JobStatus
from streamforge.contracts.job_options import MAX_EXTERNAL_ID, MAX_URL, JobOptions
from streamforge.contracts.job_view import JobView
from streamforge.contracts.reports import (
    Recorded,
    Report,
    ReportMetadata,
    StatusMessage,
    StatusPage,
    message_of,
)
from streamforge.db.jobs import JobOverview, NewJob
from streamforge.errors import (
    InvalidField,
    InvalidKey,
    JobAlreadyOver,
    JobNotExternal,
    JobNotFound,
    MalformedJobId,
    ReportMisdirected,
    TooManyJobs,
)
from streamforge.events.frames import of_job
from streamforge.retry import until_available

SHORTEST_SILENCE, LONGEST_SILENCE = 10, 30 * 86_400
WRITE_WAIT_SECONDS = 5.0
"""A hiccup of the database is bridged; who reports into an outage soon knows, and sends it again."""


class ExternalJob(BaseModel):
    """A job that somebody else works on, and reports of."""

    model_config = ConfigDict(extra="forbid")

    kind: Literal["external"]
    key: Annotated[str, Field(max_length=MAX_EXTERNAL_ID)] = Field(description="names the video for people")
    external_id: str | None = Field(
        None, max_length=MAX_EXTERNAL_ID, description="what its worker calls the video: the `videoId` of each report"
    )
    metadata: dict[str, Any] | None = Field(None, description="echoed with the job")
    webhook_url: str | None = Field(None, max_length=MAX_URL)
    silence_seconds: Annotated[int, Field(strict=True, ge=SHORTEST_SILENCE, le=LONGEST_SILENCE)] = Field(
        86_400, description="for so long nobody may report; then it fails"
    )

    def options(self) -> JobOptions:
        """Raises InvalidField."""
        told = self.model_dump(include={"external_id", "metadata", "webhook_url"}, exclude_none=True)
        if "metadata" in told:
            told["metadata"] = json.dumps(told["metadata"])
        try:
            return JobOptions.model_validate(told)
        except ValidationError as error:
            raise InvalidField(error.errors()[0]["msg"]) from error


@describes(
    Operation(
        tag="reports",
        summary="Make a job that others work on",
        says="There is no video to send: whoever works on it reports by `POST /jobs/<id>/events`. When nobody does for "
        "`silence_seconds`, it fails.",
        answers=(json_of(201, "It waits for the first report.", JobView, "Location"),),
        errors=(InvalidField, InvalidKey, TooManyJobs),
        body=Body("application/json", ExternalJob),
    )
)
async def create_external_job(request: Request) -> Response:
    services, mine = services_of(request), own(request)
    parameters(request)
    asked = await body_of(request, ExternalJob)
    job_id = made_id_of(request.scope) or new_job_id()
    job = NewJob(
        id=job_id,
        key=clean_key(asked.key),
        workflow_id=f"external-{job_id}",
        source_object="",
        size_bytes=0,
        source_sha256="",
        options=asked.options(),
        origin=origin_of(request.scope),
    )
    silence = timedelta(seconds=asked.silence_seconds)
    await services.quotas.admit(mine.jobs)
    await until_available(
        lambda: mine.jobs.create_external(job, silence=silence, message="Waits for its worker"),
        give_up_after=WRITE_WAIT_SECONDS,
    )
    made = await mine.jobs.get(job_id)
    if made is None:
        raise JobNotFound("The job is gone already.")
    response = await shown(services, made, 201)
    response.headers["Location"] = f"/jobs/{job_id}"
    return response


@describes(
    Operation(
        tag="reports",
        summary="Report on a job that others work on",
        says="A status message. One that is older than what came before, or tells of less, does not move the job back; one that "
        "comes again is answered as the first time and changes nothing. Who is told 409 `job.already_over` can stop working.",
        answers=(json_of(200, "It is in the log.", Recorded),),
        errors=(MalformedJobId, InvalidField, JobNotFound, JobNotExternal, ReportMisdirected, JobAlreadyOver),
        body=Body("application/json", Report),
    )
)
async def report_on_job(request: Request) -> Response:
    parameters(request)
    services = services_of(request)
    job = await find(request)
    report = await body_of(request, Report)
    _require_meant(job, report)
    outcome = await until_available(lambda: services.reports.record(job.id, report), give_up_after=WRITE_WAIT_SECONDS)
    if outcome.event is None or outcome.kind in ("over", "none"):
        _refuse(await find(request))
    state = await own(request).jobs.state(job.id)
    if state is None:
        raise JobNotFound("The job is gone.")
    return answer(
        Recorded(outcome=outcome.kind, status=state.status, progress=state.progress, event=_event(outcome.event))
    )


def _require_meant(job: JobOverview, report: Report) -> None:
    """Raises JobNotExternal, ReportMisdirected."""
    if job.kind is not JobKind.EXTERNAL:
        raise JobNotExternal("The job is worked on here, and nobody else reports on it.")
    if report.jobId != job.id:
        raise ReportMisdirected("`jobId` is of another job than the address.")
    if job.options.external_id not in {None, report.videoId}:
        raise ReportMisdirected("`videoId` is not the `external_id` of this job.")


def _refuse(job: JobOverview) -> NoReturn:
    if not job.status.is_over:
        raise JobAlreadyOver("The job is about to be cancelled.")
    ended = "was cancelled" if job.status is JobStatus.CANCELLED else job.status
    raise JobAlreadyOver(f"The job is over already: it {ended}. What comes now is not recorded.")


def _event(event: LoggedEvent) -> Event:
    return Event.model_validate_json(of_job(event).object)


@describes(
    Operation(
        tag="reports",
        summary="A job as a status message",
        says="Of any job, in the words in which external ones are reported. One that was cancelled has `failed`.",
        answers=(json_of(200, "As it is now.", StatusMessage, "Cache-Control"),),
        errors=(MalformedJobId, InvalidField, JobNotFound),
    )
)
async def status_detailed(request: Request) -> Response:
    parameters(request)
    job = await find(request)
    known = await _metadata(request, job)
    message = StatusMessage(
        videoId=_video(job),
        jobId=job.id,
        status=_status(job),
        progress=job.progress,
        stage=(job.report or {}).get("stage") if not job.status.is_over else job.stage,
        error=_error(job),
        timestamp=job.updated_at,
        metadata=known,
    )
    if message.stage is None:
        message = message.model_copy(update={"stage": job.stage})
    return answer(message, headers={"Cache-Control": "no-store"})


@describes(
    Operation(
        tag="reports",
        summary="The progress of a job so far, as status messages",
        says="`since` is a time, or left out; of a page `next` is the `after` of the following one.",
        answers=(json_of(200, "A page of its log, the oldest first.", StatusPage, "Cache-Control"),),
        errors=(MalformedJobId, InvalidField, JobNotFound),
        parameters=(SINCE, AFTER, EVENTS_LIMIT),
    )
)
async def progress_history(request: Request) -> Response:
    query = parameters(request)
    after, limit, since = AFTER.of(query), EVENTS_LIMIT.of(query), SINCE.of(query)
    job = await find(request)
    events = await own(request).log.of_job(job.id, after, limit, since)
    known = ReportMetadata(duration=_duration(job))
    page = StatusPage(
        videoId=_video(job),
        jobId=job.id,
        events=[message_of(event, _video(job), known) for event in events],
        next=events[-1].seq if len(events) == limit else None,
    )
    return answer(page, headers={"Cache-Control": "no-store"})


def _video(job: JobOverview) -> str:
    return job.options.external_id or (job.report or {}).get("videoId") or job.key


def _status(job: JobOverview) -> Any:
    if job.status is JobStatus.PENDING:
        return "started"
    return "failed" if job.status is JobStatus.CANCELLED else job.status.value


def _error(job: JobOverview) -> str | None:
    if job.status is JobStatus.CANCELLED:
        return "The job was cancelled."
    return job.error_message if job.status is JobStatus.FAILED else (job.report or {}).get("error")


async def _metadata(request: Request, job: JobOverview) -> ReportMetadata:
    if job.kind is JobKind.EXTERNAL:
        return ReportMetadata.model_validate((job.report or {}).get("metadata", {}))
    done, total = await own(request).jobs.chunk_counts(job.id)
    return ReportMetadata(
        duration=_duration(job), chunkCount=done if total else None, totalChunks=total if total else None
    )


def _duration(job: JobOverview) -> float | None:
    told = (job.source or {}).get("duration")
    return float(told) if isinstance(told, int | float) else None
