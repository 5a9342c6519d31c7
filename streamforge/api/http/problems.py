"""Every error as `application/problem+json` (RFC 9457) with a stable `code`."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import structlog
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ExceptionHandler, Receive, Scope, Send

from streamforge.errors import AccessRefused, LimitReached, StreamForgeError

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 5
REALM = "streamforge"
HEADERS = {
    401: {"WWW-Authenticate": f'Bearer realm="{REALM}"'},
    429: {"Retry-After": str(RETRY_AFTER_SECONDS)},
    503: {"Retry-After": str(RETRY_AFTER_SECONDS)},
}
"""What goes along with a status, whatever the code."""

log = structlog.stdlib.get_logger(__name__)

_ROUTER_SENTENCES = {
    404: ("not_found", "There is nothing at this address."),
    405: ("method_not_allowed", "This address does not know that method."),
}


class Problem(BaseModel):
    """Why a request was refused, or failed. `code` is stable; `detail` is one sentence a person can act on."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    code: str
    request_id: str | None = Field(description="by which the logs know the request")


PHRASES = {460: "Checksum Mismatch"}
"""Of the tus protocol; HTTP itself knows no such status."""


def phrase_of(status: int) -> str:
    return PHRASES.get(status) or HTTPStatus(status).phrase


def problem_body(status: int, code: str, detail: str, request_id: str | None) -> bytes:
    title = phrase_of(status)
    told = Problem(title=title, status=status, detail=detail, code=code, request_id=request_id)
    return json.dumps(told.model_dump()).encode()


def problem(
    request: HTTPConnection[Any], status: int, code: str, detail: str, headers: Mapping[str, str] | None = None
) -> Response:
    state = request.scope.get("state", {})
    # For the audit log, which sees only the answer.
    state["problem"] = code
    body = problem_body(status, code, detail, state.get("request_id"))
    # Caches may keep a 404 by guess (RFC 9111 §4.2.2), and the next who asks may be shown more.
    headers = {"Cache-Control": "no-store", **(headers or {})}
    return Response(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def problem_of(request: HTTPConnection[Any], error: StreamForgeError) -> Response:
    return problem(request, error.http_status, error.code, error.message, _headers_of(error))


def _headers_of(error: StreamForgeError) -> Mapping[str, str] | None:
    if isinstance(error, LimitReached):
        return {"Retry-After": str(error.retry_after)}
    return challenge(error) if isinstance(error, AccessRefused) else HEADERS.get(error.http_status)


def challenge(error: AccessRefused) -> dict[str, str]:
    """What would do instead (RFC 6750 §3). An error is named only where something was shown: §3.1."""
    parts = [f'realm="{REALM}"']
    if error.bearer_error is not None:
        # The sentences are ours, and have no quotation marks.
        parts += [f'error="{error.bearer_error}"', f'error_description="{error.message}"']
    if error.scope is not None:
        parts.append(f'scope="{error.scope}"')
    return {"WWW-Authenticate": f"Bearer {', '.join(parts)}"}


def internal_problem(request: HTTPConnection[Any]) -> Response:
    """For errors nobody foresaw: the log has the rest, under the same request id."""
    return problem(request, 500, "internal", "Something went wrong on our side; the log knows what.")


async def nothing_here(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise HTTPException(404)


async def _known_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, StreamForgeError)
    if error.http_status >= 500:
        log.warning("request failed", code=error.code, detail=error.message, debug=error.debug)
    return problem_of(request, error)


async def _router_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code, detail = _ROUTER_SENTENCES.get(error.status_code, ("http", error.detail))
    return problem(request, error.status_code, code, detail, error.headers)


HANDLERS: Mapping[type[Exception], ExceptionHandler] = {
    StreamForgeError: _known_error,
    HTTPException: _router_error,
}
"""Anything else is caught by streamforge.api.http.middleware.Recovery."""
