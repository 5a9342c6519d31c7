"""`/keys/<job>/…`: what players decrypt with. One key in its 16 bytes for HLS, or all of a job in the JSON of the W3C's
Clear Key (Encrypted Media Extensions §9.1.4) for DASH."""

import hmac
import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from time import time
from uuid import UUID

from pydantic import BaseModel, SecretStr, ValidationError
from starlette.responses import JSONResponse, Response

from streamforge.api.services import Request, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.contracts.keys import ContentKey
from streamforge.errors import InvalidField, KeyNotFound, KeyRefused, MalformedKeyId
from streamforge.packaging.presentation import HLS_MASTER
from streamforge.storage import layout

KEY_ID = re.compile(r"[0-9a-f]{32}")
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
MAX_REQUEST_BYTES = 64 * 1024
BEARER = "bearer "
UNIX_TIME = re.compile(r"[0-9]{1,12}")


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
    """By key id. Raises MalformedJobId; KeyRefused; KeyNotFound where there is no stream to decrypt (any more)."""
    services = services_of(request)
    job_id = parse_job_id(request.path_params["job_id"])
    _authorize(request, job_id, services.settings.keys.token)
    if await services.storage.stat(layout.output(job_id, HLS_MASTER)) is None:
        raise KeyNotFound("The job has no stream.")
    return {key.key_id: key for key in services.keys.known(job_id).values()}


def _authorize(request: Request, job_id: UUID, token: SecretStr | None) -> None:
    """The token itself, or a link that was signed with it and is not too old. Raises KeyRefused."""
    if token is None:
        return
    secret = token.get_secret_value()
    shown = request.headers.get("authorization", "")
    if shown.lower().startswith(BEARER) and _same(shown[len(BEARER) :], secret):
        return
    query = request.query_params
    expires = query.get("expires", "")
    if UNIX_TIME.fullmatch(expires) is None or not _same(query.get("signature", ""), signed(secret, job_id, expires)):
        raise KeyRefused("Keys are only given with the token of keys.token, or with a link signed with it.")
    if int(expires) < time():
        raise KeyRefused("The link to this key has expired.")


def signed(token: str, job_id: UUID, expires: str) -> str:
    """HMAC-SHA256 in hex of `<job id>:<Unix time>`."""
    return hmac.new(token.encode(), f"{job_id}:{expires}".encode(), sha256).hexdigest()


def _same(shown: str, expected: str) -> bool:
    return hmac.compare_digest(shown.encode(), expected.encode())


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
