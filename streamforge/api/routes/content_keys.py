"""`/keys/<job>/…`: what players decrypt with, for whoever may watch, or for whom `keys.token` says. One key in its 16 bytes
for HLS, or all of a job in the JSON of the W3C's Clear Key (Encrypted Media Extensions §9.1.4) for DASH."""

import re
from base64 import urlsafe_b64encode
from typing import Literal

from pydantic import BaseModel, ValidationError
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.watching import no_stream
from streamforge.api.openapi.operation import BYTES, Answer, Body, Operation, describes, json_of
from streamforge.api.services import Request, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.contracts.keys import ContentKey
from streamforge.errors import InvalidField, KeyNotFound, KeyRefused, MalformedJobId, MalformedKeyId, StorageUnavailable
from streamforge.packaging.presentation import HLS_MASTER
from streamforge.storage import layout

KEY_ID = re.compile(r"[0-9a-f]{32}")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MAX_REQUEST_BYTES = 64 * 1024


class ClearKey(BaseModel):
    """A JSON Web Key (RFC 7517); in base64url without padding."""

    kty: Literal["oct"] = "oct"
    kid: str
    k: str


class License(BaseModel):
    """Of the W3C's Clear Key (Encrypted Media Extensions §9.1.4)."""

    keys: list[ClearKey]
    type: str


class LicenseRequest(BaseModel):
    """Key ids in base64url without padding."""

    kids: list[str]
    type: str = "temporary"


@describes(
    Operation(
        tag="playback",
        summary="A content key, for HLS",
        answers=(Answer(200, "Its 16 bytes.", {"application/octet-stream": BYTES}, ("Cache-Control",)),),
        errors=(MalformedJobId, MalformedKeyId, KeyNotFound, KeyRefused, StorageUnavailable),
    )
)
async def content_key(request: Request) -> Response:
    key_id = request.path_params["key_id"].lower()
    if KEY_ID.fullmatch(key_id) is None:
        raise MalformedKeyId("A key id is 32 hex digits.")
    keys = await _keys(request)
    if key_id not in keys:
        raise KeyNotFound("The job has no such key, or this API has another keys.secret than the worker had.")
    return Response(keys[key_id].value, headers=HEADERS, media_type="application/octet-stream")


@describes(
    Operation(
        tag="playback",
        summary="The content keys of a job, for DASH with Clear Key",
        answers=(json_of(200, "All keys of the job for one of them.", License, "Cache-Control"),),
        errors=(MalformedJobId, InvalidField, KeyNotFound, KeyRefused, StorageUnavailable),
        body=Body("application/json", LicenseRequest),
    )
)
async def clear_key_license(request: Request) -> Response:
    """All keys of the job for one of them: hls.js takes the first answer for that to all it has asked."""
    keys = {_base64url(bytes.fromhex(key_id)): key for key_id, key in (await _keys(request)).items()}
    asked = await _license_request(request)
    if keys.keys().isdisjoint(asked.kids):
        raise KeyNotFound("The job has none of these keys, or this API has another keys.secret than the worker had.")
    found = [ClearKey(kid=kid, k=_base64url(key.value)) for kid, key in keys.items()]
    return answer(License(keys=found, type=asked.type), headers=HEADERS)


async def _keys(request: Request) -> dict[str, ContentKey]:
    """By key id. Raises MalformedJobId; KeyNotFound where there is no stream to decrypt (any more)."""
    services = services_of(request)
    job_id = parse_job_id(request.path_params["job_id"])
    if await services.storage.stat(layout.output(job_id, HLS_MASTER)) is None:
        raise no_stream()
    return {key.key_id: key for key in services.keys.known(job_id).values()}


async def _license_request(request: Request) -> LicenseRequest:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_REQUEST_BYTES:
            raise InvalidField("The licence request is too long.")
    try:
        return LicenseRequest.model_validate_json(body)
    except ValidationError as error:
        raise InvalidField('A licence request is JSON like {"kids": ["<key id in base64url>"]}.') from error


def _base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")
