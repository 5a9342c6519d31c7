"""`POST /process`: a video comes in; it is answered when its bytes are safe, or with `?dry_run=true` by its plan."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Annotated, Any, Literal
from uuid import UUID

import structlog
from pydantic import BaseModel, Field, WithJsonSchema
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.forms import Form, Part
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.middleware import address_of
from streamforge.api.http.origins import origin_of
from streamforge.api.http.pace import Pace
from streamforge.api.http.query_values import Flag
from streamforge.api.http.unknown_fields import file_name, parameters, unknown_part
from streamforge.api.openapi.operation import BYTES, Body, Operation, describes, json_of
from streamforge.api.routes.process_fields import OPTIONS, options_of, parse_field
from streamforge.api.routes.process_url import ProcessUrl, accept_url, has_url
from streamforge.api.services import Own, Request, Services, own, owner_of, services_of
from streamforge.api.uploads import IncomingFile
from streamforge.contracts.ids import key_from_filename, new_job_id, workflow_id
from streamforge.contracts.job import Stage
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.origin import Origin
from streamforge.contracts.pipeline import PlanVideo
from streamforge.contracts.printable_plan import PrintablePlan
from streamforge.db.jobs import NewJob
from streamforge.errors import (
    AddressRefused,
    BytesUsedUp,
    DatabaseUnavailable,
    DiskFull,
    EmptyUpload,
    IdempotencyKeyReused,
    InvalidField,
    InvalidKey,
    MalformedMultipart,
    MinutesUsedUp,
    MissingVideo,
    SourceError,
    SourceNotAllowed,
    StorageUnavailable,
    TemporalUnavailable,
    TooManyJobs,
    TooManyUploads,
    UploadTooLarge,
    UploadTooSlow,
)
from streamforge.progress.bands import progress_at
from streamforge.retry import until_available
from streamforge.storage import layout

FileField = Annotated[bytes, WithJsonSchema(BYTES)]
"""A file with a name, as `curl -F video=@clip.mp4` sends it."""

ERRORS = (
    MissingVideo, MalformedMultipart, EmptyUpload, UploadTooLarge, DiskFull, StorageUnavailable, TooManyJobs, TooManyUploads,
    BytesUsedUp, MinutesUsedUp, UploadTooSlow,
)  # fmt: skip
"""Of what sends videos, beside those of their fields."""

log = structlog.stdlib.get_logger(__name__)

DRY_RUN = Flag("dry_run", "Only look: nothing is kept, and the answer is what would be done.")


class ProcessForm(JobOptions):
    """A video, and what is asked for. Every field but the video is text, and may be left out or empty."""

    video: FileField
    key: str | None = Field(None, description="names the video for people; left out: the file's name")


class Accepted(BaseModel):
    job_id: UUID
    message: Literal["Video processing started"] = "Video processing started"


FIELDS = ("key", *OPTIONS)
WRITE_WAIT_SECONDS = 120.0
"""Seconds. Somebody has just sent gigabytes; a database or a store that is away for a minute is no reason to ask for them
again."""
ADMISSION_WAIT_SECONDS = 5.0
"""The same before anything was sent: a hiccup is bridged, and whoever comes in an outage soon knows."""
PLAN_TIMEOUT = timedelta(seconds=60)
"""For a dry run, which reads the headers of a film once; longer means that no worker is free, or none is there."""


@dataclass(frozen=True)
class Arrived:
    """A video whose bytes are here."""

    job_id: UUID
    key: str
    size_bytes: int
    sha256: str

    def job(self, options: JobOptions, origin: Origin, batch_id: UUID | None = None) -> NewJob:
        return NewJob(
            id=self.job_id,
            key=self.key,
            workflow_id=workflow_id(self.key, self.job_id),
            source_object=layout.original(self.job_id),
            size_bytes=self.size_bytes,
            source_sha256=self.sha256,
            options=options,
            batch_id=batch_id,
            origin=origin,
        )


@describes(
    Operation(
        tag="jobs",
        summary="Send a video",
        says="It is streamed to disk as it comes; the answer comes when its bytes are safe. Or tell where it is, as JSON: "
        "then it is fetched, and the answer comes at once.",
        answers=(
            json_of(202, "Accepted: it will be processed, whatever happens to this process.", Accepted, "Location"),
            json_of(200, "With `dry_run`: what would be done.", PrintablePlan),
        ),
        errors=(
            InvalidField,
            InvalidKey,
            *ERRORS,
            SourceNotAllowed,
            AddressRefused,
            TemporalUnavailable,
            SourceError,
            *SourceError.__subclasses__(),
        ),
        parameters=(DRY_RUN,),
        body=Body(
            "multipart/form-data", ProcessForm, {"metadata": "application/json"}, {"application/json": ProcessUrl}
        ),
    )
)
async def process(request: Request) -> Response:
    services = services_of(request)
    job_id = made_id_of(request.scope) or new_job_id()
    structlog.contextvars.bind_contextvars(job_id=str(job_id))
    dry_run = DRY_RUN.of(parameters(request))
    if has_url(request):
        if dry_run:
            raise InvalidField("A dry run needs the video itself; nothing is fetched for one.")
        await accept_url(request, job_id)
        return answer(Accepted(job_id=job_id), 202, {"Location": f"/jobs/{job_id}"})
    await services.uploads.admit(content_length(request))
    await admit(services, *(["storage"] if dry_run else ["database", "storage"]))
    if not dry_run:
        await services.quotas.admit(own(request).jobs, size_bytes=content_length(request) or 0)
    async with services.quotas.uploading(owner_of(request), address_of(request.scope)):
        return await _received(request, services, job_id, dry_run=dry_run)


async def _received(request: Request, services: Services, job_id: UUID, *, dry_run: bool) -> Response:
    async with services.uploads.receive(job_id) as incoming:
        form = Form(request.headers.get("content-type", ""), body_of(request))
        key, options = await _read(services, form, incoming)
        job = Arrived(job_id, key, incoming.size_bytes, incoming.sha256).job(options, origin_of(request.scope))
        if dry_run:
            return answer(await _plan(services, job, incoming))
        if not await _was_accepted(request, job):
            # Again: a chunked body tells its length by its end, and others were sent meanwhile.
            await services.quotas.admit(own(request).jobs, size_bytes=incoming.size_bytes)
            await accept(services, own(request), job, incoming)
    return answer(Accepted(job_id=job_id), 202, {"Location": f"/jobs/{job_id}"})


async def _was_accepted(request: Request, job: NewJob) -> bool:
    """By a process that died before it could say so. Raises IdempotencyKeyReused where that was another video."""
    if made_id_of(request.scope) is None or (known := await own(request).jobs.get(job.id)) is None:
        return False
    if known.source_sha256 != job.source_sha256:
        raise IdempotencyKeyReused("Another video was accepted under this `Idempotency-Key`; give each its own.")
    return True


async def _read(services: Services, form: Form, incoming: IncomingFile) -> tuple[str, JobOptions]:
    """The key and what is asked for; the video's bytes go to `incoming`."""
    filename: str | None = None
    fields: dict[str, Any] = {}
    async for part in form.parts():
        if part.name in fields or (part.name == "video" and filename is not None):
            raise InvalidField(f"`{part.name}` is there twice; send one video, and each field once.")
        if part.name == "video":
            filename = file_name(part)
            await receive(part, incoming)
        elif part.name in FIELDS:
            fields[part.name] = parse_field(part.name, await part.text(), services.settings.profiles)
        else:
            raise unknown_part(part, ["video", *FIELDS], has_video=filename is not None)
    if filename is None:
        raise MissingVideo("The form has no file in a field named `video`.")
    return fields.pop("key", None) or key_from_filename(filename), options_of(fields)


async def receive(video: Part, incoming: IncomingFile) -> None:
    async for piece in video.pieces():
        await incoming.write(piece)
    if incoming.size_bytes == 0:
        raise EmptyUpload("The video is empty: not one byte arrived.")
    await incoming.finish()


async def accept(services: Services, mine: Own, job: NewJob, incoming: IncomingFile) -> None:
    """First the bytes, then the row: a row always has its bytes. Bytes whose row could not be written belong to nobody,
    and the retention sweep takes them; to delete them here could rob a row that was committed unheard."""
    await keep(services, job.source_object, incoming)
    await enter(services, partial(mine.jobs.create, job))
    log.info("job accepted", size_bytes=job.size_bytes)


async def enter(services: Services, create: Callable[..., Awaitable[None]]) -> None:
    """The rows of what is in the store, with their first event, and the word to the launcher."""
    received = {"progress": progress_at(Stage.UPLOADING, 0.5), "message": "File received"}
    await until_available(lambda: create(**received), give_up_after=WRITE_WAIT_SECONDS)
    services.launcher.wake()


async def admit(services: Services, *parts: str) -> None:
    """Refuse, before the body is read, what could not be kept afterwards. Raises DatabaseUnavailable, StorageUnavailable,
    DiskFull."""
    await until_available(
        lambda: services.readiness.require(*parts),
        give_up_after=ADMISSION_WAIT_SECONDS,
        away=(DatabaseUnavailable, StorageUnavailable),
    )


async def keep(services: Services, name: str, incoming: IncomingFile) -> None:
    """Into the store, be it away for a while."""
    await until_available(
        lambda: services.storage.put_file(name, incoming.path),
        give_up_after=WRITE_WAIT_SECONDS,
        away=(StorageUnavailable, DiskFull),
    )


async def _plan(services: Services, job: NewJob, incoming: IncomingFile) -> PrintablePlan:
    """What would be done. The store only lends the bytes to a worker; should this process die in between, they belong to
    no job, and the retention sweep takes them."""
    try:
        await services.storage.put_file(job.source_object, incoming.path)
        video = PlanVideo(source_object=job.source_object, size_bytes=job.size_bytes, **job.options.for_work())
        return await services.workflows.plan(video, PLAN_TIMEOUT, job.origin)
    finally:
        await asyncio.shield(services.storage.delete(layout.original_folder(job.id)))


async def body_of(request: Request) -> AsyncIterator[bytes]:
    """Raises UploadTooSlow. Only the time in which the client is waited for counts: it is not slow while our disk is."""
    settings, clock, body = services_of(request).settings.server, asyncio.get_running_loop(), request.stream()
    pace = Pace(settings)
    while True:
        began = clock.time()
        try:
            async with asyncio.timeout(pace.left):
                piece = await anext(body, None)
        except TimeoutError as error:
            raise UploadTooSlow(
                f"The upload was slower than {settings.min_bytes_per_second} bytes a second for "
                f"{settings.slow_client_seconds:g} seconds."
            ) from error
        if piece is None:
            return
        pace.went_on(clock.time() - began, len(piece))
        yield piece


def content_length(request: Request) -> int | None:
    """Unknown for chunked bodies. The server has refused anything that is not a number."""
    length = request.headers.get("content-length")
    return int(length) if length is not None else None
