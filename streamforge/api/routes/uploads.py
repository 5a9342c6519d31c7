"""`/uploads`: uploads that can be resumed, by tus 1.0.0. Their last byte does what `POST /process` does."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from pydantic import BaseModel, Field
from starlette.requests import HTTPConnection
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.middleware import address_of
from streamforge.api.http.origins import origin_of
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Answer, Header, Operation, describes, json_of
from streamforge.api.resumable import protocol
from streamforge.api.resumable.holdings import Holding, Interrupted
from streamforge.api.resumable.protocol import JOB_ID, VERSION
from streamforge.api.resumable.uploads import BEGAN
from streamforge.api.routes.process import admit, body_of, content_length
from streamforge.api.routes.process_fields import OPTIONS, options_of, parse_field
from streamforge.api.services import Own, Request, Services, own, owner_of, services_of
from streamforge.api.uploads import too_large
from streamforge.contracts.ids import key_from_filename, new_job_id, parse_job_id, workflow_id
from streamforge.contracts.origin import Origin
from streamforge.db.jobs import NewJob
from streamforge.db.uploads import NewUpload, UploadRow
from streamforge.errors import (
    BytesUsedUp,
    ChecksumMismatch,
    DiskFull,
    EmptyUpload,
    InvalidField,
    InvalidKey,
    InvalidUploadHeader,
    MalformedJobId,
    MinutesUsedUp,
    NotAVideo,
    StorageCorrupted,
    StorageUnavailable,
    TooManyJobs,
    TooManyUploads,
    UnsupportedTusVersion,
    UploadComplete,
    UploadContentType,
    UploadExpired,
    UploadGone,
    UploadIsFinal,
    UploadLocked,
    UploadLongerThanSaid,
    UploadNotFound,
    UploadOffsetMismatch,
    UploadTooLarge,
    UploadTooSlow,
    UploadUnfinished,
)
from streamforge.storage import layout

TUS = Header("Tus-Resumable", "`1.0.0`: the version of the protocol.")
FIND = (UnsupportedTusVersion, UploadNotFound, UploadGone, UploadExpired)
WRITE = (
    InvalidUploadHeader, UploadContentType, NotAVideo, UploadTooLarge, UploadLongerThanSaid, ChecksumMismatch, EmptyUpload,
    DiskFull, StorageUnavailable, UploadLocked, BytesUsedUp, MinutesUsedUp, TooManyUploads, UploadOffsetMismatch, UploadTooSlow,
)  # fmt: skip
FILE_NAMES = ("filename", "name")
"""Where tus-js-client and Uppy put it."""
LOOK_PATIENCE_SECONDS = 1.0

log = structlog.stdlib.get_logger(__name__)


class UploadView(BaseModel):
    """How far an upload is. `job_id` is null for a part of another one."""

    id: UUID
    job_id: UUID | None
    received_bytes: int
    size_bytes: int | None = Field(description="null: its sender does not know yet")
    expires_at: datetime | None = Field(description="null: it is complete")


@describes(
    Operation(
        tag="uploads",
        summary="What this server has of tus",
        answers=(
            Answer(204, "In headers.", headers=("Tus-Resumable", "Tus-Version", "Tus-Extension", "Tus-Max-Size")),
        ),
    )
)
async def upload_options(request: Request) -> Response:
    headers = {
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(protocol.EXTENSIONS),
        "Tus-Max-Size": str(services_of(request).settings.input.max_size_bytes),
        "Tus-Checksum-Algorithm": ",".join(protocol.CHECKSUMS),
    }
    return Response(status_code=204, headers=headers)


@describes(
    Operation(
        tag="uploads",
        summary="Begin an upload",
        says="`Upload-Metadata` has the fields of `POST /process` (`filename`, `key`, `priority`, `profile`, …); what else is in "
        "it is kept and means nothing. With `Content-Type: application/offset+octet-stream` the first bytes come along.",
        answers=(
            Answer(
                201,
                "It has an address.",
                headers=("Location", "Tus-Resumable", "Upload-Offset", "Upload-Expires", JOB_ID),
            ),
        ),
        errors=(InvalidField, InvalidKey, TooManyJobs, UploadUnfinished, *FIND, *WRITE),
        headers=(
            TUS,
            Header("Upload-Length", "Bytes of the whole."),
            Header("Upload-Defer-Length", "`1`: the length is told later."),
            Header("Upload-Metadata", "Names and values in Base64."),
            Header("Upload-Concat", "`partial`, or `final;` and the addresses of the parts."),
            Header("Upload-Checksum", "`sha1` or `sha256` and the digest of this request's bytes in Base64."),
        ),
    )
)
async def create_upload(request: Request) -> Response:
    services, headers = services_of(request), request.headers
    parameters(request)
    protocol.require_version(headers)
    parts = protocol.parts_of(headers)
    if parts is not None:
        return await _create_of_parts(request, services, parts)
    length, checksum = protocol.length_of(headers), protocol.checksum_of(headers)
    bytes_come = "content-type" in headers and content_length(request) != 0
    if bytes_come:
        # Before there is a job: nobody would be told its address.
        protocol.require_octets(headers)
    upload = _new_upload(request, services, length, is_part="upload-concat" in headers)
    if await _begun_before(request) is None:
        await _admit(services, own(request), length, content_length(request))
        await own(request).uploads.create(upload, BEGAN, services.resumable.lasts)
    row = await _find(request, upload.id)
    # What came before a process died is there; the answer says where to go on.
    if bytes_come and row.received == 0:
        row = await _write(request, row, 0, checksum)
    elif length == 0:
        await _nothing_comes(services, row)
    return Response(status_code=201, headers={"Location": f"/uploads/{row.id}", **_progress(row)})


@describes(
    Operation(
        tag="uploads",
        summary="How far an upload is",
        says="By HEAD in the headers of tus.",
        answers=(
            json_of(
                200, "Where to go on.", UploadView,
                "Tus-Resumable", "Upload-Offset", "Upload-Length", "Upload-Defer-Length", "Upload-Metadata", "Upload-Concat",
                "Upload-Expires", JOB_ID, "Cache-Control",
            ),
        ),
        errors=FIND,
        headers=(TUS,),
    )
)  # fmt: skip
async def get_upload(request: Request) -> Response:
    parameters(request)
    if request.method != "GET":
        protocol.require_version(request.headers)
    row = _present(await _find(request, _id_of(request)))
    if request.method != "GET" and row.is_open and not row.has_arrived:
        # What a connection that died has left is written first; one that lives is only looked at. GET is for people and pages
        # that watch: a sender that is slow must not lose its connection each time one of them looks.
        with suppress(UploadLocked):
            async with services_of(request).resumable.holdings.hold(row.id, patience=LOOK_PATIENCE_SECONDS):
                row = _present(await _find(request, row.id))
    elif row.is_open and row.has_arrived and row.job_id is not None and not row.made_of:
        row = await _finished(request, row)
    view = UploadView(
        id=row.id,
        job_id=row.job_id,
        received_bytes=row.received,
        size_bytes=row.length,
        expires_at=row.expires_at if row.is_open else None,
    )
    return answer(view, 200, {"Cache-Control": "no-store", **_progress(row), **_nature(row)})


@describes(
    Operation(
        tag="uploads",
        summary="Go on with an upload",
        answers=(Answer(204, "So far it is.", headers=("Tus-Resumable", "Upload-Offset", "Upload-Expires", JOB_ID)),),
        errors=(UploadIsFinal, *FIND, *WRITE),
        headers=(
            TUS,
            Header("Upload-Offset", "Where these bytes begin: where the upload is."),
            Header("Upload-Length", "Bytes of the whole, where they were not told before."),
            Header("Upload-Checksum", "`sha1` or `sha256` and the digest of this request's bytes in Base64."),
        ),
    )
)
async def patch_upload(request: Request) -> Response:
    parameters(request)
    protocol.require_version(request.headers)
    protocol.require_octets(request.headers)
    offset, checksum = protocol.number(request.headers, "Upload-Offset"), protocol.checksum_of(request.headers)
    if offset is None:
        raise InvalidUploadHeader("`Upload-Offset` says where the bytes begin.")
    row = _present(await _find(request, _id_of(request)))
    if row.made_of:
        raise UploadIsFinal("This upload was put together of others; no bytes are added to it.")
    return Response(status_code=204, headers=_progress(await _write(request, row, offset, checksum)))


@describes(
    Operation(
        tag="uploads",
        summary="End an upload that is not complete",
        answers=(Answer(204, "What had come is deleted, and its job cancelled.", headers=("Tus-Resumable",)),),
        errors=(UploadComplete, UploadLocked, *FIND),
        headers=(TUS,),
    )
)
async def delete_upload(request: Request) -> Response:
    parameters(request)
    protocol.require_version(request.headers)
    row = _present(await _find(request, _id_of(request)))
    resumable = services_of(request).resumable
    async with resumable.holdings.hold(row.id, at_once=True):
        row = _present(await _find(request, row.id))
        if not row.is_open:
            raise UploadComplete("This upload is complete; `DELETE /jobs/<id>` cancels its job.")
        await resumable.end(row)
    return Response(status_code=204)


METHODS = {"PATCH": patch_upload, "DELETE": delete_upload, "HEAD": get_upload}


@describes(
    Operation(
        tag="uploads",
        summary="PATCH, DELETE or HEAD, from where only POST can be sent",
        answers=(Answer(200, "As for HEAD."), Answer(204, "As for PATCH and DELETE.")),
        errors=(UploadIsFinal, UploadComplete, *FIND, *WRITE),
        headers=(Header("X-HTTP-Method-Override", "The method that is meant."),),
    )
)
async def post_to_upload(request: Request) -> Response:
    """Raises InvalidUploadHeader."""
    method = METHODS.get(request.headers.get("x-http-method-override", "").upper())
    if method is None:
        raise InvalidUploadHeader("Send PATCH, DELETE or HEAD, or POST with one of them in `X-HTTP-Method-Override`.")
    response: Response = await method(request)
    return response


# ── creation ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _begun_before(request: Request) -> UploadRow | None:
    """By a process that died before it could say so: see `Idempotency-Key`."""
    made_id = made_id_of(request.scope)
    return None if made_id is None else await own(request).uploads.get(made_id)


def _new_upload(
    request: Request,
    services: Services,
    length: int | None,
    *,
    is_part: bool = False,
    made_of: list[UUID] | None = None,
) -> NewUpload:
    metadata = protocol.metadata_of(request.headers)
    upload_id = made_id_of(request.scope) or new_job_id()
    structlog.contextvars.bind_contextvars(job_id=str(upload_id))
    job = None if is_part else _job(upload_id, metadata, services, length or 0, origin_of(request.scope))
    return NewUpload(
        id=upload_id, length=length, metadata=request.headers.get("upload-metadata", ""), job=job, made_of=made_of
    )


def _job(job_id: UUID, metadata: dict[str, str], services: Services, size_bytes: int, origin: Origin) -> NewJob:
    """As a form of `POST /process` with these fields. Other names are the client's own business: Uppy sends some.

    Raises InvalidField, InvalidKey.
    """
    profiles = services.settings.profiles
    fields: dict[str, Any] = {
        name: parse_field(name, metadata[name], profiles) for name in ("key", *OPTIONS) if metadata.get(name)
    }
    filename = next((metadata[name] for name in FILE_NAMES if metadata.get(name)), None)
    key = fields.pop("key", None) or key_from_filename(filename)
    return NewJob(
        id=job_id,
        key=key,
        workflow_id=workflow_id(key, job_id),
        source_object=layout.original(job_id),
        size_bytes=size_bytes,
        source_sha256="",
        options=options_of(fields),
        origin=origin,
    )


async def _admit(services: Services, mine: Own, length: int | None, coming: int | None) -> None:
    """As before a form is read. Raises what `admit` does, UploadTooLarge, TooManyJobs, BytesUsedUp."""
    if length is not None and length > services.settings.input.max_size_bytes:
        raise too_large(services.settings.input)
    size_bytes = length if length is not None else coming or 0
    await services.uploads.admit_several(size_bytes)
    await admit(services, "database", "storage")
    await services.quotas.admit(mine.jobs, size_bytes=size_bytes)


async def _nothing_comes(services: Services, row: UploadRow) -> None:
    """Raises EmptyUpload. An empty part is one all the same."""
    if row.job_id is not None:
        error = EmptyUpload("The video is empty: not one byte arrived.")
        await services.resumable.refuse(row, error)
        raise error


async def _create_of_parts(request: Request, services: Services, ids: Sequence[UUID]) -> Response:
    """The final upload of concatenation. Raises UploadUnfinished for a part that is not whole. In a folder the first part
    grows by the others: two who put it together in one moment would write over each other's video."""
    async with services.resumable.holdings.hold(ids[0]):
        return await _put_together(request, services, ids)


async def _put_together(request: Request, services: Services, ids: Sequence[UUID]) -> Response:
    known = await _begun_before(request)
    if known is not None and not known.is_open:
        return _put_together_as(known)
    parts = [_present(await _find(request, part)) for part in ids]
    for part in parts:
        if not (part.is_part and part.has_arrived):
            raise UploadUnfinished(f"The upload {part.id} is not complete, or no part: it cannot be put together yet.")
    length = sum(part.received for part in parts)
    upload = _new_upload(request, services, length, made_of=list(ids))
    if length > services.settings.input.max_size_bytes:
        raise too_large(services.settings.input)
    if known is None:
        # Their bytes were counted when they came.
        await services.quotas.admit(own(request).jobs)
        await own(request).uploads.create(upload, BEGAN, services.resumable.lasts)
    row = (await _find(request, upload.id)).model_copy(update={"received": length})
    async with services.resumable.holdings.hold(row.id):
        if length == 0:
            await _nothing_comes(services, row)
        try:
            await services.resumable.finish(row, parts)
        except StorageCorrupted as error:
            raise await _lost(request, row, error) from error
    return _put_together_as(row)


def _put_together_as(row: UploadRow) -> Response:
    return Response(status_code=201, headers={"Location": f"/uploads/{row.id}", JOB_ID: str(row.job_id)})


# ── writing ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def _write(request: Request, row: UploadRow, offset: int, checksum: protocol.Checksum | None) -> UploadRow:
    services = services_of(request)
    await services.uploads.admit_several(content_length(request) or 0)
    uploading = services.quotas.uploading(owner_of(request), address_of(request.scope))
    async with uploading, services.resumable.holdings.hold(row.id) as holding:
        # Again: whoever held it before may have gone on.
        row = _present(await _find(request, row.id))
        return await _received(request, row, offset, holding, checksum)


async def _received(
    request: Request, row: UploadRow, offset: int, holding: Holding, checksum: protocol.Checksum | None
) -> UploadRow:
    services, coming = services_of(request), content_length(request)
    if offset != row.received or not row.is_open:
        raise UploadOffsetMismatch(f"The upload is at {row.received}, not at {offset}.")
    known, row = row, _with_length(request, services, row)
    if row.length is not None and coming is not None and offset + coming > row.length:
        raise UploadLongerThanSaid(f"These are more than the {row.length} bytes that `Upload-Length` said.")
    if known.length is None:
        # When it began nobody knew how much would come. What is there counts already.
        more = coming or 0 if row.length is None else row.length - row.received
        await services.quotas.admit(own(request).jobs, videos=0, size_bytes=more)
    if row.length != known.length:
        # Told once, it counts, be it by a request that brings no bytes.
        await services.resumable.record_length(row)
    try:
        row = await services.resumable.receive(row, body_of(request), holding, checksum)
        if row.length == 0:
            await _nothing_comes(services, row)
        elif row.has_arrived:
            await services.resumable.finish(row)
    except Interrupted as error:
        raise holding.because or UploadLocked("Another request goes on with this upload.") from error
    except StorageCorrupted as error:
        raise await _lost(request, row, error) from error
    return await _find(request, row.id)


def _with_length(request: Request, services: Services, row: UploadRow) -> UploadRow:
    """Raises InvalidUploadHeader, UploadTooLarge."""
    length = protocol.number(request.headers, "Upload-Length")
    if length is None or length == row.length:
        return row
    if row.length is not None or length < row.received:
        raise InvalidUploadHeader("`Upload-Length` was told before, or is less than what has come.")
    if length > services.settings.input.max_size_bytes:
        raise too_large(services.settings.input)
    return row.model_copy(update={"length": length})


async def _lost(request: Request, row: UploadRow, error: StorageCorrupted) -> UploadGone:
    """Its job was cancelled meanwhile, and its bytes deleted; or the store has lost them."""
    if (await _find(request, row.id)).is_open:
        log.error("the store has lost an upload", upload_id=str(row.id), debug=error.debug)
        await services_of(request).resumable.refuse(row, error)
    return UploadGone("What had come of this upload is gone; begin a new one.")


async def _finished(request: Request, row: UploadRow) -> UploadRow:
    """All its bytes came, and the process died that should have begun its job."""
    resumable = services_of(request).resumable
    async with resumable.holdings.hold(row.id):
        row = _present(await _find(request, row.id))
        if row.is_open:
            await resumable.finish(row)
    return await _find(request, row.id)


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────
def _id_of(request: Request) -> UUID:
    """Raises UploadNotFound: to a client of tus any other address is one that is gone."""
    try:
        return parse_job_id(request.path_params["upload_id"])
    except MalformedJobId as error:
        raise UploadNotFound("There is no such upload.") from error


async def _find(request: HTTPConnection[Any], upload_id: UUID) -> UploadRow:
    """Raises UploadNotFound."""
    row = await own(request).uploads.get(upload_id)
    if row is None:
        raise UploadNotFound("There is no such upload.")
    return row


def _present(row: UploadRow) -> UploadRow:
    """Raises UploadGone, UploadExpired."""
    if row.has_come_to_nothing:
        raise UploadGone(row.job_error or "The upload was ended.")
    if row.is_open and row.has_expired and not row.has_arrived:
        raise UploadExpired("The upload was not continued in time; begin a new one.")
    return row


def _progress(row: UploadRow) -> dict[str, str]:
    told = {"Upload-Offset": str(row.received)}
    if row.is_open:
        told["Upload-Expires"] = protocol.http_date(row.expires_at)
    if row.job_id is not None:
        told[JOB_ID] = str(row.job_id)
    return told


def _nature(row: UploadRow) -> dict[str, str]:
    told = {"Upload-Defer-Length": "1"} if row.length is None else {"Upload-Length": str(row.length)}
    if row.metadata:
        told["Upload-Metadata"] = row.metadata
    if row.made_of:
        told["Upload-Concat"] = protocol.FINAL + " ".join(f"/uploads/{part}" for part in row.made_of)
    elif row.is_part:
        told["Upload-Concat"] = "partial"
    return told
