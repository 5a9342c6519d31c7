"""`/media/<job>/…`: manifests, segments and pictures for players."""

from email.utils import format_datetime
from pathlib import PurePosixPath
from urllib.parse import quote
from uuid import UUID

from starlette.responses import Response, StreamingResponse

from streamforge.api.http.problems import problem
from streamforge.api.http.ranges import ByteRange, UnsatisfiableRange, parse_range
from streamforge.api.manifests import Manifest
from streamforge.api.services import Request, own, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.errors import MediaNotFound
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
MAX_DEPTH = 8
MANIFESTS = {".m3u8", ".mpd"}
SEGMENTS = {".m4s", ".mp4"}
"""Never change once written. Everything else is asked for again each time, and mostly answered with 304."""


async def media(request: Request) -> Response:
    job_id, name = _asked_for(request)
    if PurePosixPath(name).suffix in MANIFESTS:
        return await _manifest(request, await services_of(request).manifests.find(job_id, name))
    info = await services_of(request).storage.stat(layout.output(job_id, name))
    if info is None:
        raise MediaNotFound("There is no such file.")
    headers = await _headers_for(request, info)
    if _names(request.headers.get("if-none-match"), info):
        return Response(status_code=304, headers=headers)
    try:
        wanted = parse_range(_usable_range(request, info), info.size_bytes)
    except UnsatisfiableRange as error:
        return problem(
            request, error.http_status, error.code, error.message, {"Content-Range": f"bytes */{error.size}"}
        )
    return _send(request, info, headers, wanted)


def _asked_for(request: Request) -> tuple[UUID, str]:
    job_id = parse_job_id(request.path_params["job_id"])
    name = request.path_params["path"]
    if not _is_safe(name):
        raise MediaNotFound("There is no such file.")
    return job_id, name


async def _manifest(request: Request, manifest: Manifest | None) -> Response:
    """Always whole."""
    if manifest is None:
        raise MediaNotFound("There is no such file.")
    headers = await _headers_for(request, manifest.info)
    if _names(request.headers.get("if-none-match"), manifest.info):
        return Response(status_code=304, headers=headers)
    headers["Content-Length"] = str(len(manifest.data))
    headers["Accept-Ranges"] = "none"
    return Response(None if request.method == "HEAD" else manifest.data, headers=headers)


async def _headers_for(request: Request, info: ObjectInfo) -> dict[str, str]:
    headers = _headers(info)
    if request.query_params.get("download") == "1":
        headers["Content-Disposition"] = await _as_a_file(request)
    return headers


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


async def _as_a_file(request: Request) -> str:
    """To be saved, under a name that tells which film it is: `films/intro.mov` and `downloads/720p.mp4` make
    `intro-720p.mp4` (RFC 6266, RFC 8187)."""
    job = await own(request).jobs.get(parse_job_id(request.path_params["job_id"]))
    film = PurePosixPath(job.key).stem if job else "video"
    file_name = f"{film}-{PurePosixPath(request.path_params['path']).name}"
    # Percent-encoded: quotes and line breaks in a key could otherwise write parameters and headers of their own.
    return f"attachment; filename*=UTF-8''{quote(file_name, safe='')}"


def _headers(info: ObjectInfo) -> dict[str, str]:
    suffix = PurePosixPath(info.name).suffix
    return {
        "Content-Type": CONTENT_TYPES.get(suffix, "application/octet-stream"),
        "Cache-Control": "public, max-age=31536000, immutable" if suffix in SEGMENTS else "no-cache",
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
