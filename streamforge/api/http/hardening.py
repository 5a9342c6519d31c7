"""What every answer tells browsers, and what no request may hold: the outermost layer, so that refusals have it, too."""

import re

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.api.http.problems import problem_of
from streamforge.errors import ControlCharacter

NOTHING_IS_LOADED = b"default-src 'none'; frame-ancestors 'none'"
"""For answers that are data. A page of ours answers with a `Content-Security-Policy` of its own, which stays."""

FOR_ALL = [
    # What a caller has uploaded is never taken for a script or a page, whatever is in it.
    (b"x-content-type-options", b"nosniff"),
    # Addresses hold ids of jobs, and signatures.
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
]
POLICY = b"content-security-policy"
FOR_REFUSALS = [*FOR_ALL, (POLICY, NOTHING_IS_LOADED), (b"cross-origin-resource-policy", b"same-origin")]
"""Of requests that never got as far as the application."""
BEHIND_TLS = (b"strict-transport-security", b"max-age=31536000")

_ANSWERS = frozenset({"http.response.start", "websocket.http.response.start"})
_FOR_PLAYERS = ("/media/", "/keys/")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_CONTROL_IN_QUERY = re.compile(rb"[\x00-\x1f\x7f]|%(?:[01][0-9a-f]|7f)", re.IGNORECASE)


class SecurityHeaders:
    """Outside of everything. `Strict-Transport-Security` only where the request came over TLS, by itself or by the word of a
    proxy in `server.trusted_proxies`: RealClientIp has found out when the answer begins."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_hardened(message: Message) -> None:
            if message["type"] in _ANSWERS:
                message["headers"] = [*message.get("headers", ()), *_headers(scope, message.get("headers", ()))]
            await send(message)

        await self.app(scope, receive, send_hardened)


def _headers(scope: Scope, told: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    # Players on other pages load media and keys without CORS: <video src>, native HLS.
    readers = b"cross-origin" if is_for_players(scope["path"]) else b"same-origin"
    headers = [*FOR_ALL, (b"cross-origin-resource-policy", readers)]
    if not any(name.lower() == POLICY for name, _ in told):
        headers.append((POLICY, NOTHING_IS_LOADED))
    if scope["scheme"] in {"https", "wss"}:
        headers.append(BEHIND_TLS)
    return headers


def is_for_players(path: str) -> bool:
    """Whether an address is one that players on any page may ask: what is not for everybody has its signature in it."""
    return path.startswith(_FOR_PLAYERS)


class NoControlCharacters:
    """Refuse NUL, line breaks and their kin in paths and queries, however they are written: behind us they may end up in a
    line of a log, a header, a name of a file or a text of PostgreSQL, which take it for an end, or on a terminal."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in {"http", "websocket"} and _breaks(scope):
            error = ControlCharacter("The address of the request has a control character in its path or query.")
            await problem_of(HTTPConnection(scope), error)(scope, receive, send)
        else:
            await self.app(scope, receive, send)


def _breaks(scope: Scope) -> bool:
    return _CONTROL.search(scope["path"]) is not None or _CONTROL_IN_QUERY.search(scope["query_string"]) is not None
