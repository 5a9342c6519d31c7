"""Which pages may read answers (CORS, Fetch §3.2). Never with their cookies: a session is for our own pages only."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from streamforge.api.http.hardening import is_for_players

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
        plays = scope["type"] == "http" and is_for_players(scope["path"])
        await (self._for_players if plays else self._for_others)(scope, receive, send)


def _cors(app: ASGIApp, origins: Sequence[str]) -> CORSMiddleware:
    return CORSMiddleware(
        app, allow_origins=origins, allow_methods=METHODS, allow_headers=["*"], expose_headers=EXPOSED_HEADERS
    )
