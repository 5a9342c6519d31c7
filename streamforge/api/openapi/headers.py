"""Headers of answers, by name: what they say, and what is in them."""

from streamforge.api.openapi.operation import TEXT, Schema

NUMBER: Schema = {"type": "string", "pattern": r"^\d+$"}

HEADERS: dict[str, tuple[str, Schema]] = {
    "X-Request-ID": ("Of this request: the one it came with, or a new one. Logs and the audit log have it, too.", TEXT),
    "RateLimit-Policy": (
        "How many requests are allowed in how many seconds (draft-ietf-httpapi-ratelimit-headers).",
        TEXT,
    ),
    "RateLimit": ("How many are left, and the seconds until there are more.", TEXT),
    "Location": ("Where to look from now on.", {"type": "string", "format": "uri-reference"}),
    "Retry-After": ("Seconds to wait before the next try.", NUMBER),
    "WWW-Authenticate": ("What would do instead (RFC 9110 §11.6.1, RFC 6750 §3).", TEXT),
    "ETag": ("Names these very bytes, for If-None-Match and If-Range.", TEXT),
    "Last-Modified": ("When the file was written.", TEXT),
    "Cache-Control": ("Who may keep it, and for how long.", TEXT),
    "Accept-Ranges": ("`bytes`, or `none` for a manifest.", TEXT),
    "Content-Range": ("Which bytes these are, and of how many.", TEXT),
    "Content-Length": ("Bytes of the answer.", NUMBER),
    "Content-Disposition": ("With `?download=1`: the name under which browsers save it.", TEXT),
    "Tus-Resumable": ("`1.0.0`: the version of the protocol.", TEXT),
    "Tus-Version": ("Versions of tus that this server speaks.", TEXT),
    "Tus-Extension": ("What it has of the protocol's extensions.", TEXT),
    "Tus-Max-Size": ("Bytes that an upload may have.", NUMBER),
    "Upload-Offset": ("So many bytes are here.", NUMBER),
    "Upload-Length": ("Bytes of the whole.", NUMBER),
    "Upload-Defer-Length": ("`1`: its sender does not know the length yet.", TEXT),
    "Upload-Metadata": ("As it was sent.", TEXT),
    "Upload-Concat": ("`partial`, or `final;` and the addresses of the parts.", TEXT),
    "Upload-Expires": ("When it is deleted, unless it goes on.", TEXT),
    "X-Job-ID": ("Of the job: the last byte starts it.", {"type": "string", "format": "uuid"}),
    "Set-Cookie": ("The cookie of the session: HttpOnly, SameSite=Strict.", TEXT),
}

ALWAYS = ("X-Request-ID", "RateLimit-Policy", "RateLimit")
"""The last two where requests are limited."""
OF_STATUS = {401: ("WWW-Authenticate",), 429: ("Retry-After",), 503: ("Retry-After",)}
"""Of errors, beside those that are always there."""
