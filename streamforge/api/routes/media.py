"""`/media/<job>/…`: manifests, segments and pictures for players, of a signed stream under `/media/<job>/~<signature>/…`."""

from dataclasses import dataclass
from email.utils import format_datetime
from math import ceil
from pathlib import PurePosixPath
from time import time
from urllib.parse import quote
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from streamforge.api.http.problems import problem
from streamforge.api.http.query_values import Choice
from streamforge.api.http.ranges import ByteRange, UnsatisfiableRange, parse_range
from streamforge.api.http.watching import grant_of, no_file
from streamforge.api.manifests import Manifest
from streamforge.api.openapi.operation import BYTES, Answer, Content, Header, Operation, describes
from streamforge.api.playback import Grant, split
from streamforge.api.services import Request, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.errors import MalformedJobId, MediaNotFound, RangeNotSatisfiable, StorageUnavailable
from streamforge.storage import ObjectInfo, layout

CONTENT_TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".mpd": "application/dash+xml",
    ".m4s": "video/mp4",
    ".mp4": "video/mp4",
    ".vtt": "text/vtt",
    ".jpg": "image/jpeg",
    ".json": "application/json",
}
FILES: dict[str, Content] = {
    **dict.fromkeys([*CONTENT_TYPES.values(), "application/octet-stream"], BYTES),
    "application/json": {},
}
MAX_DEPTH = 8
MANIFESTS = {".m3u8", ".mpd"}
SEGMENTS = {".m4s", ".mp4"}
"""Never change once written. Everything else is asked for again each time, and mostly answered with 304."""


DOWNLOAD = Choice("download", "`1`: to be saved, under a name that tells which film it is.", ("1",))
AS = Choice("as", "`stored`: a manifest as its receipt has it, without signatures.", ("stored",))

FOLLOWS = ("Cache-Control", "ETag", "Last-Modified", "Accept-Ranges")


@dataclass(frozen=True)
class _Asked:
    """One file of one job's stream, by somebody who may have it."""

    job_id: UUID
    name: str
    grant: Grant


@describes(
    Operation(
        tag="playback",
        summary="A stream, for players",
        says=(
            "Manifests, segments, subtitles and pictures. Of a signed stream the path begins with its signature, which "
            "relative references in manifests keep: `~1-<when it expires>-<signature>/master.m3u8`."
        ),
        answers=(
            Answer(200, "The file.", FILES, (*FOLLOWS, "Content-Length", "Content-Disposition")),
            Answer(206, "The bytes that were asked for.", FILES, (*FOLLOWS, "Content-Length", "Content-Range")),
            Answer(304, "What the client has is what is there.", headers=FOLLOWS),
        ),
        errors=(MalformedJobId, MediaNotFound, RangeNotSatisfiable, StorageUnavailable),
        parameters=(DOWNLOAD, AS),
        headers=(
            Header("Range", "One range of bytes; of a manifest it is ignored."),
            Header("If-Range", "The ETag or Last-Modified of the bytes that the range is meant for."),
            Header("If-None-Match", "ETags of what the client has."),
        ),
    )
)
async def media(request: Request) -> Response:
    asked = _asked_for(request)
    if PurePosixPath(asked.name).suffix in MANIFESTS:
        return await _manifest(request, asked)
    info = await services_of(request).storage.stat(layout.output(asked.job_id, asked.name))
    if info is None:
        raise no_file()
    headers = await _headers_for(request, info, asked)
    if _names(request.headers.get("if-none-match"), info):
        return Response(status_code=304, headers=headers)
    try:
        wanted = parse_range(_usable_range(request, info), info.size_bytes)
    except UnsatisfiableRange as error:
        return problem(
            request, error.http_status, error.code, error.message, {"Content-Range": f"bytes */{error.size}"}
        )
    return _send(request, info, headers, wanted)


def _asked_for(request: Request) -> _Asked:
    job_id = parse_job_id(request.path_params["job_id"])
    _, name = split(request.path_params["path"])
    if not _is_safe(name):
        raise no_file()
    return _Asked(job_id, name, grant_of(request))


async def _manifest(request: Request, asked: _Asked) -> Response:
    """Always whole."""
    manifest = await services_of(request).manifests.find(asked.job_id, asked.name)
    if manifest is None:
        raise no_file()
    headers = await _headers_for(request, manifest.info, asked)
    if _names(request.headers.get("if-none-match"), manifest.info):
        return Response(status_code=304, headers=headers)
    data = _as_told(request, manifest, asked.grant)
    headers["Content-Length"] = str(len(data))
    headers["Accept-Ranges"] = "none"
    return Response(None if request.method == "HEAD" else data, headers=headers)


def _as_told(request: Request, manifest: Manifest, grant: Grant) -> bytes:
    """Who came by a signed address finds the keys by signed ones, of the same moment: one address always has the same
    bytes. `?as=stored` is for who compares them with the receipt."""
    if grant.signed is None or request.query_params.get("as") == "stored":
        return manifest.data
    return grant.signed.in_manifest(manifest.data)


async def _headers_for(request: Request, info: ObjectInfo, asked: _Asked) -> dict[str, str]:
    headers = _headers(info) | {"Cache-Control": _caching(info, asked.grant)}
    if request.query_params.get("download") == "1":
        headers["Content-Disposition"] = await _as_a_file(request, asked)
    return headers


def _caching(info: ObjectInfo, grant: Grant) -> str:
    """A signed address is one for all who were given it, so caches may share what they have of it, but not for longer than
    it is valid, nor when they cannot ask. What a caller gets by credentials is for nobody else."""
    never_changes = PurePosixPath(info.name).suffix in SEGMENTS
    if grant.signed is not None and never_changes:
        return f"public, max-age={max(0, grant.signed.expires - ceil(time()))}, must-revalidate, immutable"
    if not grant.public and grant.signed is None:
        return "private, no-cache"
    return "public, max-age=31536000, immutable" if never_changes else "no-cache"


def _is_safe(name: str) -> bool:
    """The path arrives percent-decoded: %2e%2e and %5c are dots and backslashes by now. Names that no file system
    takes are a 404, too, and no error of the store."""
    parts = name.split("/")
    climbs = any(part in {"", ".", ".."} or len(part.encode(errors="replace")) > 255 for part in parts)
    return not climbs and len(parts) <= MAX_DEPTH and "\\" not in name and name.isprintable()


def _send(request: Request, info: ObjectInfo, headers: dict[str, str], wanted: ByteRange | None) -> Response:
    part = wanted or ByteRange(0, info.size_bytes, info.size_bytes)
    headers["Content-Length"] = str(part.length)
    status = 200
    if wanted is not None:
        headers["Content-Range"] = part.content_range
        status = 206
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers)
    body = services_of(request).storage.read(info.name, part.start, part.length)
    return StreamingResponse(body, status, headers)


async def _as_a_file(request: Request, asked: _Asked) -> str:
    """To be saved, under a name that tells which film it is: `films/intro.mov` and `downloads/720p.mp4` make
    `intro-720p.mp4` (RFC 6266, RFC 8187)."""
    film = await services_of(request).playbacks.film(asked.job_id)
    file_name = f"{PurePosixPath(film.key).stem if film else 'video'}-{PurePosixPath(asked.name).name}"
    # Percent-encoded: quotes and line breaks in a key could otherwise write parameters and headers of their own.
    return f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"


def _headers(info: ObjectInfo) -> dict[str, str]:
    return {
        "Content-Type": CONTENT_TYPES.get(PurePosixPath(info.name).suffix, "application/octet-stream"),
        "ETag": f'"{info.etag}"',
        "Last-Modified": format_datetime(info.modified_at, usegmt=True),
        "Accept-Ranges": "bytes",
        # Outputs derive from strangers' files: never let a browser guess that one is a page.
        "X-Content-Type-Options": "nosniff",
    }


def _usable_range(request: Request, info: ObjectInfo) -> str | None:
    """The Range header, unless If-Range says that it was meant for other bytes."""
    condition = request.headers.get("if-range")
    if condition is not None and condition not in {f'"{info.etag}"', _headers(info)["Last-Modified"]}:
        return None
    return request.headers.get("range")


def _names(if_none_match: str | None, info: ObjectInfo) -> bool:
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return "*" in tags or f'"{info.etag}"' in tags
