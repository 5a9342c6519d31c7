"""`/tickets` and `/session`: for what can send no header, as `EventSource`, WebSockets and `<video>` in a browser."""

from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import JSONResponse, Response

from streamforge.access.caller import Caller
from streamforge.access.tickets import PARAMETER
from streamforge.api.http.authentication import COOKIE, COOKIE_BEHIND_TLS, session_cookie
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.services import Request, caller_of, services_of
from streamforge.errors import AccessRefused, ForeignPage, InvalidField

MAX_REQUEST_BYTES = 8 * 1024
NOT_KEPT = {"Cache-Control": "no-store"}


class TicketRequest(BaseModel):
    """The address that is to be opened: its path, and its query if it has one."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(pattern=r"^/[\x21-\x7e]*$", max_length=2048)


async def create_ticket(request: Request) -> Response:
    services = services_of(request)
    parameters(request)
    path = await _asked_for(request)
    ticket, until = services.tickets.create(caller_of(request), path)
    url = f"{path}{'&' if '?' in path else '?'}{PARAMETER}={ticket}"
    answer = {"ticket": ticket, "url": url, "expires_at": _moment(until)}
    return JSONResponse(answer, status_code=201, headers=NOT_KEPT)


async def get_session(request: Request) -> Response:
    """Who asks, whatever they have shown."""
    parameters(request)
    return JSONResponse(_view(caller_of(request)), headers=NOT_KEPT)


async def create_session(request: Request) -> Response:
    """Where nobody has to say who they are there is nothing to remember."""
    services, caller = services_of(request), caller_of(request)
    parameters(request)
    if not services.settings.auth.required:
        return JSONResponse(_view(caller), headers=NOT_KEPT)
    token, expires_at = await services.sessions.create(caller)
    answer = JSONResponse({**_view(caller), "expires_at": _moment(expires_at)}, status_code=201, headers=NOT_KEPT)
    _set_cookie(request, answer, token, expires_at)
    return answer


async def end_session(request: Request) -> Response:
    """Also one that is over: the browser forgets it in any case."""
    parameters(request)
    try:
        caller_of(request)
    except ForeignPage:
        raise
    except AccessRefused:
        pass
    if (token := session_cookie(request.headers)) is not None:
        await services_of(request).sessions.end(token)
    answer = Response(status_code=204, headers=NOT_KEPT)
    _set_cookie(request, answer, "", datetime.fromtimestamp(0, UTC))
    return answer


async def _asked_for(request: Request) -> str:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_REQUEST_BYTES:
            raise InvalidField("The request for a ticket is too long.")
    try:
        return TicketRequest.model_validate_json(body).path
    except ValidationError as error:
        raise InvalidField(
            'A ticket is asked for with JSON like {"path": "/jobs/…/stream"}, and nothing else.'
        ) from error


def _view(caller: Caller) -> dict[str, Any]:
    return {
        "owner": caller.owner,
        "scopes": sorted(caller.scopes),
        "credential": caller.credential,
        "expires_at": _moment(caller.expires_at) if caller.expires_at is not None else None,
    }


def _set_cookie(request: Request, answer: Response, token: str, expires_at: datetime) -> None:
    secure = _is_behind_tls(request)
    answer.set_cookie(
        COOKIE_BEHIND_TLS if secure else COOKIE,
        token,
        max_age=max(0, int((expires_at - datetime.now(UTC)).total_seconds())),
        path="/",
        httponly=True,
        samesite="strict",
        secure=secure,
    )


def _is_behind_tls(request: Request) -> bool:
    """As the proxy says that is trusted, or the page itself, which knows how it came."""
    return request.scope["scheme"] == "https" or request.headers.get("origin", "").startswith("https://")


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
