"""Routes that say what they need of a caller, and what they do. None can be made without, and no handler runs before its
rule is met."""

from typing import Any

from starlette.requests import HTTPConnection
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from streamforge.access.caller import Need
from streamforge.access.caller import Scope as CallerScope
from streamforge.api.http.idempotency import names_itself, once
from streamforge.api.http.watching import granted
from streamforge.api.openapi.operation import operation_of
from streamforge.api.services import AppState, require

SCOPES = {
    Need.READ: CallerScope.READ,
    Need.SUBMIT: CallerScope.SUBMIT,
    Need.REPORT: CallerScope.REPORT,
    Need.ADMIN: CallerScope.ADMIN,
}


class GuardedRoute(Route):
    def __init__(self, path: str, endpoint: Any, *, needs: Need, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.needs = needs
        self.operation = operation_of(endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before the method is looked at: what is there is nobody's business either.
        await admit(HTTPConnection(scope), self.needs)
        if self.is_done_once and names_itself(scope):
            await once(scope, receive, send, super().handle)
        else:
            await super().handle(scope, receive, send)

    @property
    def is_done_once(self) -> bool:
        """Whether `Idempotency-Key` has a meaning: for what makes or changes something of an owner's. What only makes
        credentials of what was shown would have to be kept as these are."""
        return self.needs is Need.SUBMIT and "POST" in (self.methods or ())


class GuardedWebSocketRoute(WebSocketRoute):
    """Whoever may not is refused before the handshake is accepted."""

    def __init__(self, path: str, endpoint: Any, *, needs: Need, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.needs = needs
        self.operation = operation_of(endpoint)

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await admit(HTTPConnection(scope), self.needs)
        await super().handle(scope, receive, send)


async def admit(connection: HTTPConnection[AppState], need: Need) -> None:
    """Raises what says why there is no caller, ScopeMissing, and what `granted` raises."""
    if need is Need.PLAYBACK:
        connection.scope["state"]["grant"] = await granted(connection)
    elif need is not Need.PUBLIC:
        require(connection, SCOPES[need])
