"""`POST /process` with an address in place of a video: a worker fetches it."""

import asyncio
from contextlib import suppress
from functools import partial
from uuid import UUID

import structlog
from pydantic import ConfigDict, Field

from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.json_body import body_of
from streamforge.api.http.origins import origin_of
from streamforge.api.services import Request, Services, own, services_of
from streamforge.contracts.ids import clean_key, key_from_filename, workflow_id
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.source_url import SourceUrl
from streamforge.db.jobs import NewJob
from streamforge.errors import IdempotencyKeyReused
from streamforge.outbound.addresses import Outbound
from streamforge.retry import until_available
from streamforge.storage import layout

MEDIA_TYPE = "application/json"
WAITS = "Waiting to be downloaded"
WRITE_WAIT_SECONDS = 10.0
"""Nothing was sent: whoever comes in an outage asks again."""
LOOK_SECONDS = 3.0
"""For a resolver that is slow; the worker looks again, and waits for it."""

log = structlog.stdlib.get_logger(__name__)


class ProcessUrl(JobOptions):
    """Where a video is, and what is asked for."""

    model_config = ConfigDict(extra="forbid", strict=True)

    source_url: str = Field(
        description="http:// or https://, with `user:password@` where it takes one; s3://, gs:// or az:// where an operator has "
        "named the bucket. What is secret in it is shown to nobody"
    )
    key: str | None = Field(None, description="names the video for people; left out: the file's name in the address")


def has_url(request: Request) -> bool:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() == MEDIA_TYPE


async def accept_url(request: Request, job_id: UUID) -> None:
    """Raises InvalidField, InvalidKey, SourceNotAllowed, AddressRefused, IdempotencyKeyReused, DatabaseUnavailable, and what
    quotas raise."""
    services = services_of(request)
    asked = await body_of(request, ProcessUrl, context=JobOptions.context(services.settings.profiles))
    url = SourceUrl.parse(asked.source_url)
    job = _job(job_id, asked, url, request)
    if await _was_accepted(request, job_id, url):
        return
    await _require_allowed(services, url)
    await services.quotas.admit(own(request).jobs)
    create = partial(own(request).jobs.create_fetched, job, url.text, url.shown, WAITS)
    await until_available(create, give_up_after=WRITE_WAIT_SECONDS)
    services.launcher.wake()
    log.info("job accepted", source=url.shown)


def _job(job_id: UUID, asked: ProcessUrl, url: SourceUrl, request: Request) -> NewJob:
    key = clean_key(asked.key) if asked.key else None
    key = key or key_from_filename(url.file_name)
    return NewJob(
        id=job_id,
        key=key,
        workflow_id=workflow_id(key, job_id),
        source_object=layout.original(job_id),
        size_bytes=0,
        source_sha256="",
        options=JobOptions.model_validate(asked.model_dump(include=set(JobOptions.model_fields))),
        origin=origin_of(request.scope),
    )


async def _was_accepted(request: Request, job_id: UUID, url: SourceUrl) -> bool:
    """By a process that died before it could say so. Raises IdempotencyKeyReused where that was another video."""
    if made_id_of(request.scope) is None or (known := await own(request).jobs.get(job_id)) is None:
        return False
    if known.source_url != url.shown:
        raise IdempotencyKeyReused("Another video was accepted under this `Idempotency-Key`; give each its own.")
    return True


async def _require_allowed(services: Services, url: SourceUrl) -> None:
    """What the worker would refuse, refused at once."""
    settings = services.settings
    settings.source_urls.require_allowed(url)
    if not url.is_object:
        with suppress(TimeoutError):
            async with asyncio.timeout(LOOK_SECONDS):
                await Outbound(settings.outbound.allowed_networks).require_allowed(url.text)
