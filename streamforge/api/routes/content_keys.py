"""`/keys/<job>/…`: what players decrypt with, for whoever may watch, or for whom `keys.token` says. One key in its 16 bytes
for HLS, or all of a job in the JSON of the W3C's Clear Key (Encrypted Media Extensions §9.1.4) for DASH."""

import re
from base64 import urlsafe_b64encode

from pydantic import BaseModel, ValidationError
from starlette.responses import JSONResponse, Response

from streamforge.api.http.watching import no_stream
from streamforge.api.services import Request, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.contracts.keys import ContentKey
from streamforge.errors import InvalidField, KeyNotFound, MalformedKeyId
from streamforge.packaging.presentation import HLS_MASTER
from streamforge.storage import layout

KEY_ID = re.compile(r"[0-9a-f]{32}")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MAX_REQUEST_BYTES = 64 * 1024


class LicenseRequest(BaseModel):
    """Key ids in base64url without padding."""

    kids: list[str]
    type: str = "temporary"


async def content_key(request: Request) -> Response:
    key_id = request.path_params["key_id"].lower()
    if KEY_ID.fullmatch(key_id) is None:
        raise MalformedKeyId("A key id is 32 hex digits.")
    keys = await _keys(request)
    if key_id not in keys:
        raise KeyNotFound("The job has no such key, or this API has another keys.secret than the worker had.")
    return Response(keys[key_id].value, headers=HEADERS, media_type="application/octet-stream")


async def clear_key_license(request: Request) -> Response:
    """All keys of the job for one of them: hls.js takes the first answer for that to all it has asked."""
    keys = {_base64url(bytes.fromhex(key_id)): key for key_id, key in (await _keys(request)).items()}
    asked = await _license_request(request)
    if keys.keys().isdisjoint(asked.kids):
        raise KeyNotFound("The job has none of these keys, or this API has another keys.secret than the worker had.")
    found = [{"kty": "oct", "kid": kid, "k": _base64url(key.value)} for kid, key in keys.items()]
    return JSONResponse({"keys": found, "type": asked.type}, headers=HEADERS)


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
