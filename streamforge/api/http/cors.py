"""Which pages may read answers (CORS, Fetch §3.2). Never with their cookies: a session is for our own pages only."""

from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Receive, Scope, Send

from streamforge.api.http.hardening import is_for_players
from streamforge.api.http.problems import problem_of
from streamforge.errors import ForeignPage

ANY = "*"
METHODS = ["GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS"]
EXPOSED_HEADERS = [
    "Location",
    "X-Request-ID",
    "Content-Range",
    "Content-Length",
    "Accept-Ranges",
    "ETag",
    "Retry-After",
    "RateLimit",
    "RateLimit-Policy",
    "WWW-Authenticate",
    "Tus-Resumable",
    "Tus-Version",
    "Tus-Extension",
    "Tus-Max-Size",
    "Tus-Checksum-Algorithm",
    "Upload-Offset",
    "Upload-Length",
    "Upload-Defer-Length",
    "Upload-Metadata",
    "Upload-Expires",
    "Upload-Concat",
    "X-Job-ID",
    "Idempotency-Replayed",
]


class Cors:
    """Where callers say who they are, `*` opens what players ask for and nothing else: an API is read by those pages only
    that its operator has named."""

    def __init__(self, app: ASGIApp, origins: Sequence[str], *, are_callers_known: bool) -> None:
        named = [origin for origin in origins if origin != ANY] if are_callers_known else origins
        self._for_players = _cors(app, origins)
        self._for_others = _cors(app, named)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_http = scope["type"] == "http"
        cors = self._for_players if is_http and is_for_players(scope["path"]) else self._for_others
        refused = _refusal(cors, scope) if is_http else None
        answer: ASGIApp = cors if refused is None else problem_of(HTTPConnection(scope), refused)
        await answer(scope, receive, send)


def _refusal(cors: CORSMiddleware, scope: Scope) -> ForeignPage | None:
    """Of a preflight. Starlette's own is text without a code, which a page's developer sees in the browser's tools."""
    headers = Headers(scope=scope)
    origin, method = headers.get("Origin"), headers.get("Access-Control-Request-Method")
    if scope["method"] != "OPTIONS" or origin is None or method is None:
        return None
    if not cors.is_allowed_origin(origin):
        return ForeignPage("A page of this origin may not ask; `server.cors_origins` names those that may.")
    return None if method in METHODS else ForeignPage("No page of another origin may use this method here.")


def _cors(app: ASGIApp, origins: Sequence[str]) -> CORSMiddleware:
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"], expose_headers=EXPOSED_HEADERS
    )
