"""Routes that say what they need of a caller. None can be made without, and no handler runs before its rule is met."""

from typing import Any

from starlette.requests import HTTPConnection
from starlette.routing import Route, WebSocketRoute
from starlette.types import Receive, Scope, Send

from streamforge.access.caller import Need
from streamforge.access.caller import Scope as CallerScope
from streamforge.api.services import AppState, caller_of, own, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.errors import AccessRefused, JobNotFound, ScopeMissing

SCOPES = {
    Need.READ: CallerScope.READ,
    Need.SUBMIT: CallerScope.SUBMIT,
    Need.ADMIN: CallerScope.ADMIN,
    Need.PLAYBACK: CallerScope.READ,
}


class GuardedRoute(Route):
    def __init__(self, path: str, endpoint: Any, *, needs: Need, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.needs = needs

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Before the method is looked at: what is there is nobody's business either.
        await admit(HTTPConnection(scope), self.needs)
        await super().handle(scope, receive, send)


class GuardedWebSocketRoute(WebSocketRoute):
    """Whoever may not is refused before the handshake is accepted."""

    def __init__(self, path: str, endpoint: Any, *, needs: Need, **options: Any) -> None:
        super().__init__(path, endpoint, **options)
        self.needs = needs

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await admit(HTTPConnection(scope), self.needs)
        await super().handle(scope, receive, send)


async def admit(connection: HTTPConnection[AppState], need: Need) -> None:
    """Raises what says why there is no caller, ScopeMissing, JobNotFound."""
    if need is Need.PUBLIC:
        return
    scope = SCOPES[need]
    try:
        allowed = caller_of(connection).may(scope)
    except AccessRefused as refused:
        refused.scope = scope
        raise
    if not allowed:
        raise ScopeMissing(f"This needs a credential with the scope {scope}.", scope=scope)
    if need is Need.PLAYBACK:
        await _watch(connection)


async def _watch(connection: HTTPConnection[AppState]) -> None:
    """What is in the store says nothing of its owner. As long as nobody has to say who they are, an id is enough."""
    if not services_of(connection).settings.auth.required:
        return
    if await own(connection).jobs.state(parse_job_id(connection.path_params["job_id"])) is None:
        raise JobNotFound("There is no such job.")
