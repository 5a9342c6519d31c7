"""`keys.token`: an operator's own word on who gets keys."""

import hmac
import re
from hashlib import sha256
from time import time
from typing import Any
from uuid import UUID

from starlette.requests import HTTPConnection

from streamforge.errors import KeyRefused

BEARER = "bearer "
UNIX_TIME = re.compile(r"[0-9]{1,12}")


def require_token(request: HTTPConnection[Any], job_id: UUID, secret: str) -> None:
    """The token itself, or a link that was signed with it and is not too old. Raises KeyRefused."""
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
