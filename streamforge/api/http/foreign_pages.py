"""Whose page asks. Where nobody has to say who they are, whoever reaches this server may do everything; and a browser on that
machine sends, in its user's name, what any page it shows asks for, with its cookies. Browsers tell whose page it is, and no
page can lie: `Origin` and `Sec-Fetch-Site` (Fetch, WebSockets), and in `Host` the name by which the page knows us.

    changes, lists of everything       our own pages, and origins that `server.cors_origins` names; `*` names none
    what is asked for by its id        the same, and any page with `*`: no page can guess an id. Where callers say who they
                                       are, `*` is for media and keys alone
    what comes without an `Origin`     everybody: it is no page, or one that cannot read the answer
"""

import re

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from streamforge.api.http.problems import problem_of
from streamforge.api.services import AppState, services_of
from streamforge.errors import ForeignPage, UnknownHost
from streamforge.own_names import is_loopback, name_in, stays_here
from streamforge.settings import ServerSettings, plain_origin

ANY = "*"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
CHANGES_NOTHING = re.compile(r"/keys/[^/]+/(~[^/]+/)?license")
"""Although it is a POST: the W3C has licences asked for like that, by players on any page."""


class OnlyOwnPagesChange:
    """Refuse what would change something when another page asks for it."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        changes = scope["type"] == "http" and scope["method"] not in SAFE_METHODS
        if changes and not CHANGES_NOTHING.fullmatch(scope["path"]) and is_foreign(Headers(scope=scope), self.settings):
            await problem_of(HTTPConnection(scope), foreign_page())(scope, receive, send)
        else:
            await self.app(scope, receive, send)


class OnlyKnownHosts:
    """Refuse requests to a name that is not ours (`own_names`)."""

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self.app = app
        self.names = settings.hosts
        self.any = ANY in self.names or not (self.names or is_loopback(settings.host))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        host = Headers(scope=scope).get("host") if scope["type"] in {"http", "websocket"} else None
        if host is None or self.any or self._is_ours(host):
            await self.app(scope, receive, send)
            return
        error = UnknownHost("This server is not known by that name; `server.hosts` says which it has.")
        await problem_of(HTTPConnection(scope), error)(scope, receive, send)

    def _is_ours(self, host: str) -> bool:
        name = name_in(host)
        return name in self.names or stays_here(name)


def refuse_foreign_page(connection: HTTPConnection[AppState]) -> None:
    """For what shows jobs to who knows none of their ids. Raises ForeignPage."""
    headers = connection.headers
    # A page cannot read the answer to what it asks without an Origin, such as a link that is followed.
    if "origin" in headers and is_foreign(headers, services_of(connection).settings.server):
        raise foreign_page()


def refuse_unread_page(connection: HTTPConnection[AppState]) -> None:
    """For WebSockets, which browsers let any page read. Raises ForeignPage."""
    settings = services_of(connection).settings
    if settings.auth.required or ANY not in settings.server.cors_origins:
        refuse_foreign_page(connection)


def foreign_page() -> ForeignPage:
    return ForeignPage("A page of another origin may not do this; `server.cors_origins` names those that may.")


def is_foreign(headers: Headers, settings: ServerSettings) -> bool:
    origin = plain_origin(headers["origin"]) if "origin" in headers else None
    if origin in settings.cors_origins and origin != ANY:
        return False
    if (site := headers.get("sec-fetch-site")) in {"same-origin", "none"}:
        return False
    if origin is None:
        return site is not None
    scheme, _, authority = origin.partition("://")
    own = plain_origin(f"{scheme}://{headers.get('host', '')}")
    return origin != own and name_in(authority) not in settings.hosts


def is_own_page(headers: Headers, settings: ServerSettings) -> bool:
    """Whether it is sure to come from a page of ours: what tells nothing is none."""
    site = headers.get("sec-fetch-site")
    if site is not None or "origin" not in headers:
        return site == "same-origin"
    scheme, _, authority = plain_origin(headers["origin"]).partition("://")
    own = plain_origin(f"{scheme}://{headers.get('host', '')}")
    return f"{scheme}://{authority}" == own or name_in(authority) in settings.hosts
