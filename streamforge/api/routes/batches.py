"""`/batches`: many videos as one. Each is a job like any other; together they have counters and one stream."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import structlog
from starlette.responses import JSONResponse, Response

from streamforge.api.http.forms import Form, Part
from streamforge.api.http.unknown_fields import file_name, parameters, unknown_part
from streamforge.api.routes.process import PATIENCE, RECEIVED_PROGRESS, admit, content_length, keep, patiently, receive
from streamforge.api.routes.process_fields import PARSERS, parse_field
from streamforge.api.services import Request, Services, owner_of, services_of
from streamforge.contracts.ids import key_from_filename, new_batch_id, new_job_id, parse_batch_id, workflow_id
from streamforge.db.jobs import NewJob
from streamforge.db.retry import until_available
from streamforge.errors import BatchNotFound, DatabaseUnavailable, InputError, InvalidField, MissingVideo
from streamforge.storage import layout

MAX_VIDEOS = 1000
ANNOUNCE_EVERY_SECONDS = 3600.0
"""Of the day after which the retention sweep takes stored bytes for nobody's."""
AT_ONCE = 16
FIELDS = ["video", *(name for name in PARSERS if name != "key")]

log = structlog.stdlib.get_logger(__name__)


@dataclass
class _Arrived:
    """What a form has brought so far. `fields` are for all videos alike; `stored` may have bytes in the store."""

    stored: list[UUID] = field(default_factory=list)
    jobs: list[NewJob] = field(default_factory=list)
    rejected: list[tuple[str, InputError]] = field(default_factory=list)
    fields: dict[str, Any] = field(default_factory=dict)


async def create_batch(request: Request) -> Response:
    services = services_of(request)
    parameters(request)
    await services.uploads.admit_several(content_length(request))
    await admit(services, "database", "storage")
    form = Form(
        request.headers.get("content-type", ""), patiently(request.stream()), max_parts=MAX_VIDEOS + len(PARSERS)
    )
    arrived = _Arrived()
    async with _nothing_left_when_refused(services, arrived), _announced(services, arrived):
        await _read(services, form, arrived)
    batch_id = new_batch_id()
    jobs = [_with_fields(job, arrived.fields, owner_of(request), batch_id) for job in arrived.jobs]
    await until_available(
        lambda: services.jobs.create_batch(batch_id, jobs, progress=RECEIVED_PROGRESS, message="File received"),
        give_up_after=PATIENCE,
    )
    services.launcher.wake()
    answer = {
        "batch_id": str(batch_id),
        "message": "Batch processing started",
        "jobs": [{"job_id": str(job.id), "key": job.key} for job in jobs],
        "rejected": [{"key": key, "code": why.code, "message": why.message} for key, why in arrived.rejected],
    }
    return JSONResponse(answer, status_code=202, headers={"Location": f"/batches/{batch_id}"})


async def get_batch(request: Request) -> Response:
    batch = await services_of(request).jobs.batch_state(parse_batch_id(request.path_params["batch_id"]))
    if batch is None:
        raise BatchNotFound("There is no such batch.")
    return JSONResponse(batch.model_dump(mode="json", exclude={"event_seq", "swept_seq"}))


@asynccontextmanager
async def _nothing_left_when_refused(services: Services, arrived: _Arrived) -> AsyncIterator[None]:
    """Videos are in the store before the form has come to its end, and the end may be wrong, or never come."""
    try:
        yield
    except BaseException:
        await asyncio.shield(_remove(services, arrived))
        raise


async def _remove(services: Services, arrived: _Arrived) -> None:
    """What cannot be removed now is left to the retention sweep: the caller hears what was wrong with the request."""
    limit = asyncio.Semaphore(AT_ONCE)

    async def remove(job_id: UUID) -> None:
        async with limit:
            await services.storage.delete(layout.original_folder(job_id))

    results = await asyncio.gather(*(remove(job_id) for job_id in arrived.stored), return_exceptions=True)
    if failed := [error for error in results if isinstance(error, BaseException)]:
        log.warning("videos of a refused batch stay for the sweep", count=len(failed), reason=repr(failed[0]))


@asynccontextmanager
async def _announced(services: Services, arrived: _Arrived) -> AsyncIterator[None]:
    """A form may take days to arrive; its first video must still be there at its end."""

    async def announce() -> None:
        while True:
            await asyncio.sleep(ANNOUNCE_EVERY_SECONDS)
            try:
                await services.jobs.announce(arrived.stored)
            except DatabaseUnavailable as error:
                log.warning("a long upload was not announced", reason=error.debug)

    announcing = asyncio.create_task(announce())
    try:
        yield
    finally:
        announcing.cancel()


async def _read(services: Services, form: Form, arrived: _Arrived) -> None:
    """Videos go to the store as they come. Raises what was wrong with the first one when none is left."""
    async for part in form.parts():
        if part.name == "video":
            await _take(services, part, arrived)
        elif part.name == "key":
            raise InvalidField("`key` names one video; those of a batch are named by their files.")
        elif part.name in arrived.fields:
            raise InvalidField(f"`{part.name}` is there twice; it is for all videos of the batch.")
        elif part.name in PARSERS:
            arrived.fields[part.name] = parse_field(part.name, await part.text(), services.settings.profiles)
        else:
            raise unknown_part(part, FIELDS, has_video=bool(arrived.jobs or arrived.rejected))
    if not arrived.jobs and arrived.rejected:
        raise arrived.rejected[0][1]
    if not arrived.jobs:
        raise MissingVideo("The form has no file in a field named `video`.")


async def _take(services: Services, video: Part, arrived: _Arrived) -> None:
    """A video that cannot be taken is no reason to refuse the others."""
    if len(arrived.jobs) + len(arrived.rejected) >= MAX_VIDEOS:
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
    arrived.jobs.append(
        NewJob(
            id=job_id,
            key=key,
            workflow_id=workflow_id(key, job_id),
            source_object=layout.original(job_id),
            size_bytes=incoming.size_bytes,
            source_sha256=incoming.sha256,
        )
    )


def _with_fields(job: NewJob, fields: dict[str, Any], owner: str, batch_id: UUID) -> NewJob:
    given = {name: value for name, value in fields.items() if value is not None}
    return job.model_copy(update={**given, "owner": owner, "batch_id": batch_id})
