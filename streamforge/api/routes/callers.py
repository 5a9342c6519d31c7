"""`/tickets` and `/session`: for what can send no header, as `EventSource`, WebSockets and `<video>` in a browser."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.responses import Response

from streamforge.access.caller import Caller
from streamforge.access.caller import Scope as CallerScope
from streamforge.access.tickets import PARAMETER
from streamforge.api.http.answers import answer
from streamforge.api.http.authentication import COOKIE, COOKIE_BEHIND_TLS, session_cookie
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Answer, Body, Operation, describes, json_of
from streamforge.api.services import Request, caller_of, services_of
from streamforge.errors import AccessRefused, DatabaseUnavailable, ForeignPage, InvalidField

MAX_REQUEST_BYTES = 8 * 1024
NOT_KEPT = {"Cache-Control": "no-store"}
ADDRESS = r"^/([\x21\x22\x24-\x2e\x30-\x5b\x5d-\x7e][\x21\x22\x24-\x7e]*)?$"
"""Without a fragment, behind which a ticket would never be sent; and browsers take `//name` and `/\\name` for another server."""


PlainMoment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
"""In UTC, of whole seconds."""


class Ticket(BaseModel):
    """Good for one address, for a short time, and only to look."""

    ticket: str
    url: str = Field(description="the path that was asked for, with the ticket in its query")
    expires_at: PlainMoment


class Session(BaseModel):
    """Who asks. `credential` says what they showed, without giving it away."""

    owner: str
    scopes: list[CallerScope]
    credential: str
    expires_at: PlainMoment | None


class TicketRequest(BaseModel):
    """The address that is to be opened: its path, and its query if it has one."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(pattern=ADDRESS, max_length=2048)


@describes(
    Operation(
        tag="callers",
        summary="For what can send no header: an address that opens for a short time",
        answers=(json_of(201, "The address, with its ticket.", Ticket, "Cache-Control"),),
        errors=(InvalidField,),
        body=Body("application/json", TicketRequest),
    )
)
async def create_ticket(request: Request) -> Response:
    services = services_of(request)
    parameters(request)
    path = await _asked_for(request)
    ticket, until = services.tickets.create(caller_of(request), path)
    url = f"{path}{'&' if '?' in path else '?'}{PARAMETER}={ticket}"
    return answer(Ticket(ticket=ticket, url=url, expires_at=_moment(until)), 201, NOT_KEPT)


@describes(
    Operation(
        tag="callers",
        summary="Who am I",
        answers=(json_of(200, "Whoever asks, whatever they have shown.", Session, "Cache-Control"),),
        errors=(InvalidField,),
    )
)
async def get_session(request: Request) -> Response:
    """Who asks, whatever they have shown."""
    parameters(request)
    return answer(_view(caller_of(request)), headers=NOT_KEPT)


@describes(
    Operation(
        tag="callers",
        summary="Sign a browser in",
        says="A page shows a key or a token once, and gets a cookie that no script can read.",
        answers=(
            json_of(201, "The session, and its cookie.", Session, "Cache-Control", "Set-Cookie"),
            json_of(
                200, "Nobody has to say who they are here, so there is nothing to remember.", Session, "Cache-Control"
            ),
        ),
        errors=(InvalidField,),
    )
)
async def create_session(request: Request) -> Response:
    services, caller = services_of(request), caller_of(request)
    parameters(request)
    if not services.settings.auth.required:
        return answer(_view(caller), headers=NOT_KEPT)
    token, expires_at = await services.sessions.create(caller)
    signed_in = answer(_view(caller).model_copy(update={"expires_at": _moment(expires_at)}), 201, NOT_KEPT)
    _set_cookie(request, signed_in, token, expires_at)
    return signed_in


@describes(
    Operation(
        tag="callers",
        summary="Sign out",
        answers=(
            Answer(204, "The browser forgets it, also one that was over.", headers=("Cache-Control", "Set-Cookie")),
        ),
        errors=(InvalidField, DatabaseUnavailable),
    )
)
async def end_session(request: Request) -> Response:
    """Also one that is over: the browser forgets it in any case."""
    parameters(request)
    try:
        caller_of(request)
    except ForeignPage:
        raise
    except AccessRefused:
        pass
    if (token := session_cookie(request)) is not None:
        await services_of(request).sessions.end(token)
    signed_out = Response(status_code=204, headers=NOT_KEPT)
    _set_cookie(request, signed_out, "", datetime.fromtimestamp(0, UTC))
    return signed_out


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


def _view(caller: Caller) -> Session:
    return Session(
        owner=caller.owner,
        scopes=sorted(caller.scopes),
        credential=caller.credential,
        expires_at=_moment(caller.expires_at) if caller.expires_at is not None else None,
    )


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
