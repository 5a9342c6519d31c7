"""`/jobs/<id>/retry` and `/reprocess`: the same video once more."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.json_body import body_of
from streamforge.api.http.middleware import address_of
from streamforge.api.http.origins import origin_of
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Body, Operation, describes, json_of
from streamforge.api.retries import require_original
from streamforge.api.routes.jobs import find, shown
from streamforge.api.routes.process import ERRORS, Accepted, Arrived, accept, admit
from streamforge.api.services import Own, Request, Services, own, owner_of, services_of
from streamforge.contracts.ids import new_job_id
from streamforge.contracts.job import Stage
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.job_view import JobView
from streamforge.db.jobs import JobOverview
from streamforge.errors import (
    CannotBeRetried,
    InvalidField,
    JobNotFound,
    MalformedJobId,
    OriginalGone,
    StorageCorrupted,
    StorageUnavailable,
    TemporalUnavailable,
    TooManyJobs,
)

PIECE_BYTES = 8 * 1024 * 1024
STAGES = (Stage.UPLOADING, Stage.TRANSCODING, Stage.VALIDATION, Stage.PACKAGING, Stage.STORAGE)


class RetryRequest(BaseModel):
    """Without `from` only what is missing is done again."""

    model_config = ConfigDict(extra="forbid")

    first: Stage | None = Field(
        None, alias="from", json_schema_extra={"enum": [*STAGES, None]}, description="done again from there on"
    )


class ReprocessRequest(BaseModel):
    """What is to be other than it was asked for the first time; options as `POST /process` has them."""

    model_config = ConfigDict(extra="forbid")

    profile: str | None = Field(None, max_length=255)
    captions: str | None = Field(None, max_length=255)
    on_damage: str | None = Field(None, max_length=255)
    priority: Annotated[int, Field(strict=True, ge=1, le=5)] | None = None


@describes(
    Operation(
        tag="jobs",
        summary="Try a job again that failed",
        says="Under its own id, with the options it was sent with. What was encoded before it failed of our doing is kept for "
        "`retention.failed_parts_hours`, and is not encoded again.",
        answers=(json_of(202, "It begins again.", JobView),),
        errors=(MalformedJobId, InvalidField, JobNotFound, CannotBeRetried, OriginalGone, TooManyJobs, TemporalUnavailable,
                StorageUnavailable),
        body=Body("application/json", RetryRequest),
    )
)  # fmt: skip
async def retry_job(request: Request) -> Response:
    services, job = services_of(request), await find(request)
    parameters(request)
    asked = await body_of(request, RetryRequest, may_be_empty=True)
    await retry(services, own(request), job, asked)
    return await shown(services, await find(request), 202)


async def retry(services: Services, mine: Own, job: JobOverview, asked: RetryRequest) -> None:
    """Raises InvalidField, CannotBeRetried, OriginalGone, TooManyJobs, TemporalUnavailable, StorageUnavailable."""
    if asked.first is not None and asked.first not in STAGES:
        raise InvalidField(f"`from` is one of {', '.join(STAGES)}.")
    await services.quotas.admit(mine.jobs)
    await services.retries.begin(job, asked.first)
    services.launcher.wake()


@describes(
    Operation(
        tag="jobs",
        summary="Make another job of the same video",
        says="Of the original that is kept, with other options where they are named. The first job stays as it is. The answer "
        "comes when the video is copied.",
        answers=(json_of(202, "A job of its own.", Accepted, "Location"),),
        errors=(MalformedJobId, InvalidField, JobNotFound, OriginalGone, StorageCorrupted, *ERRORS),
        body=Body("application/json", ReprocessRequest),
    )
)  # fmt: skip
async def reprocess_job(request: Request) -> Response:
    job = await find(request)
    parameters(request)
    asked = await body_of(request, ReprocessRequest, may_be_empty=True)
    job_id = await reprocess(request, job, asked, made_id_of(request.scope) or new_job_id())
    return answer(Accepted(job_id=job_id), 202, {"Location": f"/jobs/{job_id}"})


async def reprocess(request: Request, job: JobOverview, asked: ReprocessRequest, job_id: UUID) -> UUID:
    """The id of the job that is made. Raises what sending the video would, and OriginalGone, StorageCorrupted."""
    services = services_of(request)
    options = _options(job, asked, services.settings.profiles)
    await services.uploads.admit(job.size_bytes)
    await admit(services, "database", "storage")
    await require_original(services.storage, job)
    await services.quotas.admit(own(request).jobs, size_bytes=job.size_bytes)
    uploading = services.quotas.uploading(owner_of(request), address_of(request.scope))
    async with uploading, services.uploads.receive(job_id) as incoming:
        async for piece in services.storage.read(job.source_object, 0, job.size_bytes):
            await incoming.write(piece)
        await incoming.finish()
        if incoming.sha256 != job.source_sha256:
            raise StorageCorrupted("The video in the store is not the one that was sent.", debug=job.source_object)
        arrived = Arrived(job_id, job.key, incoming.size_bytes, incoming.sha256)
        await accept(services, own(request), arrived.job(options, origin_of(request.scope)), incoming)
    return job_id


def _options(job: JobOverview, asked: ReprocessRequest, profiles: Any) -> JobOptions:
    changes = asked.model_dump(exclude_unset=True, exclude_none=True)
    try:
        return JobOptions.model_validate(job.options.model_dump() | changes, context={"profiles": profiles})
    except ValidationError as error:
        raise InvalidField(error.errors()[0]["msg"]) from error
