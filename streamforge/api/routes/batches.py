"""`/batches`: many videos as one. Each is a job like any other; together they have counters and one stream."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal
from uuid import UUID

import structlog
from pydantic import BaseModel, Field
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.forms import Form, Part
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.middleware import address_of
from streamforge.api.http.origins import origin_of
from streamforge.api.http.unknown_fields import file_name, parameters, unknown_part
from streamforge.api.openapi.operation import Body, Operation, describes, json_of
from streamforge.api.routes.process import (
    ERRORS,
    Arrived,
    FileField,
    admit,
    body_of,
    content_length,
    enter,
    keep,
    receive,
)
from streamforge.api.routes.process_fields import OPTIONS, options_of, parse_field
from streamforge.api.services import Request, Services, own, owner_of, services_of
from streamforge.contracts.batch import BatchView
from streamforge.contracts.ids import key_from_filename, new_batch_id, new_job_id, parse_batch_id
from streamforge.contracts.job_options import JobOptions
from streamforge.errors import (
    BatchNotFound,
    DatabaseUnavailable,
    IdempotencyKeyReused,
    InputError,
    InvalidField,
    InvalidKey,
    MalformedBatchId,
    MissingVideo,
)
from streamforge.storage import layout

MAX_VIDEOS = 1000
MAX_PARTS = MAX_VIDEOS + 1 + len(OPTIONS)
"""With one video too many, which is told as that."""
ANNOUNCE_EVERY_SECONDS = 3600.0
"""Of the day after which the retention sweep takes stored bytes for nobody's."""
CONCURRENT_REMOVALS = 16

log = structlog.stdlib.get_logger(__name__)


class BatchForm(JobOptions):
    """Videos, and what is asked for of all of them."""

    video: list[FileField] = Field(min_length=1, max_length=MAX_VIDEOS)


class BatchJob(BaseModel):
    job_id: UUID
    key: str


class Rejected(BaseModel):
    """A video that was not taken; the others were."""

    key: str
    code: str
    message: str


class BatchAccepted(BaseModel):
    batch_id: UUID
    message: Literal["Batch processing started"] = "Batch processing started"
    jobs: list[BatchJob]
    rejected: list[Rejected]


@dataclass
class _Batch:
    """What a form has brought so far. `fields` are for all videos alike; `stored` may have bytes in the store."""

    stored: list[UUID] = field(default_factory=list)
    videos: list[Arrived] = field(default_factory=list)
    rejected: list[tuple[str, InputError]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Known:
    """A batch that a process had accepted before it died, and could not say so; its jobs by what they were made of."""

    batch_id: UUID
    jobs: dict[tuple[str, str], list[UUID]]


@describes(
    Operation(
        tag="jobs",
        summary="Send several videos",
        answers=(json_of(202, "Those that are jobs now, and those that were not taken.", BatchAccepted, "Location"),),
        errors=(InvalidField, InvalidKey, *ERRORS),
        body=Body("multipart/form-data", BatchForm, {"metadata": "application/json"}),
    )
)
async def create_batch(request: Request) -> Response:
    services = services_of(request)
    parameters(request)
    await services.uploads.admit_several(content_length(request))
    await admit(services, "database", "storage")
    known = await _accepted_before(request)
    if known is None:
        await services.quotas.admit(own(request).jobs, size_bytes=content_length(request) or 0)
    content_type = request.headers.get("content-type", "")
    form = Form(content_type, body_of(request), max_parts=MAX_PARTS)
    arrived = _Batch()
    async with services.quotas.uploading(owner_of(request), address_of(request.scope)):
        await _receive_all(request, services, form, arrived, known)
    if known is not None:
        return await _answer_again(services, known, arrived)
    batch_id = made_id_of(request.scope) or new_batch_id()
    options = options_of(arrived.fields)
    jobs = [video.job(options, origin_of(request.scope), batch_id) for video in arrived.videos]
    await enter(services, partial(own(request).jobs.create_batch, batch_id, jobs))
    for job in jobs:
        log.info("job accepted", job_id=str(job.id), batch_id=str(batch_id), size_bytes=job.size_bytes)
    return _accepted(batch_id, [BatchJob(job_id=job.id, key=job.key) for job in jobs], arrived)


def _accepted(batch_id: UUID, jobs: list[BatchJob], arrived: _Batch) -> Response:
    rejected = [Rejected(key=key, code=why.code, message=why.message) for key, why in arrived.rejected]
    accepted = BatchAccepted(batch_id=batch_id, jobs=jobs, rejected=rejected)
    return answer(accepted, 202, {"Location": f"/batches/{batch_id}"})


async def _accepted_before(request: Request) -> _Known | None:
    """Under this `Idempotency-Key`. All jobs of a batch are made with it."""
    batch_id = made_id_of(request.scope)
    if batch_id is None or (batch := await own(request).jobs.batch_state(batch_id)) is None:
        return None
    jobs = defaultdict[tuple[str, str], list[UUID]](list)
    for job in await own(request).jobs.by_id([each.job_id for each in batch.jobs]):
        jobs[job.key, job.source_sha256].append(job.id)
    return _Known(batch_id, jobs)


async def _answer_again(services: Services, known: _Known, arrived: _Batch) -> Response:
    """Its videos are jobs already; what came again goes. Raises IdempotencyKeyReused where others came."""
    await _remove(services, arrived)
    made = sorted(content for content, ids in known.jobs.items() for _ in ids)
    if made != sorted((video.key, video.sha256) for video in arrived.videos):
        raise IdempotencyKeyReused("Other videos were accepted under this `Idempotency-Key`; give each batch its own.")
    jobs = [BatchJob(job_id=known.jobs[video.key, video.sha256].pop(0), key=video.key) for video in arrived.videos]
    return _accepted(known.batch_id, jobs, arrived)


async def _receive_all(request: Request, services: Services, form: Form, arrived: _Batch, known: _Known | None) -> None:
    async with _nothing_left_when_refused(services, arrived), _announced(services, arrived):
        await _read(services, form, arrived)
        if known is None:
            total = sum(video.size_bytes for video in arrived.videos)
            await services.quotas.admit(own(request).jobs, videos=len(arrived.videos), size_bytes=total)


@describes(
    Operation(
        tag="jobs",
        summary="How far several videos are, together",
        answers=(json_of(200, "The batch as it is now.", BatchView),),
        errors=(MalformedBatchId, BatchNotFound),
    )
)
async def get_batch(request: Request) -> Response:
    batch = await own(request).jobs.batch_state(parse_batch_id(request.path_params["batch_id"]))
    if batch is None:
        raise BatchNotFound("There is no such batch.")
    return answer(BatchView.model_validate(batch.model_dump()))


@asynccontextmanager
async def _nothing_left_when_refused(services: Services, arrived: _Batch) -> AsyncIterator[None]:
    """Videos are in the store before the form has come to its end, and the end may be wrong, or never come."""
    try:
        yield
    except BaseException:
        await asyncio.shield(_remove(services, arrived))
        raise


async def _remove(services: Services, arrived: _Batch) -> None:
    """What cannot be removed now is left to the retention sweep: the caller hears what was wrong with the request."""
    limit = asyncio.Semaphore(CONCURRENT_REMOVALS)

    async def remove(job_id: UUID) -> None:
        async with limit:
            await services.storage.delete(layout.original_folder(job_id))

    results = await asyncio.gather(*(remove(job_id) for job_id in arrived.stored), return_exceptions=True)
    if failed := [error for error in results if isinstance(error, BaseException)]:
        log.warning("videos of a refused batch stay for the sweep", count=len(failed), reason=repr(failed[0]))


@asynccontextmanager
async def _announced(services: Services, arrived: _Batch) -> AsyncIterator[None]:
    """A form may take days to arrive; its first video must still be there at its end."""

    async def announce() -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_EVERY_SECONDS)
            try:
                await services.announce(arrived.stored)
            except DatabaseUnavailable as error:
                log.warning("a long upload was not announced", reason=error.debug)

    announcing = asyncio.create_task(announce())
    try:
        yield
    finally:
        announcing.cancel()


async def _read(services: Services, form: Form, arrived: _Batch) -> None:
    """Videos go to the store as they come. Raises what was wrong with the first one when none is left."""
    async for part in form.parts():
        if part.name == "video":
            await _take(services, part, arrived)
        elif part.name == "key":
            raise InvalidField("`key` names one video; those of a batch are named by their files.")
        elif part.name in arrived.fields:
            raise InvalidField(f"`{part.name}` is there twice; it is for all videos of the batch.")
        elif part.name in OPTIONS:
            arrived.fields[part.name] = parse_field(part.name, await part.text(), services.settings.profiles)
        else:
            raise unknown_part(part, ["video", *OPTIONS], has_video=bool(arrived.videos or arrived.rejected))
    if not arrived.videos and arrived.rejected:
        raise arrived.rejected[0][1]
    if not arrived.videos:
        raise MissingVideo("The form has no file in a field named `video`.")


async def _take(services: Services, video: Part, arrived: _Batch) -> None:
    """A video that cannot be taken is no reason to refuse the others."""
    if len(arrived.videos) + len(arrived.rejected) >= MAX_VIDEOS:
        raise InvalidField(f"`video` is there too often: a batch has {MAX_VIDEOS} videos at most.")
    job_id = new_job_id()
    try:
        key = key_from_filename(file_name(video))
        async with services.uploads.receive(job_id) as incoming:
            await receive(video, incoming)
            arrived.stored.append(job_id)
            await keep(services, layout.original(job_id), incoming)
    except InputError as error:
        arrived.rejected.append(((video.filename or "")[:255], error))
        async for _ in video.pieces():
            pass
        return
    arrived.videos.append(Arrived(job_id, key, incoming.size_bytes, incoming.sha256))
