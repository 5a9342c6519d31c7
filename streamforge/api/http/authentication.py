"""Who asks, found out before anything else looks at the request; what a route needs decides later whether that will do."""

from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from streamforge.access.authenticator import Shown
from streamforge.access.caller import Caller
from streamforge.access.tickets import PARAMETER
from streamforge.api.http.foreign_pages import SAFE_METHODS, is_own_page
from streamforge.api.http.middleware import CONNECTIONS
from streamforge.api.services import AppState, services_of
from streamforge.errors import ForeignPage, StreamForgeError
from streamforge.settings import ServerSettings

BEARER = "bearer "
COOKIE_BEHIND_TLS = "__Host-streamforge"
"""Browsers take a cookie of such a name over TLS only, and from this very host, not from its siblings."""
COOKIE = "streamforge"


class Authentication:
    """Put the caller into the connection's state, or why there is none: routes that need nobody do not mind. A ticket is
    taken out of the query, so that nothing behind sees it, or logs it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in CONNECTIONS:
            ticket = _take_ticket(scope)
            scope["state"]["caller"] = await _caller(HTTPConnection(scope), ticket)
        await self.app(scope, receive, send)


def session_cookie(connection: HTTPConnection[Any]) -> str | None:
    """What the cookie of a session holds. Behind TLS of no other name: pages of sibling hosts, and whoever sits in a plain
    connection, can set one of a plain name, and so sign somebody in as themselves."""
    is_behind_tls = connection.scope["scheme"] in {"https", "wss"}
    names = [COOKIE_BEHIND_TLS] if is_behind_tls else [COOKIE_BEHIND_TLS, COOKIE]
    return next((connection.cookies[name] for name in names if name in connection.cookies), None)


async def _caller(connection: HTTPConnection[AppState], ticket: str | None) -> Caller | StreamForgeError:
    services = services_of(connection)
    try:
        shown = _shown(connection, ticket)
        if shown.cookie is not None:
            _refuse_other_pages(connection, services.settings.server)
        return await services.authenticator.caller(shown)
    except StreamForgeError as error:
        return error


def _shown(connection: HTTPConnection[AppState], ticket: str | None) -> Shown:
    """The one that counts: a header, which is meant for this very request, before a ticket, before the cookie that browsers
    send along. Other schemes than Bearer are for a proxy before us, if anybody."""
    authorization = connection.headers.get("authorization", "")
    if authorization.lower().startswith(BEARER):
        return Shown(bearer=authorization[len(BEARER) :].strip())
    if ticket is not None and _only_looks(connection.scope):
        return Shown(ticket=ticket, address=_address(connection.scope))
    return Shown(cookie=session_cookie(connection))


def _refuse_other_pages(connection: HTTPConnection[AppState], settings: ServerSettings) -> None:
    """A browser sends the cookie with what any page of the same site asks for. What changes something, and WebSockets, which
    any page may read, must come from our own. Raises ForeignPage."""
    scope = connection.scope
    changes = scope["type"] == "websocket" or scope["method"] not in SAFE_METHODS
    if changes and not is_own_page(connection.headers, settings):
        raise ForeignPage("With the cookie of a session only pages of this very server may do this.")


def _only_looks(scope: Scope) -> bool:
    return scope["type"] == "websocket" or scope["method"] in SAFE_METHODS


def _take_ticket(scope: Scope) -> str | None:
    query: bytes = scope["query_string"]
    if PARAMETER.encode() not in query:
        return None
    pieces = query.split(b"&")
    tickets = [piece for piece in pieces if piece.partition(b"=")[0] == PARAMETER.encode()]
    scope["query_string"] = b"&".join(piece for piece in pieces if piece not in tickets)
    return parse_qsl(tickets[0].decode("latin-1"), keep_blank_values=True)[0][1] if tickets else None


def _address(scope: Scope) -> str:
    return f"{scope['raw_path'].decode('latin-1')}?{scope['query_string'].decode('latin-1')}"
