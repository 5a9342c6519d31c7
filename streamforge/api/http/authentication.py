"""Who asks, found out before anything else looks at the request; what a route needs decides later whether that will do."""

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from streamforge.access.authenticator import Shown
from streamforge.access.caller import Caller
from streamforge.api.http.middleware import CONNECTIONS
from streamforge.api.services import AppState, services_of
from streamforge.errors import StreamForgeError

BEARER = "bearer "


class Authentication:
    """Put the caller into the connection's state, or why there is none: routes that need nobody do not mind."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in CONNECTIONS:
            scope["state"]["caller"] = await _caller(HTTPConnection(scope))
        await self.app(scope, receive, send)


async def _caller(connection: HTTPConnection[AppState]) -> Caller | StreamForgeError:
    try:
        return await services_of(connection).authenticator.caller(_shown(connection.headers))
    except StreamForgeError as error:
        return error


def _shown(headers: Headers) -> Shown:
    """Other schemes than Bearer are for a proxy before us, if anybody."""
    authorization = headers.get("authorization", "")
    is_bearer = authorization.lower().startswith(BEARER)
    return Shown(bearer=authorization[len(BEARER) :].strip() if is_bearer else None)
